"""Writes one node of a graph down as Python that builds it alone, with its metadata."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import GraphModule, Node

from trtdbg.compat.interpreter import torch_dtype_of
from trtdbg.errors import StageError
from trtdbg.graphs.graph import fetch_attr, node_value

SMALL_CONSTANT = 64
"""Elements up to which the values of a constant are written down; larger ones are ones."""

_NAMED = (torch.dtype, torch.layout, torch.memory_format)


@dataclass
class Sizes:
    """Symbolic sizes by the names that a recipe gives them."""

    names: dict[str, tuple[str, int]] = field(default_factory=dict)

    def name(self, size: torch.SymInt) -> str:
        """Returns the name of a size, the same for equal expressions."""
        text = str(size)
        if text not in self.names:
            hint = getattr(size.node, "hint", None)
            self.names[text] = (f"d{len(self.names)}", hint if isinstance(hint, int) else 8)
        return self.names[text][0]


def written(
    node: Node,
    module: GraphModule,
    sizes: Sizes,
    *,
    alone: bool,
    dtypes: dict[str, str] | None = None,
) -> tuple[str, ...]:
    """Returns the lines that build a node from what it reads.

    Args:
        node: a node of `module`.
        module: holds the constants.
        sizes: takes the symbolic sizes that occur.
        alone: whether its operands are inputs and its value an output, as in an engine of its
            own, or operators stand before and behind it wherever they do in `module`.
        dtypes: TensorRT's dtypes of operands by name, where they are to be declared.

    Raises:
        StageError: an argument cannot be written down as Python.
    """
    writer = _Writer(module, sizes, alone, dtypes or {})
    lines = writer.node(node, "node")
    used = sorted({u.args[1] for u in node.users if u.target is operator.getitem})
    inner = not alone and any(user.op != "output" for user in node.users)
    return (*lines, f"return one.module(node, inner={inner}, results={used!r})")


class _Writer:
    def __init__(
        self, module: GraphModule, sizes: Sizes, alone: bool, dtypes: dict[str, str]
    ) -> None:
        self._module = module
        self._sizes = sizes
        self._alone = alone
        self._dtypes = dtypes
        self._names: dict[Node, str] = {}

    def node(self, node: Node, name: str) -> list[str]:
        lines = [
            line for operand in node.all_input_nodes for line in self._operand(node, operand)
        ]
        args, kwargs = self._value(node.args), self._value(node.kwargs)
        call = f"{_target(node)}, {args}, {kwargs}, {self._described(node)}"
        self._names[node] = name
        return [*lines, f'{name} = one.call("{name}", {call})']

    def _operand(self, reader: Node, operand: Node) -> list[str]:
        if operand in self._names:
            return []
        kind = "c" if operand.op == "get_attr" else "x"
        name = f"{kind}{len(self._names)}"
        if reader.target is operator.getitem and operand.op == "call_function":
            # The validator of getitem asks about the operator whose result it takes.
            return self.node(operand, name)
        self._names[operand] = name
        if operand.op == "get_attr":
            value = fetch_attr(self._module, str(operand.target))
            constant = f"{_constant(value)}, {self._described(operand)}"
            return [f'{name} = one.constant("{name}", {constant})']
        inner = not self._alone and operand.op == "call_function"
        made = f"{self._described(operand)}, inner={inner}"
        return [f'{name} = one.input("{name}", {made})']

    def _described(self, node: Node) -> str:
        """Returns a node's value and what its `tensor_meta` says."""
        value = node_value(node)
        declared = (
            torch_dtype_of(self._dtypes[node.name]) if node.name in self._dtypes else None
        )
        if declared is not None and isinstance(value, torch.Tensor):
            return f'{self._fake(value, declared)}, "fresh"'
        return f"{self._fake(value)}, {_recorded(node, value)!r}"

    def _fake(self, value: Any, dtype: torch.dtype | None = None) -> str:
        if isinstance(value, torch.Tensor):
            shape = ", ".join(self._value(size) for size in value.shape)
            return f"tensor([{shape}], {dtype or value.dtype})"
        if isinstance(value, (tuple, list)):
            return f"({''.join(self._fake(each) + ', ' for each in value)})"
        return self._value(value)

    def _value(self, value: Any) -> str:
        """Returns the Python that makes an argument."""
        match value:
            case Node():
                return self._names[value]
            case torch.SymInt():
                return self._sizes.name(value)
            case float() if not math.isfinite(value):
                return f'float("{value}")'
            case None | bool() | int() | float() | complex() | str():
                return repr(value)
            case torch.device():
                return f'torch.device("{value}")'
            case slice():
                parts = (value.start, value.stop, value.step)
                return f"slice({', '.join(map(self._value, parts))})"
            case dict():
                items = (f"{key!r}: {self._value(each)}" for key, each in value.items())
                return f"{{{', '.join(items)}}}"
            case list():
                return f"[{', '.join(map(self._value, value))}]"
            case tuple():
                return f"({''.join(self._value(each) + ', ' for each in value)})"
        if isinstance(value, _NAMED):
            return str(value)
        raise StageError(f"an argument of type {type(value).__name__} cannot be written down")


def _target(node: Node) -> str:
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload):
        namespace, _, name = target._schema.name.partition("::")
        return f"torch.ops.{namespace}.{name}.{target._overloadname}"
    if getattr(target, "__module__", "") == "_operator":
        return f"operator.{target.__name__}"
    raise StageError(f"{target} cannot be called by name in another program")


def _constant(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        raise StageError(f"a constant of type {type(value).__name__} cannot be written down")
    shape, dtype = list(value.shape), value.dtype
    if value.numel() > SMALL_CONSTANT or value.is_complex():
        return f"torch.ones({shape}, dtype={dtype})"
    values = [_number(each) for each in value.detach().flatten().tolist()]
    return f"torch.tensor([{', '.join(values)}], dtype={dtype}).reshape({shape})"


def _number(value: float | int | bool) -> str:
    finite = not isinstance(value, float) or math.isfinite(value)
    return repr(value) if finite else f'float("{value}")'


def _recorded(node: Node, value: Any) -> str:
    """Returns how `tensor_meta` stands to the value: fresh, missing, or the dtype it says."""
    if not isinstance(value, (torch.Tensor, tuple, list)):
        return "missing"
    recorded = node.meta.get("tensor_meta")
    if recorded is None:
        return "missing"
    said, real = getattr(recorded, "dtype", None), getattr(value, "dtype", None)
    return "fresh" if said == real or said is None else str(said).removeprefix("torch.")
