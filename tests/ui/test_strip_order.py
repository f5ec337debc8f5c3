"""The strip shows engines and gaps in the order in which they run."""

from __future__ import annotations

from msgspec.structs import replace

from tests.ui.canned import report
from trtdbg.analysis.strip import Stretch, stretches
from trtdbg.policy import Timing
from trtdbg.records import NodeRecord

BASE = next(node for node in report(Timing.LATE).nodes if node.op == "call_function")


def node(name: str, engine: int | None, *operands: str) -> NodeRecord:
    return replace(BASE, name=name, engine=engine, operands=operands)


def test_an_engine_whose_operators_stand_apart_is_one_block_before_what_reads_it() -> None:
    nodes = (
        node("a", 0),
        node("p", 1, "left"),
        node("b", 0, "a"),
        node("left", None, "b"),
        node("q", 1, "p"),
        node("c", 0, "b"),
    )
    assert stretches(nodes, frozenset({"left"})) == (
        Stretch(0, ("a", "b", "c")),
        Stretch(None, ("left",)),
        Stretch(1, ("p", "q")),
    )


def test_operators_in_a_row_that_pytorch_runs_are_one_gap() -> None:
    nodes = (node("a", 0), node("x", None, "a"), node("y", None, "x"), node("b", 1, "y"))
    found = stretches(nodes, frozenset({"x", "y"}))
    assert [each.nodes for each in found] == [("a",), ("x", "y"), ("b",)]


def test_every_operator_stands_in_one_stretch_even_in_a_circle() -> None:
    nodes = (node("a", 0, "b"), node("b", 1, "a"), node("c", 2))
    found = [name for each in stretches(nodes, frozenset()) for name in each.nodes]
    assert sorted(found) == ["a", "b", "c"]
