"""Type inference on fake tensors, plain and under a truncation policy."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx import GraphModule, Node
from torch.fx.experimental.symbolic_shapes import rebind_unbacked
from torch.utils._pytree import tree_map_only

from trtdbg.dtypes import NARROWED
from trtdbg.policy import TruncationPolicy
from trtdbg.records import Dtype
from trtdbg.stages.graph import (
    Edit,
    Typing,
    copy_graph_module,
    dtype_name,
    fetch_attr,
    first_line,
    refresh_metadata,
    torch_dtype,
    value_dtype,
)

REINTERPRETING_OPS = frozenset({torch.ops.aten.view.dtype})
"""Operators whose dtype argument says how to read bits; narrowing it would change the
values."""


def infer(module: GraphModule) -> Typing:
    """Infers every dtype and shape of a lowered graph with nothing truncated.

    Works on a copy. A node whose kernel raises keeps its recorded value and stands in `stale`.
    """
    return _Inference(copy_graph_module(module), None, {}).run()


def infer_truncated(inferred: Typing, policy: TruncationPolicy) -> Typing:
    """Infers every dtype of a lowered graph under a policy, from its plain inference.

    Works on a copy, and again only downstream of what the policy changes:

    1. A program input of a wide dtype in `policy.inputs` is narrow.
    2. A constant of a wide dtype in `policy.constants` is narrow.
    3. A dtype keyword or positional dtype in `policy.computed` is narrow.
    4. An operator that creates a dtype in `policy.computed` from operands that do not have it
       gets a `dtype` keyword if its schema has one, and is typed narrow otherwise (argmax).
    5. An operator whose PyTorch kernel refuses the result is typed as its untruncated self,
       each result narrow whose wide dtype an operand has lost. It stands in `refused`.
    """
    copy = copy_graph_module(inferred.module)
    values = {node.name: node.meta.get("val") for node in inferred.module.graph.nodes}
    typing = _Inference(copy, policy, values).run()
    typing.stale.update(inferred.stale)
    return typing


def infer_in_place(
    module: GraphModule, policy: TruncationPolicy, user_inputs: set[str]
) -> Typing:
    """Infers the dtypes of an exported graph under a policy and makes it obey, in place.

    As `infer_truncated`, but what no keyword can express becomes a cast in the graph: behind
    an operator that creates a wide dtype by itself, and around one that refuses narrow
    operands.

    Args:
        module: an exported graph, whose parameters are placeholders.
        policy: what is narrowed.
        user_inputs: the placeholders that are program inputs; the others are constants.
    """
    values = {node.name: node.meta.get("val") for node in module.graph.nodes}
    return _InPlaceInference(module, policy, values, user_inputs).run()


class _RefusedError(Exception):
    pass


class _Inference:
    def __init__(
        self,
        module: GraphModule,
        policy: TruncationPolicy | None,
        wide_values: dict[str, Any],
    ) -> None:
        self.typing = Typing(module)
        self.policy = policy
        self.changed: set[Node] = set()
        self.mode = _fake_mode(module)
        self.wide_values = wide_values

    def run(self) -> Typing:
        with self.mode, enable_python_dispatcher():
            for node in self.typing.module.graph.nodes:
                self._visit(node)
        return self.typing

    def _visit(self, node: Node) -> None:
        if node.op == "placeholder":
            self._enter(node, self._path(node))
        elif node.op == "get_attr":
            self._enter_constant(node)
        elif node.op == "call_function":
            self._call(node)
        elif node.op == "output":
            node.meta["val"] = tree_map_only(Node, lambda n: n.meta.get("val"), node.args[0])
            return
        self.typing.dtypes[node.name] = value_dtype(node.meta.get("val"))

    def _path(self, node: Node) -> str:
        return "inputs"

    def _enter(self, node: Node, path: str) -> None:
        value = node.meta.get("val")
        narrow = self._narrow(path, value)
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
        narrow = self._narrow("constants", value)
        if narrow is not None:
            self.typing.narrowed_constants[node.name] = dtype_name(narrow)
            refresh_metadata(node, value.to(narrow))
            self.changed.add(node)

    def _fit_scalars(self, node: Node, value: Any) -> None:
        """Turns a Python float beyond the narrow dtype's range into inf, as narrowing does.

        PyTorch refuses such a number when it fills a float32 tensor. An integer that does not
        fit is left alone: it has no value to become.
        """
        wide = self.wide_values.get(node.name)
        if not isinstance(value, torch.Tensor) or not isinstance(wide, torch.Tensor):
            return
        if value.dtype == wide.dtype:
            return
        narrow = dtype_name(value.dtype)
        integral = not value.dtype.is_floating_point
        limit = torch.iinfo(value.dtype).max if integral else torch.finfo(value.dtype).max

        def fit(item: Any) -> Any:
            kind = int if integral else float
            if type(item) is not kind or math.isinf(item) or math.isnan(item):
                return item
            if abs(item) <= limit:
                return item
            self.typing.scalars[node.name] = (float(item), narrow)
            return item if integral else math.copysign(math.inf, item)

        args, kwargs = tuple(map(fit, node.args)), {k: fit(v) for k, v in node.kwargs.items()}
        if args != node.args or kwargs != dict(node.kwargs):
            self.typing.edits.setdefault(node.name, Edit(node.args, dict(node.kwargs)))
            node.args, node.kwargs = args, kwargs

    def _narrow(self, path: str, value: Any) -> torch.dtype | None:
        if self.policy is None or not isinstance(value, torch.Tensor):
            return None
        name = dtype_name(value.dtype)
        if name not in NARROWED or not self.policy.narrows(path, name):
            return None
        return torch_dtype(NARROWED[name])

    def _call(self, node: Node) -> None:
        edited = self._narrow_keywords(node)
        creates = self._creates_wide(node)
        reads_changed = any(operand in self.changed for operand in node.all_input_nodes)
        if self.policy is not None and not (edited or creates or reads_changed):
            return
        try:
            value = self._evaluate(node)
        except _RefusedError as error:
            if self.policy is None:
                self.typing.stale[node.name] = str(error)
                return
            self.typing.refused[node.name] = str(error)
            value = self._stand_in(node)
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
        policy = self.policy

        def narrow(item: Any) -> Any:
            if isinstance(item, torch.dtype):
                name = dtype_name(item)
                if name in NARROWED and policy.narrows("computed", name):
                    return torch_dtype(NARROWED[name])
            return item

        args = tuple(narrow(arg) for arg in node.args)
        kwargs = {key: narrow(value) for key, value in node.kwargs.items()}
        if args == node.args and kwargs == dict(node.kwargs):
            return False
        self.typing.edits[node.name] = Edit(node.args, dict(node.kwargs))
        node.args, node.kwargs = args, kwargs
        return True

    def _creates_wide(self, node: Node) -> bool:
        """Tells whether the untruncated node makes a wide dtype that no operand of it has."""
        if self.policy is None or node.target is operator.getitem:
            return False
        for name in _names(value_dtype(self.wide_values.get(node.name))):
            if name in NARROWED and self.policy.narrows("computed", name):
                kept = {
                    n
                    for o in node.all_input_nodes
                    for n in _names(value_dtype(o.meta.get("val")))
                }
                if name not in kept:
                    return True
        return False

    def _evaluate(self, node: Node) -> Any:
        args, kwargs = tree_map_only(
            Node, lambda n: n.meta.get("val"), (tuple(node.args), dict(node.kwargs))
        )
        target: Any = node.target
        try:
            value = target(*args, **kwargs)
        except Exception as error:
            # Meta kernels raise whatever they like; the sentence is kept for the finding.
            raise _RefusedError(first_line(error)) from error
        reference = self.wide_values.get(node.name, node.meta.get("val"))
        if self.policy is not None and not _same_rank(value, reference):
            raise _RefusedError("the narrow dtype changes the shape of the result")
        if self.policy is None and self.mode.shape_env is not None:
            rebind_unbacked(self.mode.shape_env, node, value)
        return value

    def _stand_in(self, node: Node) -> Any:
        """Returns the untruncated value, narrow where an operand lost its wide dtype."""
        lost = {
            before
            for operand in node.all_input_nodes
            for before, after in zip(
                _names(value_dtype(self.wide_values.get(operand.name))),
                _names(value_dtype(operand.meta.get("val"))),
                strict=False,
            )
            if before != after
        }

        def narrow(value: torch.Tensor) -> torch.Tensor:
            name = dtype_name(value.dtype)
            return value.to(torch_dtype(NARROWED[name])) if name in lost else value

        return tree_map_only(torch.Tensor, narrow, self.wide_values[node.name])

    def _narrow_created(self, node: Node, value: Any) -> Any:
        """Narrows what an operator creates: by its `dtype` keyword, or by its type."""
        if not self._creates_wide(node):
            return value
        assert self.policy is not None
        policy = self.policy
        wide = [
            name
            for name in _names(value_dtype(value))
            if name in NARROWED and policy.narrows("computed", name)
        ]
        if not wide:
            return value
        if _has_dtype_keyword(node):
            self.typing.edits.setdefault(node.name, Edit(node.args, dict(node.kwargs)))
            node.kwargs = {**node.kwargs, "dtype": torch_dtype(NARROWED[wide[0]])}
            try:
                return self._evaluate(node)
            except _RefusedError as error:
                self.typing.refused[node.name] = str(error)

        def narrow(tensor: torch.Tensor) -> torch.Tensor:
            name = dtype_name(tensor.dtype)
            return tensor.to(torch_dtype(NARROWED[name])) if name in wide else tensor

        return self._retype_created(node, value, tree_map_only(torch.Tensor, narrow, value))

    def _retype_created(self, node: Node, value: Any, narrowed: Any) -> Any:
        self.typing.narrowed_results[node.name] = value_dtype(narrowed)
        return narrowed


class _InPlaceInference(_Inference):
    """Inference over an exported graph that inserts the casts it needs."""

    def __init__(
        self,
        module: GraphModule,
        policy: TruncationPolicy,
        wide_values: dict[str, Any],
        user_inputs: set[str],
    ) -> None:
        super().__init__(module, policy, wide_values)
        self.user_inputs = user_inputs

    def _path(self, node: Node) -> str:
        return "inputs" if node.name in self.user_inputs else "constants"

    def _stand_in(self, node: Node) -> Any:
        """Widens what the operator refuses, integers alone if that is enough."""
        narrowed = [o for o in node.all_input_nodes if o in self.changed]
        integers = [o for o in narrowed if not _is_floating(self.wide_values.get(o.name))]
        for operands in (integers, narrowed):
            casts = self._widen(node, operands)
            try:
                value = self._evaluate(node)
            except _RefusedError:
                for operand, cast in casts.items():
                    node.replace_input_with(cast, operand)
                    self.typing.module.graph.erase_node(cast)
                continue
            self._cast_back(node, value)
            return value
        return self.wide_values[node.name]

    def _widen(self, node: Node, operands: list[Node]) -> dict[Node, Node]:
        casts = {}
        for operand in operands:
            wide = self.wide_values[operand.name]
            if not isinstance(wide, torch.Tensor):
                continue
            casts[operand] = self._insert_cast(node, operand, wide.dtype, before=True)
            refresh_metadata(casts[operand], wide)
            node.replace_input_with(operand, casts[operand])
        return casts

    def _cast_back(self, node: Node, value: Any) -> None:
        if not isinstance(value, torch.Tensor):
            return
        name = dtype_name(value.dtype)
        if name not in NARROWED or value.dtype != self.wide_values[node.name].dtype:
            return
        readers = list(node.users)
        cast = self._insert_cast(node, node, torch_dtype(NARROWED[name]), before=False)
        for reader in readers:
            reader.replace_input_with(node, cast)

    def _retype_created(self, node: Node, value: Any, narrowed: Any) -> Any:
        made = [node] if isinstance(value, torch.Tensor) else list(node.users)
        for each in made:
            index = each.args[1] if each is not node else None
            narrow = narrowed[index] if isinstance(index, int) else narrowed
            wide = value[index] if isinstance(index, int) else value
            if not isinstance(narrow, torch.Tensor) or narrow.dtype == wide.dtype:
                continue
            readers = list(each.users)
            cast = self._insert_cast(each, each, narrow.dtype, before=False)
            for reader in readers:
                reader.replace_input_with(each, cast)
        return value

    def _insert_cast(
        self, place: Node, value: Node, dtype: torch.dtype, *, before: bool
    ) -> Node:
        graph = self.typing.module.graph
        at = graph.inserting_before(place) if before else graph.inserting_after(place)
        with at:
            cast = graph.call_function(
                torch.ops.aten._to_copy.default, (value,), {"dtype": dtype}
            )
        for key in ("from_node", "stack_trace", "nn_module_stack"):
            if key in place.meta:
                cast.meta[key] = place.meta[key]
        return cast


def _is_floating(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and (
        value.dtype.is_floating_point or value.dtype.is_complex
    )


def _fake_mode(module: GraphModule) -> FakeTensorMode:
    values = [node.meta.get("val") for node in module.graph.nodes if node.op == "placeholder"]
    fakes = [value for value in values if isinstance(value, FakeTensor)]
    mode = detect_fake_mode(fakes)
    if mode is None:
        others = [node.meta.get("val") for node in module.graph.nodes]
        mode = detect_fake_mode([value for value in others if isinstance(value, FakeTensor)])
    return mode or FakeTensorMode(allow_non_fake_inputs=True)


def _names(dtype: Dtype) -> tuple[str, ...]:
    if dtype is None:
        return ()
    return (dtype,) if isinstance(dtype, str) else tuple(name or "" for name in dtype)


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
