"""Type inference on fake tensors: how dtypes flow through a graph, plainly or under a policy.

The ground of two stages: `infer` types a lowered graph without changing what it computes, and
`early` makes an exported graph obey.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx import GraphModule, Node
from torch.fx.experimental.symbolic_shapes import rebind_unbacked
from torch.utils._pytree import tree_map_only

from trtdbg.dtypes import NARROWED
from trtdbg.graphs.graph import (
    Edit,
    Typing,
    dtype_name,
    fetch_attr,
    first_line,
    refresh_metadata,
    torch_dtype,
    value_dtype,
)
from trtdbg.graphs.kernels import Arguments, silenced_kernels
from trtdbg.policy import TruncationPolicy
from trtdbg.records import Dtype

REINTERPRETING_OPS = frozenset({torch.ops.aten.view.dtype})
"""Operators whose dtype argument says how to read bits; narrowing it would change the
values."""

ROUNDS_TO_ZERO = 2.0**-150
"""The largest number that float32 rounds to zero: half of its smallest subnormal."""


class RefusedError(Exception):
    """PyTorch's meta kernel does not take the dtypes that a node is given."""


class Inference:
    """One walk over a graph in order; the graph's metadata is the result.

    Without a policy every value is inferred anew. With one, only what the policy changes and
    what reads it; `wide_values` then holds the untruncated value of each node, by name.
    """

    def __init__(
        self,
        module: GraphModule,
        policy: TruncationPolicy | None,
        wide_values: dict[str, Any],
    ) -> None:
        self.typing = Typing(module)
        self.policy = policy
        self.changed: set[Node] = set()
        self.mode = fake_mode(module)
        self.wide_values = wide_values

    def run(self) -> Typing:
        """Types every node and returns what was seen."""
        with self.mode, enable_python_dispatcher(), silenced_kernels():
            for node in self.typing.module.graph.nodes:
                self.visit(node)
        return self.typing

    def visit(self, node: Node) -> None:
        """Types one node, whose operands are typed already."""
        if node.op == "placeholder":
            self.enter(node, "inputs")
        elif node.op == "get_attr":
            self._enter_constant(node)
        elif node.op == "call_function":
            self._call(node)
        elif node.op == "output":
            node.meta["val"] = tree_map_only(Node, lambda n: n.meta.get("val"), node.args[0])
            return
        self.typing.dtypes[node.name] = value_dtype(node.meta.get("val"))

    def enter(self, node: Node, path: str) -> None:
        """Types a value that comes into the graph from outside, by a path of the policy."""
        value = node.meta.get("val")
        narrow = self.narrow(path, value)
        if narrow is not None:
            refresh_metadata(node, value.to(narrow))
            self.changed.add(node)
        elif self.policy is None:
            refresh_metadata(node, value)

    def _enter_constant(self, node: Node) -> None:
        if self.policy is None:
            attribute = fetch_attr(self.typing.module, str(node.target))
            if not isinstance(attribute, torch.Tensor):
                node.meta["val"] = attribute
                return
            recorded = node.meta.get("val")
            if not _same_tensor_type(recorded, attribute):
                recorded = self.mode.from_tensor(attribute, static_shapes=True)
            refresh_metadata(node, recorded)
            return
        value = node.meta.get("val")
        narrow = self.narrow("constants", value)
        if narrow is not None:
            self.typing.narrowed_constants[node.name] = dtype_name(narrow)
            refresh_metadata(node, value.to(narrow))
            self.changed.add(node)

    def narrow(self, path: str, value: Any) -> torch.dtype | None:
        """Returns the dtype that the policy gives a value on a path; None if it stays."""
        if self.policy is None or not isinstance(value, torch.Tensor):
            return None
        name = dtype_name(value.dtype)
        if name not in NARROWED or not self.policy.narrows(path, name):
            return None
        return torch_dtype(NARROWED[name])

    def _call(self, node: Node) -> None:
        edited = self._narrow_keywords(node)
        creates = self._created(node)
        reads_changed = any(operand in self.changed for operand in node.all_input_nodes)
        if self.policy is not None and not (edited or creates or reads_changed):
            return
        try:
            value = self.evaluate(node)
        except RefusedError as error:
            if self.policy is None:
                self.typing.stale[node.name] = str(error)
                return
            self.typing.refused[node.name] = str(error)
            value = self.stand_in(node)
        value = self._narrow_created(node, value)
        self._fit_scalars(node, value)
        refresh_metadata(node, value)
        if self.policy is not None and value_dtype(value) != value_dtype(
            self.wide_values.get(node.name)
        ):
            self.changed.add(node)

    def _narrow_keywords(self, node: Node) -> bool:
        if self.policy is None or node.target in REINTERPRETING_OPS:
            return False
        policy, had = self.policy, _read_by(node)

        def narrow(item: Any) -> Any:
            if isinstance(item, torch.dtype):
                name = dtype_name(item)
                # What an operand brings, the keyword does not create.
                if name in NARROWED and policy.narrows("computed", name) and name not in had:
                    return torch_dtype(NARROWED[name])
            return item

        args = tuple(narrow(arg) for arg in node.args)
        kwargs = {key: narrow(value) for key, value in node.kwargs.items()}
        if args == node.args and kwargs == dict(node.kwargs):
            return False
        self.typing.edits[node.name] = Edit(node.args, dict(node.kwargs))
        node.args, node.kwargs = args, kwargs
        return True

    def _created(self, node: Node) -> frozenset[str]:
        """Returns the wide dtypes to narrow that the untruncated node makes by itself.

        That is, which no operand of it has.
        """
        if self.policy is None or node.target is operator.getitem:
            return frozenset()
        had = _read_by(node)
        return frozenset(
            name
            for name in names_of(self.wide_values.get(node.name))
            if name in NARROWED and self.policy.narrows("computed", name) and name not in had
        )

    def evaluate(self, node: Node, instead: Mapping[Node, Any] | None = None) -> Any:
        """Returns the value that PyTorch's meta kernel gives a node.

        Args:
            node: an operator.
            instead: values to take for some operands in place of what they are typed as.

        Raises:
            RefusedError: the kernel raises, or truncation would change the shape.
        """
        args, kwargs = self.arguments(node, instead)
        target: Any = node.target
        try:
            value = target(*args, **kwargs)
        except Exception as error:
            # Meta kernels raise whatever they like; the sentence is kept for the finding.
            raise RefusedError(first_line(error)) from error
        reference = self.wide_values.get(node.name, node.meta.get("val"))
        if self.policy is not None and not _same_rank(value, reference):
            raise RefusedError("the narrow dtype changes the shape of the result")
        if self.policy is None and self.mode.shape_env is not None:
            rebind_unbacked(self.mode.shape_env, node, value)
        return value

    def arguments(self, node: Node, instead: Mapping[Node, Any] | None = None) -> Arguments:
        """Returns what a node is called with: its operands' values, or others instead."""

        def value_of(operand: Node) -> Any:
            if instead is not None and operand in instead:
                return instead[operand]
            if operand.op == "get_attr" and "val" not in operand.meta:
                # A branch of a higher-order operator is a graph, not a value.
                return fetch_attr(self.typing.module, str(operand.target))
            return operand.meta.get("val")

        values: Arguments = tree_map_only(
            Node, value_of, (tuple(node.args), dict(node.kwargs))
        )
        return values

    def stand_in(self, node: Node) -> Any:
        """Returns a value for a node that refuses what truncation gives it.

        The untruncated value, narrow where an operand has lost that wide dtype.
        """
        lost = {
            before
            for operand in node.all_input_nodes
            for before, after in zip(
                names_of(self.wide_values.get(operand.name)),
                names_of(operand.meta.get("val")),
                strict=False,
            )
            if before != after
        }
        return narrowed_where(self.wide_values[node.name], lost)

    def _narrow_created(self, node: Node, value: Any) -> Any:
        """Narrows what an operator creates: by its `dtype` keyword, or by its type."""
        created = self._created(node) & set(names_of(value))
        if not created:
            return value
        if _has_dtype_keyword(node) and isinstance(value, torch.Tensor):
            before = (node.args, node.kwargs)
            narrow = torch_dtype(NARROWED[dtype_name(value.dtype)])
            node.kwargs = {**node.kwargs, "dtype": narrow}
            try:
                narrowed = self.evaluate(node)
            except RefusedError as error:
                node.args, node.kwargs = before
                self.typing.refused[node.name] = str(error)
            else:
                self.typing.edits.setdefault(node.name, Edit(before[0], dict(before[1])))
                return narrowed
        return self.retype_created(node, value, created)

    def retype_created(self, node: Node, value: Any, created: frozenset[str]) -> Any:
        """Returns the value of an operator without keyword once its own wide dtypes narrow."""
        narrowed = narrowed_where(value, created)
        before, after = value_dtype(value), value_dtype(narrowed)
        if isinstance(before, tuple) and isinstance(after, tuple):
            after = tuple(a if a != b else None for b, a in zip(before, after, strict=True))
        self.typing.narrowed_results[node.name] = after
        return narrowed

    def _fit_scalars(self, node: Node, value: Any) -> None:
        """Notes the numbers of a node that do not survive in the dtype they now meet.

        A float beyond the range becomes inf, as narrowing does; PyTorch refuses such a number
        when it fills a float32 tensor. An integer that does not fit is left alone: it has no
        value to become.
        """
        dtype = self._met_by_scalars(node, value)
        if dtype is None:
            return
        places = set(number_places(node))

        def fit(place: int | str, item: Any) -> Any:
            if place not in places or not is_lost(item, dtype):
                return item
            self.typing.scalars[node.name] = (float(item), dtype_name(dtype))
            if isinstance(item, int) or abs(item) < 1:
                return item
            return math.copysign(math.inf, item)

        args = tuple(fit(i, item) for i, item in enumerate(node.args))
        kwargs = {key: fit(key, item) for key, item in node.kwargs.items()}
        if args != node.args or kwargs != dict(node.kwargs):
            self.typing.edits.setdefault(node.name, Edit(node.args, dict(node.kwargs)))
            node.args, node.kwargs = args, kwargs

    def _met_by_scalars(self, node: Node, value: Any) -> torch.dtype | None:
        """Returns the narrow dtype that the numbers among a node's arguments meet.

        The result's, or that of a narrowed operand where the result has none: a comparison.
        """
        if self.policy is None:
            return None
        pairs = [(value, self.wide_values.get(node.name))]
        for operand in node.all_input_nodes:
            pairs.append((operand.meta.get("val"), self.wide_values.get(operand.name)))
        for now, wide in pairs:
            if not isinstance(now, torch.Tensor) or not isinstance(wide, torch.Tensor):
                continue
            narrow: torch.dtype = now.dtype
            if narrow != wide.dtype:
                return narrow
        return None


def narrowed_where(value: Any, names: set[str] | frozenset[str]) -> Any:
    """Returns a value, each tensor in it narrow that has one of the wide dtypes named."""

    def narrow(tensor: torch.Tensor) -> torch.Tensor:
        name = dtype_name(tensor.dtype)
        return tensor.to(torch_dtype(NARROWED[name])) if name in names else tensor

    return tree_map_only(torch.Tensor, narrow, value)


def names_of(value: Any) -> tuple[str, ...]:
    """Returns the dtype names of a value, one per output; empty where there is none."""
    dtype: Dtype = value_dtype(value)
    if dtype is None:
        return ()
    return (dtype,) if isinstance(dtype, str) else tuple(name or "" for name in dtype)


def _read_by(node: Node) -> set[str]:
    """Returns the dtypes that a node's operands now have."""
    return {name for o in node.all_input_nodes for name in names_of(o.meta.get("val"))}


def is_lost(item: Any, dtype: torch.dtype) -> bool:
    """Returns whether a Python number of a dtype's own kind has no value in it."""
    if type(item) is float and (dtype.is_floating_point or dtype.is_complex):
        if math.isinf(item) or math.isnan(item) or item == 0:
            return False
        return bool(abs(item) > torch.finfo(dtype).max) or abs(item) <= ROUNDS_TO_ZERO
    if type(item) is int and not (dtype.is_floating_point or dtype.is_complex):
        limits = torch.iinfo(dtype)
        return not limits.min <= item <= limits.max
    return False


def number_places(node: Node) -> Iterator[int | str]:
    """Yields the places of arguments that are numbers to compute with, not sizes or indices.

    A number may also stand where the schema asks for a tensor.
    """
    schema = getattr(node.target, "_schema", None)
    for i, argument in enumerate(schema.arguments if schema is not None else ()):
        if str(argument.type).removeprefix("Optional[").rstrip("]") in ("number", "Tensor"):
            yield argument.name
            if not argument.kwarg_only:
                yield i


def fake_mode(module: GraphModule) -> FakeTensorMode:
    """Returns the mode of the fake tensors in a graph, its inputs' first."""
    values = [node.meta.get("val") for node in module.graph.nodes if node.op == "placeholder"]
    fakes = [value for value in values if isinstance(value, FakeTensor)]
    mode = detect_fake_mode(fakes)
    if mode is None:
        others = [node.meta.get("val") for node in module.graph.nodes]
        mode = detect_fake_mode([value for value in others if isinstance(value, FakeTensor)])
    return mode or FakeTensorMode(allow_non_fake_inputs=True)


def _same_tensor_type(recorded: Any, attribute: torch.Tensor) -> bool:
    return (
        isinstance(recorded, FakeTensor)
        and recorded.dtype == attribute.dtype
        and tuple(recorded.shape) == tuple(attribute.shape)
    )


def _same_rank(value: Any, reference: Any) -> bool:
    if isinstance(value, torch.Tensor) and isinstance(reference, torch.Tensor):
        if value.dim() != reference.dim():
            return False
        pairs = zip(value.shape, reference.shape, strict=True)
        return all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))
    return True


def _has_dtype_keyword(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return False
    return any(
        argument.name == "dtype" and argument.kwarg_only for argument in schema.arguments
    )
