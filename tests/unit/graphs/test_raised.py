"""What is kept of an exception that a pass raised: the node, and what stood behind it."""

from __future__ import annotations

import re
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trtdbg.graphs.raised import (  # noqa: E402
    caused_by,
    raising_node,
    raising_place,
    said_at,
    why_not_run,
)


def raised(model: Any, *args: Any) -> tuple[BaseException, set[str]]:
    traced = torch.fx.symbolic_trace(model)
    with pytest.raises(RuntimeError) as caught:
        torch.fx.Interpreter(traced).run(*args)
    return caught.value, {node.name for node in traced.graph.nodes}


def test_a_missing_kernel_is_told_in_a_few_words() -> None:
    with pytest.raises(NotImplementedError) as caught:
        torch.ops.aten._cudnn_init_dropout_state(0.5, True, 1, dtype=torch.uint8, device="cpu")
    said = why_not_run(caught.value)
    assert said == "aten::_cudnn_init_dropout_state has no kernel for the CPU"
    assert why_not_run(ValueError("no")) == "ValueError: no"


class Product(torch.nn.Module):
    def forward(self, x: Any, y: Any) -> Any:
        return torch.relu(torch.matmul(x + 1, y))


def test_the_node_that_torchs_interpreter_was_at_is_named() -> None:
    error, known = raised(Product(), torch.randn(2, 3), torch.randn(2, 3))
    assert raising_node(error, known) == "matmul"


def test_a_node_of_another_graph_is_not_named() -> None:
    error, _ = raised(Product(), torch.randn(2, 3), torch.randn(2, 3))
    assert raising_node(error, {"x", "y"}) is None


def test_what_a_loop_left_behind_at_the_output_is_not_where_it_raised() -> None:
    traced = torch.fx.symbolic_trace(Product())

    def lowering_pass() -> None:
        for node in traced.graph.nodes:
            assert node is not None
        raise ValueError("in an operator that the pass put in")

    with pytest.raises(ValueError, match="put in") as caught:
        lowering_pass()
    assert raising_node(caught.value, {node.name for node in traced.graph.nodes}) is None


def test_the_node_is_found_behind_other_exceptions() -> None:
    error, known = raised(Product(), torch.randn(2, 3), torch.randn(2, 3))
    outer = ValueError("the pass gave up")
    outer.__cause__ = error
    assert raising_node(outer, known) == "matmul"
    assert str(caused_by(outer)).startswith("RuntimeError: mat1 and mat2 shapes")


def test_an_exception_without_another_behind_it_has_no_cause() -> None:
    assert caused_by(ValueError("alone")) is None


def test_a_context_that_was_hidden_is_not_told() -> None:
    hidden = ValueError("told")
    hidden.__context__, hidden.__suppress_context__ = KeyError("hidden"), True
    assert caused_by(hidden) is None


def test_a_chain_that_bites_its_tail_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert caused_by(one) == "ValueError: other"


def test_the_line_of_the_decomposition_that_raised_is_told() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch._refs.cat([torch.ones(2, 3), torch.ones(2, 3, 4)], 0)
    assert re.search(r"^torch/_?\w+/__init__\.py:\d+$", str(raising_place(caught.value)))
    outer = ValueError("the pass gave up")
    outer.__cause__ = caught.value
    assert str(raising_place(outer)).startswith("torch/_")
    assert said_at(outer).startswith("ValueError: the pass gave up (raised in torch/_")


def test_no_place_is_told_of_what_no_decomposition_raised() -> None:
    error, _ = raised(Product(), torch.randn(2, 3), torch.randn(2, 3))
    assert raising_place(error) is None
    assert said_at(ValueError("alone")) == "ValueError: alone"
