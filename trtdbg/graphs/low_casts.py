"""Lets some operators of a graph compute in a low floating type, with the casts that takes.

The ground of the stages that lower precision, not a stage.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch.fx import Graph, GraphModule, Node
from torch.utils._pytree import tree_map_only

from trtdbg.graphs.graph import (
    LOW_CAST,
    Edit,
    Typing,
    dtype_name,
    first_line,
    refresh_metadata,
    value_dtype,
)
from trtdbg.graphs.inference import fake_mode, is_lost, number_places
from trtdbg.graphs.kernels import silenced_kernels
from trtdbg.graphs.splits import CAST

HIGH = torch.float32
"""What a low precision replaces."""

_CARRIED = ("from_node", "stack_trace", "nn_module_stack")


class LowCasts:
    """Rewrites one graph in place, node by node, in order.

    1. A low operator reads every float32 operand in the low type, and its `dtype` argument of
       float32 becomes the low type. Integers, bools and other floats are left alone.
    2. Every other operator, and the output, reads what it read before; a cast of the model
       reads the low value itself, as widening it first changes nothing.
    3. A value is cast once a direction, right behind it, for all who read it so.
    4. Of a constant that is read in the low type there is a converted twin; one that nobody
       reads otherwise is converted itself.
    5. A cast that only widened the low type is stepped over: what it read is read instead, so
       that no two casts cancel.
    6. A number that the low type cannot hold becomes infinite, as its converter makes it.
    7. An operator whose meta kernel refuses the low operands stays as it was.

    Before: `x: float32 -> exp -> mul(w) -> output`, `mul` low
    After:  `x -> exp -> cast -> mul(w converted) -> cast -> output`
    """

    def __init__(
        self,
        module: GraphModule,
        low: Collection[str],
        dtype: torch.dtype,
        values: Mapping[str, Any],
    ) -> None:
        """Prepares it.

        Args:
            module: a copy, whose metadata says the dtypes without a low precision.
            low: names of the operators that compute low.
            dtype: the low type.
            values: the fake values that the metadata hold, by name.
        """
        self.module = module
        self.graph: Graph = module.graph
        self.low = frozenset(low)
        self.dtype = dtype
        self.values = values
        self.made: dict[tuple[Node, torch.dtype], Node] = {}
        self.mode = fake_mode(module)
        self.typing = Typing(module)
        """Its `edits`, `narrowed_constants`, `refused`, `scalars` and `low_casts`."""
        self.whole: set[Node] = set()
        """Constants that are converted themselves."""

    def run(self) -> Typing:
        """Rewrites the graph and returns its typing."""
        nodes = list(self.graph.nodes)
        with self.mode, enable_python_dispatcher(), silenced_kernels():
            for node in nodes:
                self._visit(node)
        for node in self.graph.nodes:
            if node.op != "output":
                self.typing.dtypes[node.name] = value_dtype(node.meta.get("val"))
        self.graph.lint()
        return self.typing

    def _visit(self, node: Node) -> None:
        if node.op == "get_attr" and self._is_only_low(node):
            self._convert(node, node)
            self.whole.add(node)
        if node.op == "output":
            self._restore(node)
        if node.op != "call_function":
            return
        if node.name in self.low and self._lower(node):
            return
        self._restore(node)

    def _is_only_low(self, node: Node) -> bool:
        wanted = self._is_high(node) and bool(node.users)
        return wanted and all(user.name in self.low for user in node.users)

    def _is_high(self, node: Node) -> bool:
        """Returns whether a node was float32 before anything became low."""
        value = self.values.get(node.name)
        return isinstance(value, torch.Tensor) and value.dtype == HIGH

    def _lower(self, node: Node) -> bool:
        """Makes an operator low; returns whether PyTorch takes it so."""
        before = (node.args, dict(node.kwargs))
        for operand in node.all_input_nodes:
            if self._is_high(operand) and operand.meta["val"].dtype != self.dtype:
                node.replace_input_with(operand, self._in(operand, self.dtype))
        self._lower_arguments(node)
        try:
            value = self._evaluated(node)
        except Exception as error:
            # Meta kernels raise whatever they like; the sentence is kept for the report.
            self.typing.refused[node.name] = first_line(error)
            self.typing.edits.pop(node.name, None)
            self.typing.scalars.pop(node.name, None)
            node.args, node.kwargs = before
            return False
        refresh_metadata(node, value)
        return True

    def _lower_arguments(self, node: Node) -> None:
        """Writes the low type for float32, and inf for numbers that the low type lacks."""
        before, places = Edit(node.args, dict(node.kwargs)), set(number_places(node))

        def lowered(place: int | str, item: Any) -> Any:
            if item is HIGH:
                return self.dtype
            if place not in places or type(item) is not float or not is_lost(item, self.dtype):
                return item
            self.typing.scalars[node.name] = (item, dtype_name(self.dtype))
            return item if abs(item) < 1 else math.copysign(math.inf, item)

        args = tuple(lowered(i, item) for i, item in enumerate(node.args))
        kwargs = {key: lowered(key, item) for key, item in node.kwargs.items()}
        if args != node.args or kwargs != dict(node.kwargs):
            self.typing.edits[node.name] = before
            node.args, node.kwargs = args, kwargs

    def _restore(self, node: Node) -> None:
        """Lets a node read what it read before, and types it anew where it does not."""
        changed = False
        for operand in node.all_input_nodes:
            value, before = operand.meta.get("val"), self.values.get(operand.name)
            if isinstance(value, (tuple, list)):
                changed |= value_dtype(value) != value_dtype(before)
            elif node.target in WIDENING and self._is_high(operand):
                changed |= value.dtype != HIGH
            elif self._is_high(operand) and value.dtype != HIGH:
                node.replace_input_with(operand, self._in(operand, HIGH))
        if changed and node.op == "call_function":
            refresh_metadata(node, self._evaluated(node))

    def _evaluated(self, node: Node) -> Any:
        def value_of(operand: Node) -> Any:
            return operand.meta.get("val")

        args, kwargs = tree_map_only(Node, value_of, (tuple(node.args), dict(node.kwargs)))
        target: Any = node.target
        return target(*args, **kwargs)

    def _in(self, value: Node, dtype: torch.dtype) -> Node:
        """Returns the one node that holds a value in a dtype."""
        stepped = _before_widening(value, dtype)
        if stepped is not None:
            return stepped
        key = (value, dtype)
        if key not in self.made:
            self.made[key] = self._twin(value) if value.op == "get_attr" else self._cast(*key)
        return self.made[key]

    def _twin(self, constant: Node) -> Node:
        with self.graph.inserting_after(constant):
            twin = self.graph.get_attr(str(constant.target))
        twin.meta.update(constant.meta)
        twin.meta[LOW_CAST] = constant.name
        self.typing.low_casts[twin.name] = constant.name
        self._convert(twin, constant)
        return twin

    def _convert(self, node: Node, constant: Node) -> None:
        refresh_metadata(node, self.values[constant.name].to(self.dtype))
        self.typing.narrowed_constants[node.name] = dtype_name(self.dtype)

    def _cast(self, value: Node, dtype: torch.dtype) -> Node:
        place = value
        if value.op == "placeholder":
            place = next(n for n in reversed(self.graph.nodes) if n.op == "placeholder")
        with self.graph.inserting_after(place):
            cast = self.graph.call_function(CAST, (value,), {"dtype": dtype})
        cast.meta.update({key: value.meta[key] for key in _CARRIED if key in value.meta})
        refresh_metadata(cast, value.meta["val"].to(dtype))
        cast.meta[LOW_CAST] = value.name
        self.typing.low_casts[cast.name] = value.name
        return cast


def _before_widening(value: Node, dtype: torch.dtype) -> Node | None:
    """Returns what a cast to float32 read, if it has that very dtype; else None."""
    if value.target not in WIDENING or not value.args or not isinstance(value.args[0], Node):
        return None
    before = value.args[0].meta.get("val")
    same = isinstance(before, torch.Tensor) and before.dtype == dtype
    return value.args[0] if same else None


WIDENING = (CAST, torch.ops.aten.to.dtype)
"""Casts as they stand in lowered and in exported graphs."""
