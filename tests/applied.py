"""Makes the changes that a counterfactual states, from its record alone, and asks again."""

from __future__ import annotations

import ast
import copy
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx import GraphModule, Node
from torch.fx.passes.shape_prop import _extract_tensor_metadata
from torch.utils._pytree import tree_map_only

from trtdbg.records import Change, ChangePlace, Counterfactual


def accepts(module: Any, name: str, options: Any) -> bool:
    """Returns torch_tensorrt's own answer on a node, nothing of trtdbg's in between."""
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS
    from torch_tensorrt.dynamo.partitioning._global_partitioner import (
        TorchTensorRTOperatorSupport,
    )

    DYNAMO_CONVERTERS.set_compilation_settings(options)
    support = TorchTensorRTOperatorSupport(torch_executed_ops=options.torch_executed_ops)
    try:
        return bool(support.is_node_supported({}, named(module, name)))
    except Exception:
        return False


def accepts_changed(
    module: Any, name: str, found: Counterfactual, options: Any, inferred: Any = None
) -> bool:
    """Returns that answer on a copy of a module with the stated changes made."""
    twin = GraphModule(module, copy.deepcopy(module.graph))
    for node, original in zip(twin.graph.nodes, module.graph.nodes, strict=True):
        node.name = original.name
        node.meta = dict(original.meta)
    options = copy.copy(options)
    for change in found.changes:
        _apply(twin, change, options, inferred)
    given = {change.node for change in found.changes if change.place in _VALUES}
    called = {change.node for change in found.changes} - given
    for node in twin.graph.nodes:
        # What a changed node computes changes with it, up to the node that was refused.
        if node.name in called or (node.name == name and name not in given):
            compute(node)
    return accepts(twin, name, options)


_VALUES = (ChangePlace.OPERAND, ChangePlace.METADATA, ChangePlace.SHAPE)


def named(module: Any, name: str) -> Node:
    """Returns the node of a name."""
    return next(node for node in module.graph.nodes if node.name == name)


def set_value(node: Node, value: Any) -> None:
    """Writes `val` and `tensor_meta`."""
    node.meta["val"] = value
    if isinstance(value, torch.Tensor):
        node.meta["tensor_meta"] = _extract_tensor_metadata(value)


def _apply(module: Any, change: Change, options: Any, inferred: Any) -> None:
    if change.place is ChangePlace.SETTING:
        setattr(options, str(change.name), set() if change.after == "set()" else False)
        return
    node = named(module, change.node)
    value = node.meta.get("val")
    match change.place:
        case ChangePlace.OPERAND:
            set_value(node, retyped(value, str(change.after)))
        case ChangePlace.METADATA:
            set_value(node, named(inferred, change.node).meta["val"])
        case ChangePlace.SHAPE:
            with value.fake_mode:
                set_value(node, value.new_empty(ast.literal_eval(str(change.after))))
        case ChangePlace.KEYWORD:
            kwargs = dict(node.kwargs)
            kwargs.pop(str(change.name), None)
            if change.after is not None:
                kwargs[str(change.name)] = _read(change.after)
            node.kwargs = kwargs
        case ChangePlace.ARGUMENT:
            position, *inner = map(int, str(change.name).split("."))
            args = list(node.args)
            if position == len(args):
                args.append(None)
            if inner:
                args[position] = list(args[position])
                args[position][inner[0]] = _read(str(change.after))
            else:
                args[position] = _read(str(change.after))
            node.args = tuple(args)


def retyped(value: FakeTensor, dtype: str) -> Any:
    """Returns a fake tensor like another with a dtype of its own."""
    with value.fake_mode:
        return torch.empty_like(value, dtype=getattr(torch, dtype))


def _read(text: str) -> Any:
    if isinstance(getattr(torch, text, None), torch.dtype):
        return getattr(torch, text)
    return ast.literal_eval(text)


def compute(node: Node) -> None:
    """Writes the value that fake tensors compute for a node."""
    args, kwargs = tree_map_only(Node, lambda n: n.meta["val"], (node.args, dict(node.kwargs)))
    fakes = [n.meta["val"] for n in node.all_input_nodes]
    mode = next((v.fake_mode for v in fakes if isinstance(v, FakeTensor)), None)
    if mode is None:
        mode = node.meta["val"].fake_mode
    with mode, enable_python_dispatcher():
        set_value(node, node.target(*args, **kwargs))
