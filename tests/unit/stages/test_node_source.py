"""A node written down as Python, with everything that its arguments can be."""

from __future__ import annotations

import operator

import pytest
import torch
from torch.fx import Graph, GraphModule, Node

from trtdbg.errors import StageError
from trtdbg.stages.node_source import Sizes, written


def graph_of(target: object, *args: object, **kwargs: object) -> tuple[Node, GraphModule]:
    """Returns a call that reads `x` (float64) and the constant `w`, and its module."""
    root = torch.nn.Module()
    root.register_buffer("w", torch.tensor([1.5, float("inf"), float("nan")]))
    graph = Graph()
    x = graph.placeholder("x")
    x.meta["val"] = torch.empty(2, 3, dtype=torch.float64, device="meta")
    w = graph.get_attr("w")
    w.meta["val"] = torch.empty(3, device="meta")
    named = {"x": x, "w": w}

    def filled(value: object) -> object:
        return named.get(value, value) if isinstance(value, str) else value

    node = graph.create_node(
        "call_function",
        target,  # type: ignore[arg-type]
        tuple(map(filled, args)),  # type: ignore[arg-type]
        {name: filled(value) for name, value in kwargs.items()},  # type: ignore[misc]
    )
    node.meta["val"] = torch.empty(2, 3, device="meta")
    graph.output(node)
    return node, GraphModule(root, graph)


def test_operands_constants_and_metadata_stand_in_the_lines() -> None:
    node, module = graph_of(torch.ops.aten.mul.Tensor, "x", "w")
    lines = written(node, module, Sizes(), alone=True)
    assert lines == (
        "x0 = one.input(\"x0\", tensor([2, 3], torch.float64), 'missing', inner=False)",
        'c1 = one.constant("c1", torch.tensor([1.5, float("inf"), float("nan")], '
        "dtype=torch.float32).reshape([3]), tensor([3], torch.float32), 'missing')",
        'node = one.call("node", torch.ops.aten.mul.Tensor, (x0, c1, ), {}, '
        "tensor([2, 3], torch.float32), 'missing')",
        "return one.module(node, inner=False, results=[])",
    )


def test_every_kind_of_argument_is_python_that_makes_it_again() -> None:
    values = (
        [1, [2.5, float("-inf")], None],
        True,
        1j,
        slice(0, None, 2),
        torch.float64,
        torch.strided,
        torch.channels_last,
        torch.device("cuda:0"),
        'it\'s\n"""quoted',
    )
    node, module = graph_of(torch.ops.aten.add.Tensor, "x", *values, dtype=torch.int64)
    call = written(node, module, Sizes(), alone=True)[1]
    text = call[call.index("(x0, ") : call.index(", tensor([2, 3]")]
    args, kwargs = eval(f"({text})", {"torch": torch, "x0": "x0"})
    assert args == ("x0", *values)
    assert kwargs == {"dtype": torch.int64}


def test_tensorrts_dtype_is_declared_where_it_is_another() -> None:
    pytest.importorskip("tensorrt_rtx")
    node, module = graph_of(torch.ops.aten.sin.default, "x")
    lines = written(node, module, Sizes(), alone=True, dtypes={"x": "FLOAT"})
    assert 'tensor([2, 3], torch.float32), "fresh"' in lines[0]


def test_what_cannot_be_written_is_an_error_and_no_wrong_file() -> None:
    node, module = graph_of(torch.ops.aten.add.Tensor, "x", torch.per_tensor_affine)
    with pytest.raises(StageError, match="of type qscheme cannot be written down"):
        written(node, module, Sizes(), alone=True)
    node, module = graph_of(graph_of, "x")
    with pytest.raises(StageError, match="cannot be called by name"):
        written(node, module, Sizes(), alone=True)


def test_getitem_brings_the_operator_whose_result_it_takes() -> None:
    graph = Graph()
    x = graph.placeholder("x")
    x.meta["val"] = torch.empty(4, device="meta")
    sort = graph.call_function(torch.ops.aten.sort.default, (x,))
    sort.meta["val"] = (torch.empty(4, device="meta"),) * 2
    item = graph.call_function(operator.getitem, (sort, 1))
    item.meta["val"] = torch.empty(4, device="meta")
    graph.output(item)
    lines = written(item, GraphModule(torch.nn.Module(), graph), Sizes(), alone=True)
    assert 'x0 = one.call("x0", torch.ops.aten.sort.default' in lines[1]
    assert lines[2].startswith('node = one.call("node", operator.getitem, (x0, 1, )')
