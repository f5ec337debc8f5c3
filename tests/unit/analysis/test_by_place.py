"""Sums over source lines and modules: they add up to the report, and fold what is alike."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import canned
from trtdbg.analysis.by_place import arising, by_line, by_module, costs
from trtdbg.analysis.conclusions import REFUSED
from trtdbg.analysis.place_words import line_name, module_name, ranges, sentence
from trtdbg.analysis.summary import is_operator, left_to_pytorch
from trtdbg.records import (
    Agreement,
    BoundaryCast,
    Direction,
    EngineRecord,
    LineRow,
    ModuleRow,
    NodeError,
    NodeRecord,
    Numerics,
    Report,
    Source,
    TimingRecord,
    Verdict,
)

PATHS = st.lists(st.sampled_from(["a", "b", "0", "1", "2"]), max_size=4).map(".".join)
SOURCES = st.none() | st.builds(
    Source,
    file=st.none() | st.sampled_from(["m.py", "/lib/n.py"]),
    line=st.none() | st.integers(1, 3),
    module=st.none() | PATHS,
    code=st.none() | st.just("x = y"),
)
TARGETS = ("aten.add.Tensor", "aten.mul.Tensor", "operator.getitem", "aten.sym_size.int")


@st.composite
def reports(draw: st.DrawFn) -> Report:
    nodes: list[NodeRecord] = []
    for index in range(draw(st.integers(0, 14))):
        op = draw(st.sampled_from(["call_function", "get_attr", "placeholder"]))
        path = draw(PATHS)
        target = draw(st.sampled_from(TARGETS)) if op == "call_function" else f"{path}.w"
        dtype = draw(st.sampled_from(["float32", "float64", ("float32", None), None]))
        nodes.append(
            NodeRecord(
                name=f"n{index}",
                op=op,
                target=target.removeprefix("."),
                inferred=dtype,
                truncated=draw(st.sampled_from([dtype, "float32"])),
                engine=draw(st.none() | st.integers(0, 2)),
                verdict=draw(st.sampled_from(list(Verdict))),
                source=draw(SOURCES),
                operands=tuple(draw(st.lists(st.sampled_from([n.name for n in nodes]))))
                if nodes
                else (),
            )
        )
    outside = [n for n in nodes if n.engine is None and n.op.startswith("call_")]
    values = [n.name for n in nodes] + ["not_in_the_graph"]
    cast = st.builds(
        BoundaryCast,
        value=st.sampled_from(values),
        from_dtype=st.just("float64"),
        to_dtype=st.just("float32"),
        direction=st.sampled_from(list(Direction)),
        engine=st.none(),
        bytes=st.none() | st.integers(0, 9),
    )
    error = st.none() | st.floats(0, 1e6)
    rows = tuple(
        NodeError(name=n.name, agreement=Agreement.WITHIN, times_tolerance=draw(error))
        for n in nodes
    )
    measured = Numerics(inputs="x", seed=0, atol=0, rtol=0, nodes=rows)
    return msgspec.structs.replace(
        canned.UPSTREAM,
        nodes=tuple(nodes),
        engines=tuple(EngineRecord(index=i, name=f"e{i}", nodes=()) for i in range(3)),
        torch_ops=tuple(n.target for n in outside),
        boundary_casts=tuple(draw(st.lists(cast, max_size=5))),
        numerics=draw(st.none() | st.just(measured)),
    )


def totals(report: Report) -> dict[str, object]:
    dtypes: Counter[str] = Counter()
    for node in report.nodes:
        if node.op == "call_function" and node.inferred is not None:
            several = node.inferred if isinstance(node.inferred, tuple) else (node.inferred,)
            dtypes.update(name for name in several if name)
    return {
        "nodes": sorted(node.name for node in report.nodes),
        "operators": sum(map(is_operator, report.nodes)),
        "engines": {n.engine for n in report.nodes} - {None},
        "torch_ops": len(left_to_pytorch(report)),
        "refused": sum(n.verdict in REFUSED for n in report.nodes),
        "casts": len(report.boundary_casts),
        "dtypes": dtypes,
    }


def added(rows: list[LineRow] | list[ModuleRow]) -> dict[str, object]:
    dtypes: Counter[str] = Counter()
    for row in rows:
        dtypes.update({each.dtype: each.values for each in row.dtypes})
    return {
        "nodes": sorted(name for row in rows for name in row.nodes),
        "operators": sum(row.operators for row in rows),
        "engines": {index for row in rows for index in row.engines},
        "torch_ops": sum(row.torch_ops for row in rows),
        "refused": sum(row.refused for row in rows),
        "casts": sum(row.casts for row in rows),
        "dtypes": dtypes,
    }


@settings(max_examples=50, deadline=None)
@given(reports())
def test_lines_and_the_models_row_add_up_to_the_report(report: Report) -> None:
    expected = totals(report)
    assert added(list(by_line(report))) == expected
    assert added([by_module(report)[0]]) == expected


@settings(max_examples=50, deadline=None)
@given(reports())
def test_a_module_adds_up_its_own_nodes_and_the_rows_below_it(report: Report) -> None:
    rows = by_module(report)
    by_name = {node.name: node for node in report.nodes}
    for at, row in enumerate(rows):
        below = []
        for other in rows[at + 1 :]:
            if other.depth <= row.depth:
                break
            if other.depth == row.depth + 1:
                below.append(other)
        assert sorted(row.nodes) == sorted(
            [*row.own, *(name for each in below for name in each.nodes)]
        )
        own = sum(is_operator(by_name[name]) for name in row.own)
        assert row.operators == own + sum(each.operators for each in below)


@settings(max_examples=40, deadline=None)
@given(reports())
def test_shares_of_the_error_add_up_to_all_or_nothing(report: Report) -> None:
    shares = [row.error_share for row in by_line(report)]
    if report.numerics is None or not report.numerics.nodes:
        assert set(shares) <= {None}
        return
    assert arising(report) is not None
    total = sum(share or 0.0 for share in shares)
    assert total == pytest.approx(1.0) or total == 0.0
    assert by_module(report)[0].error_share == pytest.approx(total)


def blocks(odd: int | None = None) -> Report:
    """Returns three blocks of two operators; in block `odd` the second one is refused."""
    nodes = []
    for number in range(3):
        for at, name in enumerate(("norm", "attention")):
            refused = number == odd and at == 1
            nodes.append(
                NodeRecord(
                    name=f"{name}_{number}",
                    op="call_function",
                    target="aten.mul.Tensor",
                    inferred="float64",
                    truncated="float32",
                    engine=None if refused else number,
                    verdict=Verdict.REJECT if refused else Verdict.ACCEPT,
                    source=Source(
                        file="m.py", line=10 + at, module=f"layers.{number}.{name}", code="x"
                    ),
                )
            )
    left = tuple(n.target for n in nodes if n.engine is None)
    return msgspec.structs.replace(
        canned.UPSTREAM, nodes=tuple(nodes), torch_ops=left, boundary_casts=()
    )


def test_the_time_of_an_engine_counts_where_all_of_its_operators_are() -> None:
    timing = TimingRecord(median_ms=2.0, p10_ms=1.0, p90_ms=3.0, runs=5)
    timed = tuple(
        EngineRecord(index=i, name=f"e{i}", nodes=(), timing=timing if i else None)
        for i in range(3)
    )
    report = msgspec.structs.replace(blocks(odd=0), engines=timed)
    rows = {row.path: row.engine_ms for row in by_module(report)}
    assert rows[""] == rows["layers"] == 4.0
    assert rows["layers.1"] == 4.0, "two alike, of an engine each"
    assert rows["layers.1.norm"] is None
    assert rows["layers.0"] is None
    assert [row.engine_ms for row in by_line(report)] == [None, None]
    assert "engines of its own take 4 ms" in sentence(by_module(report)[0])


def test_blocks_that_are_alike_are_one_row_with_their_count() -> None:
    names = [module_name(row) for row in by_module(blocks())]
    assert names == [
        "(model)",
        "layers",
        "3x layers.[0-2]",
        "3x layers.[0-2].norm",
        "3x layers.[0-2].attention",
    ]
    row = by_module(blocks())[2]
    assert (row.operators, row.narrowed, row.engines) == (6, 6, (0, 1, 2))


def test_a_block_of_which_one_operator_is_refused_is_a_row_of_its_own() -> None:
    names = [module_name(row) for row in by_module(blocks(odd=1))]
    assert "2x layers.[0, 2]" in names
    assert "layers.1.attention" in names


def test_the_line_that_costs_most_comes_first_and_inputs_come_last() -> None:
    rows = by_line(blocks(odd=0))
    assert line_name(rows[0]) == "m.py:11"
    constant = NodeRecord(name="w", op="get_attr", target="layers.w")
    more = msgspec.structs.replace(blocks(odd=0), nodes=(constant, *blocks(odd=0).nodes))
    assert by_line(more)[-1].file is None
    assert by_module(more)[1].own == ("w",)
    (first,) = by_line(canned.UPSTREAM)
    assert (line_name(first), first.torch_ops, first.refused) == ("island.py:41", 1, 1)
    assert costs(first)


def test_numbers_in_a_row_are_a_range() -> None:
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2, 5, 7-8"
    assert ranges([]) == ""
