"""Which nodes of two graphs are the same: one rule for the picture, the passes and bisect."""

from __future__ import annotations

from trtdbg.analysis.same_nodes import heirs, same_nodes
from trtdbg.records import GraphNode


def node(name: str, target: str = "", op: str = "call_function", **more: str) -> GraphNode:
    return GraphNode(name=name, op=op, target=target or f"aten.{name}.default", **more)


def test_a_name_is_the_same_node_only_with_the_same_operator() -> None:
    before = [node("add"), node("mul")]
    after = [node("add"), node("mul", "aten.div.Tensor")]
    assert same_nodes(before, after) == {"add": "add"}


def test_a_renamed_node_is_found_by_where_it_comes_from() -> None:
    before = [node("add_3", "aten.add.Tensor", from_node="add")]
    after = [node("add_1", "aten.add.Tensor", from_node="add")]
    assert same_nodes(before, after) == {"add_1": "add_3"}


def test_what_a_pass_put_in_the_place_of_a_node_is_that_node() -> None:
    before = [node("to", "aten.to.dtype")]
    after = [node("_to_copy", "aten._to_copy.default", from_node="to")]
    assert same_nodes(before, after) == {"_to_copy": "to"}


def test_only_the_first_of_several_takes_the_place_and_all_are_heirs() -> None:
    before = [node("gelu")]
    after = [node("mul", from_node="gelu"), node("erf", from_node="gelu")]
    assert same_nodes(before, after) == {"mul": "gelu"}
    assert heirs(before[0], after) == ["mul", "erf"]


def test_a_parameter_is_the_same_lifted_to_an_input_or_not() -> None:
    before = [node("p_weight", "p_weight", "placeholder")]
    after = [node("weight", "weight", "get_attr")]
    assert same_nodes(before, after) == {"weight": "p_weight"}
    assert same_nodes(after, before) == {"p_weight": "weight"}


def test_a_part_of_a_result_takes_no_place() -> None:
    before = [node("split")]
    after = [node("getitem", "operator.getitem", from_node="split")]
    assert same_nodes(before, after) == {}
