"""Where float64 is needed, on records made by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests import canned
from trtdbg.analysis.findings import Evidence, find
from trtdbg.policy import Timing, TruncationPolicy
from trtdbg.records import NodeRecord, Report


def node(name: str, target: str, dtype: str, *operands: str, **more: Any) -> NodeRecord:
    fields: dict[str, Any] = {
        "op": "call_function",
        "original": dtype,
        "recorded": dtype,
        "inferred": dtype,
        "truncated": "float32" if dtype == "float64" else dtype,
        "engine": 0,
    }
    return NodeRecord(name=name, target=f"aten.{target}", operands=operands, **(fields | more))


IDS = node("ids", "ids", "int64", op="placeholder", engine=None)


def report(*nodes: NodeRecord, timing: Timing = Timing.LATE) -> Report:
    return msgspec.structs.replace(
        canned.LATE, nodes=(IDS, *nodes), policy=TruncationPolicy(timing=timing), constants=()
    )


def needed(made: Report) -> list[str | None]:
    return [f.node for f in find(made, Evidence()) if f.code == "TD405"]


def rounded(*middle: NodeRecord, last: str, **more: Any) -> tuple[NodeRecord, ...]:
    return (
        node("cast", "_to_copy.default", "float64", "ids", **more),
        *middle,
        node("back", "_to_copy.default", "int64", last),
    )


@pytest.mark.parametrize("timing", list(Timing))
def test_integers_that_go_through_float64_and_back_need_it(timing: Timing) -> None:
    way = rounded(
        node("div", "div.Tensor", "float64", "cast"),
        node("floor", "floor.default", "float64", "div"),
        last="floor",
    )
    made = report(*way, timing=timing)
    assert needed(made) == ["floor"]
    (message,) = (f.message for f in find(made, Evidence()) if f.code == "TD405")
    assert message.endswith("computed in float64: cast, div, floor")


def test_a_promotion_by_arithmetic_is_a_way_in_and_a_bare_cast_a_way_out() -> None:
    step = node("step", "step", "float64", op="get_attr")
    mul = node("mul", "mul.Tensor", "float64", "ids", "step")
    back = node("back", "_to_copy.default", "int32", "mul")
    assert needed(report(step, mul, back)) == ["mul"]


def test_integers_that_only_choose_rows_are_not_computed_with() -> None:
    rows = node("rows", "embedding.default", "float64", "table", "ids")
    table = node("table", "table", "float64", op="get_attr")
    back = node("back", "_to_copy.default", "int64", "rows")
    assert needed(report(table, rows, back)) == []


def test_a_computed_float64_that_joins_ends_the_way() -> None:
    x = node("x", "x", "float64", op="placeholder")
    exp = node("exp", "exp.default", "float64", "x")
    way = rounded(node("mul", "mul.Tensor", "float64", "cast", "exp"), last="mul")
    assert needed(report(x, exp, *way)) == []


def test_what_stays_in_pytorch_as_a_whole_keeps_its_float64() -> None:
    way = rounded(
        node("floor", "floor.default", "float64", "cast", engine=None),
        last="floor",
        engine=None,
    )
    assert needed(report(*way)) == []
    assert needed(report(*way, timing=Timing.EARLY)) == ["floor"], "narrowed in PyTorch too"
