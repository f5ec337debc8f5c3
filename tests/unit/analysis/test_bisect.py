from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests import canned
from trtdbg.analysis.bisect import What, bisect, lines
from trtdbg.errors import UsageError
from trtdbg.records import (
    Change,
    ChangePlace,
    Counterfactual,
    GraphNode,
    NodeRecord,
    PassRecord,
    Phase,
    RefusalKind,
    Report,
    TypingKind,
    Verdict,
)


def entry(name: str, target: str, dtype: str | None, args: str, **more: Any) -> GraphNode:
    fields: dict[str, Any] = {"op": "call_function"} | more
    return GraphNode(name=name, target=target, dtype=dtype, args=args, **fields)


X = entry("x", "x", "float32", "", op="placeholder")
TO = entry("to", "aten.to.dtype", "float64", "x, float64")
CAST = entry("cast", "aten._to_copy.default", "float64", "x, dtype=float64", from_node="to")
NARROW = entry("cast", "aten._to_copy.default", "float32", "x, dtype=float32", from_node="to")
STALE = entry("mask", "aten.bitwise_not.default", "bool", "x")
INTEGER = entry("mask", "aten.bitwise_not.default", "int64", "x")


def report_of(
    *passes: tuple[Phase, str, tuple[GraphNode, ...]], nodes: tuple[NodeRecord, ...] = ()
) -> Report:
    """Returns a report with these graphs after these passes."""
    pool: list[GraphNode] = []
    records: list[PassRecord] = []
    before: set[str] = set()
    for index, (phase, name, graph) in enumerate(passes):
        pool += [node for node in graph if node not in pool]
        names = {node.name for node in graph}
        records.append(
            PassRecord(
                index=index,
                phase=phase,
                name=name,
                changed=True,
                nodes=len(graph),
                added=tuple(sorted(names - before)) if index else (),
                removed=tuple(sorted(before - names)),
                graph=tuple(pool.index(node) for node in graph),
            )
        )
        before = names
    return msgspec.structs.replace(
        canned.LATE, passes=tuple(records), graph_nodes=tuple(pool), nodes=nodes
    )


def refused(name: str, *changes: Change, kind: RefusalKind = RefusalKind.DTYPE) -> NodeRecord:
    why = Counterfactual(
        kind=kind,
        typing=TypingKind.INFERRED,
        changes=changes,
        text="rejects because of something",
        sentence="rejects because of something (aten.op)",
    )
    return NodeRecord(
        name=name,
        op="call_function",
        target="aten.op",
        engine=0,
        verdict=Verdict.ACCEPT,
        counterfactual=why,
    )


LOWERING = (
    (Phase.LOAD, "exported program", (X, TO)),
    (Phase.DECOMPOSITION, "run_decompositions", (X, CAST)),
    (Phase.POST_LOWERING, "constant_fold", (X, CAST)),
    (Phase.TRUNCATION, "truncate (late)", (X, NARROW)),
    (Phase.PARTITION, "partition", (X,)),
)


def test_a_node_is_followed_from_the_pass_that_made_it_into_its_engine() -> None:
    keyword = Change(
        place=ChangePlace.KEYWORD, node="cast", name="dtype", before="float64", after="float32"
    )
    found = bisect(report_of(*LOWERING, nodes=(refused("cast", keyword),)), "cast")
    assert [(e.index, e.what) for e in found.events] == [
        (1, What.APPEARED),
        (3, What.RETYPED),
        (3, What.REWRITTEN),
        (4, What.MOVED),
    ]
    assert found.dtype == "float32"
    assert found.dtype_since is not None
    assert found.dtype_since.name == "truncate (late)"
    assert found.gone_since is None


def test_a_rejection_is_since_the_pass_that_brought_the_keyword() -> None:
    keyword = Change(
        place=ChangePlace.KEYWORD, node="cast", name="dtype", before="float64", after="float32"
    )
    found = bisect(report_of(*LOWERING, nodes=(refused("cast", keyword),)), "cast")
    assert found.rejection_since is not None
    assert (found.rejection_since.index, found.rejection_since.name) == (
        1,
        "run_decompositions",
    )


def test_a_rejection_is_since_the_pass_that_retyped_the_operand() -> None:
    operand = Change(place=ChangePlace.OPERAND, node="mask", before="int64", after="bool")
    reader = entry("both", "aten.bitwise_and.Tensor", "int64", "mask, mask")
    report = report_of(
        (Phase.LOAD, "exported program", (X, STALE, reader)),
        (Phase.PRE_EXPORT, "remove_detach", (X, STALE, reader)),
        (Phase.POST_LOWERING, "retype_masks", (X, INTEGER, reader)),
        (Phase.POST_LOWERING, "constant_fold", (X, INTEGER, reader)),
        nodes=(refused("both", operand),),
    )
    found = bisect(report, "both")
    assert found.rejection_since is not None
    assert found.rejection_since.name == "retype_masks"
    assert found.rejection == "rejects because of something"
    mask = bisect(report, "mask")
    assert mask.dtype_since is not None
    assert mask.dtype_since.detail == "bool to int64"
    assert mask.rejection_since is None


def test_a_node_without_converter_is_refused_since_it_appeared() -> None:
    report = report_of(*LOWERING, nodes=(refused("cast", kind=RefusalKind.NO_CONVERTER),))
    since = bisect(report, "cast").rejection_since
    assert since is not None
    assert since.index == 1


def test_an_excluded_node_is_refused_by_no_pass() -> None:
    report = report_of(*LOWERING, nodes=(refused("cast", kind=RefusalKind.EXCLUDED),))
    assert bisect(report, "cast").rejection_since is None


def test_what_disappeared_is_told_with_its_heirs() -> None:
    report = report_of(*LOWERING)
    found = bisect(report, "to")
    assert found.gone_since is not None
    assert found.gone_since.index == 1
    assert found.gone_since.detail == "replaced by cast"
    assert lines(report, "to") == [
        "to is float64 since pass 0 exported program",
        "to is gone since pass 1 run_decompositions",
        "pass 0 exported program: appeared, float64, aten.to.dtype(x, float64)",
        "pass 1 run_decompositions: disappeared, replaced by cast",
    ]


def test_a_name_that_the_partitioner_gives_anew_is_not_the_old_node() -> None:
    item = entry("getitem", "operator.getitem", "float32", "sort, 0")
    other = entry("getitem", "operator.getitem", "int64", "_run_on_acc_0, 0")
    report = report_of(
        (Phase.LOAD, "exported program", (X, item)), (Phase.PARTITION, "partition", (X, other))
    )
    assert [e.index for e in bisect(report, "getitem").events] == [0]


def test_a_name_that_no_graph_ever_had_is_an_error_of_the_user() -> None:
    with pytest.raises(UsageError, match="no node 'casts'; did you mean cast"):
        bisect(report_of(*LOWERING), "casts")
