from __future__ import annotations

import msgspec
import pytest

from tests import canned
from trtdbg.analysis import cause_lines
from trtdbg.analysis.causes import derive
from trtdbg.analysis.cuts import cuts
from trtdbg.policy import Partitioner, Settings
from trtdbg.records import CauseKind, EngineRecord, NodeRecord, Report, Source, Verdict


def node(
    name: str, engine: int | None, *operands: str, target: str = "aten.relu.default"
) -> NodeRecord:
    return NodeRecord(
        name=name,
        op="call_function",
        target=f"torch.ops.{target}",
        engine=engine,
        operands=operands,
        verdict=Verdict.ACCEPT if engine is not None else Verdict.NOT_CHECKED,
        source=Source(file="model.py", line=len(name), module="net"),
    )


def report(*nodes: NodeRecord, partitioner: Partitioner = Partitioner.FAST) -> Report:
    indices = sorted({each.engine for each in nodes if each.engine is not None})
    return msgspec.structs.replace(
        canned.UPSTREAM,
        nodes=nodes,
        passes=(),
        causes=(),
        torch_ops=tuple(each.target for each in nodes if each.engine is None),
        engines=tuple(
            EngineRecord(index=i, name=f"e{i}", nodes=(), inputs=(), outputs=())
            for i in indices
        ),
        settings=Settings(partitioner=partitioner),
    )


def test_engines_that_read_each_other_and_nothing_else_are_cut_apart() -> None:
    (cut,) = cuts(report(node("a", 0), node("bb", 1, "a")))
    assert (cut.before, cut.after, cut.reader) == (0, 1, "bb")
    assert str(cut.source) == "model.py:2"


def test_an_operator_between_two_engines_is_what_cuts_them() -> None:
    assert cuts(report(node("a", 0), node("b", None, "a"), node("c", 1, "b"))) == ()


def test_a_value_that_goes_through_an_operator_and_comes_back_holds_two_engines_apart() -> (
    None
):
    between = node("b", None, "a")
    assert cuts(report(node("a", 0), between, node("c", 1, "a", "b"))) == ()


def test_three_engines_in_a_row_are_cut_apart_twice() -> None:
    made = cuts(report(node("a", 0), node("b", 1, "a"), node("c", 2, "b")))
    assert [(cut.before, cut.after) for cut in made] == [(0, 1), (1, 2)]


def test_a_size_between_two_engines_is_named_and_is_no_operator() -> None:
    size = node("s", None, "a", target="aten.sym_size.int")
    (cut,) = cuts(report(node("a", 0), size, node("c", 1, "s")))
    assert cut.sizes == ("s",)


@pytest.mark.parametrize(
    ("partitioner", "kind"),
    [
        (Partitioner.FAST, CauseKind.SETTING),
        (Partitioner.GLOBAL, CauseKind.PARTITIONER),
    ],
)
def test_a_cut_is_a_cause_with_a_place_beside_what_is_left_to_pytorch(
    partitioner: Partitioner, kind: CauseKind
) -> None:
    nodes = (node("a", 0), node("bb", 1, "a"), node("ccc", None, "bb"))
    found = [c for c in derive(report(*nodes, partitioner=partitioner)) if not c.nodes]
    (cause,) = found
    assert cause.kind is kind
    assert cause.reason.endswith("between which nothing is left to PyTorch: 0 and 1")
    assert cause_lines.heading(cause) == "engines cut apart (model.py:2)"
    assert cause.modules == ("net",)


def test_one_engine_has_no_cuts() -> None:
    assert cuts(report(node("a", 0))) == ()
