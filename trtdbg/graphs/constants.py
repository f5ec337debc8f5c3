"""Keeps constants, and the subgraphs of control flow, where they are read.

torch_tensorrt's partitioners take every `get_attr` into an engine without asking anything: a
weight that only PyTorch reads, a dtype that TensorRT does not have, even the branch of a
`torch.cond`. Timing `upstream` shows that as it is; the others do what stands here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node

from trtdbg.graphs.graph import engine_nodes, fetch_attr, output_node

Asks = Callable[[Node], bool]
"""Returns whether the partitioner may take an operator into an engine."""


def give_pytorch_its_own(module: GraphModule, may_enter: Asks) -> frozenset[Node]:
    """Returns the constants that stay in PyTorch, after giving it copies of shared ones.

    A constant that is read both by operators that may enter an engine and by others becomes
    two nodes of the same tensor, in place. The second has the mark of the first.

    Args:
        module: a graph before partitioning.
        may_enter: asked once about each operator that reads a constant.
    """
    stay: set[Node] = set()
    asked: dict[Node, bool] = {}
    for node in [n for n in module.graph.nodes if n.op == "get_attr"]:
        for reader in node.users:
            if reader not in asked:
                asked[reader] = reader.op == "call_function" and may_enter(reader)
        outside = [reader for reader in node.users if not asked[reader]]
        if len(outside) == len(node.users):
            stay.add(node)
        elif outside:
            stay.add(_copy_for(module.graph, node, outside))
    return frozenset(stay)


def _copy_for(graph: Graph, node: Node, readers: list[Node]) -> Node:
    with graph.inserting_after(node):
        copy = graph.get_attr(str(node.target))
    copy.meta.update(node.meta)
    for reader in readers:
        reader.replace_input_with(node, copy)
    return copy


def take_out_handed_on(split: GraphModule) -> None:
    """Lets each engine, and PyTorch, read a constant itself and not from another engine.

    In place. An engine that then returns nothing any more is gone.

    Before: `engine 0 -> (result, weight); engine 1(weight)`
    After:  `engine 0 -> result; engine 1 holds the weight`
    """
    for call, engine in list(engine_nodes(split)):
        _Outputs(split, call, engine).drop_constants()


class _Outputs:
    """What one engine of a split graph returns."""

    def __init__(self, split: GraphModule, call: Node, engine: GraphModule) -> None:
        self.split, self.call, self.engine = split, call, engine
        returned = output_node(engine.graph).args[0]
        self.several = isinstance(returned, (tuple, list))
        self.values: list[Any] = list(returned) if self.several else [returned]

    def drop_constants(self) -> None:
        constants = {
            place: value
            for place, value in enumerate(self.values)
            if isinstance(value, Node) and value.op == "get_attr"
        }
        if not constants:
            return
        for place, constant in constants.items():
            for taken in list(self._taken(place)):
                self._read_directly(taken, constant)
        self._keep([i for i in range(len(self.values)) if i not in constants])

    def _taken(self, place: int) -> Iterator[Node]:
        """Yields the nodes outside that stand for one output."""
        if not self.several:
            yield self.call
            return
        for user in list(self.call.users):
            if user.target is operator.getitem and user.args[1] == place:
                yield user

    def _read_directly(self, taken: Node, constant: Node) -> None:
        target = str(constant.target)
        value = fetch_attr(self.engine, target)
        engines = dict(engine_nodes(self.split))
        for reader in list(taken.users):
            if reader in engines and isinstance(value, torch.Tensor):
                _move_inside(reader, engines[reader], taken, constant, value)
        if not taken.users:
            return
        _set_attr(self.split, target, value)
        with self.split.graph.inserting_before(self.call):
            outside = self.split.graph.get_attr(target)
        outside.meta.update(constant.meta)
        taken.replace_all_uses_with(outside)

    def _keep(self, places: list[int]) -> None:
        graph = self.split.graph
        for user in list(self.call.users):
            if self.several and user.args[1] not in places:
                graph.erase_node(user)
        if not places:
            graph.erase_node(self.call)
            delattr(self.split, str(self.call.target))
            return
        kept = [self.values[place] for place in places]
        output = output_node(self.engine.graph)
        output.args = (kept[0] if len(kept) == 1 else tuple(kept),)
        # Parts after the partitioner return one value bare, several as a tuple.
        for user in list(self.call.users):
            if len(kept) == 1:
                user.replace_all_uses_with(self.call)
                graph.erase_node(user)
            else:
                user.args = (self.call, places.index(int(str(user.args[1]))))
        for key in ("val", "tensor_meta"):
            self.call.meta.pop(key, None)
        self.engine.graph.eliminate_dead_code()
        self.engine.recompile()


def _move_inside(
    call: Node, engine: GraphModule, operand: Node, constant: Node, value: torch.Tensor
) -> None:
    """Makes an operand of an engine a constant of the engine."""
    places = [i for i, each in enumerate(call.args) if each is operand]
    inputs = [node for node in engine.graph.nodes if node.op == "placeholder"]
    _set_attr(engine, str(constant.target), value)
    for place in places:
        with engine.graph.inserting_after(inputs[-1]):
            inside = engine.graph.get_attr(str(constant.target))
        inside.meta.update(constant.meta)
        inputs[place].replace_all_uses_with(inside)
        engine.graph.erase_node(inputs[place])
    call.args = tuple(each for i, each in enumerate(call.args) if i not in places)
    engine.recompile()


def _set_attr(module: torch.nn.Module, target: str, value: Any) -> None:
    """Puts what a `get_attr` names into another module, under the same path."""
    *folders, name = target.split(".")
    for folder in folders:
        if not hasattr(module, folder):
            module.add_module(folder, torch.nn.Module())
        module = getattr(module, folder)
    if hasattr(module, name):
        return
    if isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter):
        module.register_buffer(name, value)
    else:
        setattr(module, name, value)
