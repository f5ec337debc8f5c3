"""Propagates the dtypes that engines really return through the PyTorch part."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._ops import HigherOrderOperator
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_map_only

from trtdbg.graphs.graph import (
    ENGINE_PREFIX,
    NODE_MARK,
    dtype_name,
    first_line,
    output_node,
    output_values,
    torch_dtype,
)
from trtdbg.graphs.kernels import refusal, silenced_kernels
from trtdbg.graphs.splits import (
    Program,
    differ,
    engine_dtype,
    engine_values,
    fake_mode_of,
    value_of,
)


@dataclass(frozen=True)
class Settled:
    """The dtypes that flow at run time through a repaired program."""

    outputs: tuple[str | None, ...]
    """Of each program output; None for a number."""
    refused: dict[str, str]
    """Operators of the PyTorch part that refuse what they are given, with their sentence."""
    narrowed_readers: dict[str, tuple[str, str, str]]
    """Operators of the PyTorch part that read a value narrower than promised: value,
    dtypes."""


def settle(program: Program, bound: Mapping[str, tuple[str | None, ...]]) -> Settled:
    """Propagates dtypes through the PyTorch part, with the dtypes that engines really return.

    PyTorch's own meta kernels, and its CPU kernels on small tensors of zeros and ones, decide
    what an operator accepts; no part of the program is executed.

    Args:
        program: the repaired program.
        bound: engine name to the dtypes of its output bindings, None where its network could
            not be defined: that is taken to return what the graph declares. An engine that is
            missing here was not tried: it does too, except float64, which TensorRT lacks.
    """
    return _Settling(program.module, bound).run()


class _Settling:
    def __init__(
        self, module: GraphModule, bound: Mapping[str, tuple[str | None, ...]]
    ) -> None:
        self.module = module
        self.bound = bound
        self.refused: dict[str, str] = {}
        self.narrowed: dict[str, tuple[str, str, str]] = {}
        self.values: dict[Node, Any] = {}
        self.names = {
            value: source.meta.get(NODE_MARK, source.name)
            for value, source in engine_values(module)
            if source is not None
        }

    def run(self) -> Settled:
        quiet = silenced_kernels()
        with fake_mode_of(self.module), enable_python_dispatcher(), quiet:
            outputs = self._walk(self.module, None)
        names = tuple(
            dtype_name(value.dtype) if isinstance(value, torch.Tensor) else None
            for value in outputs
        )
        return Settled(names, self.refused, self.narrowed)

    def _walk(self, module: GraphModule, arguments: tuple[Any, ...] | None) -> tuple[Any, ...]:
        given = iter(arguments or ())
        for node in module.graph.nodes:
            if node.op == "placeholder":
                value = node.meta.get("val") if arguments is None else next(given)
            elif node.op == "output":
                continue
            elif node.op == "call_module":
                value = self._call_module(module, node)
            elif node.op == "call_function":
                value = self._call(node)
            else:
                value = node.meta.get("val")
            self.values[node] = value
        returned = output_node(module.graph).args[0]
        flat = returned if isinstance(returned, (tuple, list)) else (returned,)
        return tuple(self.values.get(v, v) if isinstance(v, Node) else v for v in flat)

    def _call_module(self, module: GraphModule, node: Node) -> Any:
        submodule = getattr(module, str(node.target))
        if str(node.target).startswith(ENGINE_PREFIX):
            values = [value_of(value) for value in output_values(submodule.graph)]
            dtypes = self.bound.get(str(node.target), tuple(map(_untried, values)))
            values = [
                _retyped(value, dtypes[i]) if i < len(dtypes) else value
                for i, value in enumerate(values)
            ]
        elif isinstance(submodule, GraphModule):
            operands = tuple(self.values[a] for a in node.args if isinstance(a, Node))
            values = list(self._walk(submodule, operands))
        else:
            return node.meta.get("val")
        returned = output_node(submodule.graph).args[0]
        return tuple(values) if isinstance(returned, (tuple, list)) else values[0]

    def _call(self, node: Node) -> Any:
        if isinstance(node.target, HigherOrderOperator):
            # Whether its subgraphs accept what they are given is not asked.
            value = node.meta.get("val")
        else:
            value = self._computed(node)
        self._note_narrowed(node)
        return value

    def _computed(self, node: Node) -> Any:
        args, kwargs = tree_map_only(
            Node, lambda n: self.values.get(n), (tuple(node.args), dict(node.kwargs))
        )
        target: Any = node.target
        try:
            value = target(*args, **kwargs)
        except Exception as error:
            # A meta kernel says no in whatever exception it likes.
            self.refused[node.name] = first_line(error)
            return node.meta.get("val")
        if any(differ(self.values.get(o), o.meta.get("val")) for o in node.all_input_nodes):
            before = tree_map_only(
                Node, lambda n: n.meta.get("val"), (tuple(node.args), dict(node.kwargs))
            )
            sentence = refusal(target, (args, kwargs), before)
            if sentence is not None:
                self.refused[node.name] = sentence
        return value

    def _note_narrowed(self, node: Node) -> None:
        if node.target in _CASTS:
            return
        for operand in node.all_input_nodes:
            now: Any = self.values.get(operand)
            promised: Any = operand.meta.get("val")
            if differ(now, promised):
                dtypes = (dtype_name(promised.dtype), dtype_name(now.dtype))
                self.narrowed[node.name] = (self.names.get(operand, operand.name), *dtypes)


def _untried(value: Any) -> str | None:
    dtype = engine_dtype(value)
    return dtype_name(dtype) if dtype is not None else None


def _retyped(value: Any, dtype: str | None) -> Any:
    if dtype is None or not isinstance(value, torch.Tensor):
        return value
    return value.to(torch_dtype(dtype))


_CASTS = (torch.ops.aten._to_copy.default, torch.ops.aten.to.dtype, operator.getitem)
