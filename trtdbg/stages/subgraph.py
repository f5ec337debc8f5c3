"""Cuts a smaller program out of an engine, and writes one down as a .pt2 of its own."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch.export import Dim, ExportedProgram
from torch.fx import Graph, GraphModule, Node

from trtdbg.analysis.summary import operator_text
from trtdbg.errors import StageError
from trtdbg.graphs.graph import (
    arg_text,
    args_text,
    dtype_name,
    first_line,
    node_value,
    output_values,
    target_name,
)

Piece = tuple[Node, ...]
"""An operator with the getitems that take its outputs: what is kept or left out as one."""


def pieces(engine: GraphModule) -> list[Piece]:
    """Returns the pieces of an engine in graph order.

    What computes no tensor, such as a size, is no piece: it comes with what reads it.
    """
    return [
        (node, *_getitems(node))
        for node in engine.graph.nodes
        if node.op == "call_function" and node.target is not operator.getitem and _gives(node)
    ]


def cut(engine: GraphModule, kept: Collection[int], *, outputs: bool = False) -> GraphModule:
    """Returns the subgraph of some pieces of an engine; the engine stays as it is.

    What a kept piece reads of one that is left out becomes an input, with the metadata of the
    value that it stands for. Constants are shared with the engine. Names stay.

    Args:
        engine: the subgraph that TensorRT was given.
        kept: places in `pieces`.
        outputs: whether what the engine returned is returned as well where it is kept; what
            nothing reads any more always is.

    Raises:
        StageError: nothing is kept, or the outputs of an operator cannot be told apart.
    """
    chosen = [piece for place, piece in enumerate(pieces(engine)) if place in kept]
    if not chosen:
        raise StageError("a graph without operators cannot be built")
    inside = _with_sizes(chosen)
    graph, copied = Graph(), dict[Node, Node]()
    for node in _outside(engine, inside):
        made = graph.placeholder(node.name)
        made.meta = dict(node.meta)
        copied[node] = made
    for node in engine.graph.nodes:
        if node in inside or (node.op == "get_attr" and inside.intersection(node.users)):
            copied[node] = graph.node_copy(node, copied.__getitem__)
    returned = set(output_values(engine.graph)) if outputs else set()
    ends = [node for piece in chosen for node in _ends(piece, inside, returned)]
    graph.output(tuple(copied[node] for node in ends))
    graph.eliminate_dead_code()
    return GraphModule(engine, graph)


def exported(module: GraphModule) -> ExportedProgram:
    """Returns a cut as a program that `torch.export.save` takes.

    Inputs are zeros of the shapes in the metadata; symbolic sizes stay so, in their bounds.

    Raises:
        StageError: torch.export cannot trace it.
    """
    values = [node_value(n) for n in module.graph.nodes if n.op == "placeholder"]
    examples = tuple(_example(value) for value in values)
    named: dict[str, Any] = {}
    choices = (
        tuple(_dimensions(value, named) for value in values),
        # A size that is bound to be something more than its symbol says has no name.
        tuple(_dimensions(value, None) for value in values),
    )
    failure: Exception | None = None
    for dynamic in choices if named else choices[:1]:
        try:
            return torch.export.export(module, examples, dynamic_shapes=dynamic, strict=False)
        except Exception as error:
            # Tracing raises what it likes; the sentence is kept.
            failure = error
    assert failure is not None
    raise StageError(f"torch.export cannot trace it: {first_line(failure)}") from failure


def lines(module: GraphModule) -> tuple[str, ...]:
    """Returns a graph as lines to read: what is given, then a line for each operator."""
    given = [n for n in module.graph.nodes if n.op in ("placeholder", "get_attr")]
    made = [n for n in module.graph.nodes if n.op == "call_function"]
    returned = ", ".join(arg_text(value) for value in output_values(module.graph))
    return (
        *(f"{node.name}: {_described(node_value(node))}" for node in given),
        *(f"{n.name} = {_call(n)}  # {_described(node_value(n))}" for n in made),
        f"return {returned}",
    )


def _call(node: Node) -> str:
    return f"{operator_text(target_name(node))}({args_text(node)})"


def _described(value: Any) -> str:
    """Returns dtype and shape: `float32[2, 3]`."""
    if isinstance(value, (tuple, list)):
        return ", ".join(_described(each) for each in value)
    if isinstance(value, torch.Tensor):
        sizes = ", ".join(map(str, value.shape))
        return f"{dtype_name(value.dtype)}[{sizes}]"
    return type(value).__name__


def _getitems(node: Node) -> list[Node]:
    return [user for user in node.users if user.target is operator.getitem]


def _gives(node: Node) -> bool:
    value = node_value(node)
    values = value if isinstance(value, (tuple, list)) else (value,)
    return any(isinstance(each, torch.Tensor) for each in values)


def _with_sizes(chosen: Iterable[Piece]) -> set[Node]:
    """Returns the nodes of the pieces and of what they read that is no tensor."""
    inside = {node for piece in chosen for node in piece}
    waiting = list(inside)
    while waiting:
        for operand in waiting.pop().all_input_nodes:
            if operand.op == "call_function" and operand not in inside and not _gives(operand):
                inside.add(operand)
                waiting.append(operand)
    return inside


def _outside(engine: GraphModule, inside: set[Node]) -> list[Node]:
    """Returns what is read from outside and is no constant, in graph order."""
    read = {operand for node in inside for operand in node.all_input_nodes} - inside
    return [node for node in engine.graph.nodes if node in read and node.op != "get_attr"]


def _ends(piece: Piece, inside: set[Node], returned: set[Any]) -> list[Node]:
    """Returns the values of a piece that its subgraph returns."""
    node, *items = piece
    values = items or [node]
    if isinstance(node_value(node), (tuple, list)) and not items:
        raise StageError(f"nothing takes an output of {node.name}")
    if any(inside.intersection(value.users) for value in values):
        return [value for value in values if value in returned]
    return values


def _example(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        sizes = [_hint(size) for size in value.shape]
        return torch.zeros(sizes, dtype=value.dtype)
    return _hint(value)


def _hint(size: int | torch.SymInt) -> int:
    if isinstance(size, torch.SymInt):
        hint = size.node.hint
        return hint if isinstance(hint, int) else _bounds(size)[0]
    return size


def _dimensions(value: Any, named: dict[str, Any] | None) -> Any:
    """Returns the symbolic sizes of a value by their places, None for what has none.

    Args:
        value: of an input.
        named: takes a dimension for each symbol, so that equal sizes stay equal; None gives
            every size its bounds alone.
    """
    if not isinstance(value, torch.Tensor):
        return None
    return {
        place: _dimension(size, named)
        for place, size in enumerate(value.shape)
        if isinstance(size, torch.SymInt)
    }


def _dimension(size: torch.SymInt, named: dict[str, Any] | None) -> Any:
    low, high = _bounds(size)
    if named is None or not size.node.expr.is_symbol:
        return Dim.AUTO(min=low, max=high)
    return named.setdefault(str(size), Dim(f"d{len(named)}", min=low, max=high))


def _bounds(size: torch.SymInt) -> tuple[int, int | None]:
    from torch_tensorrt.dynamo.utils import extract_var_range_info

    found = extract_var_range_info(size)
    return found["min"], found["max"]
