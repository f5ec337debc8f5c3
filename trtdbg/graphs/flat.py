"""A split graph as one list of steps, submodules included, in the order they run.

This is ground for the stages that run or describe a split graph, not a stage.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_flatten, tree_map_only

from trtdbg.graphs.graph import NODE_MARK, output_node
from trtdbg.graphs.splits import is_engine, placeholders


@dataclass(frozen=True)
class FlatStep:
    """One node that makes a value; its operands are the nodes of other steps."""

    node: Node
    owner: GraphModule
    """The graph that holds the node, and the constants that it names."""
    engine: str | None
    """The engine's submodule that holds the node; None for the PyTorch part."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    entry: bool = False
    """The value enters an engine here: `args` holds the one outside."""

    @property
    def mark(self) -> str | None:
        """The node of the lowered graph that this one stands for; None for an inserted one."""
        mark: str | None = self.node.meta.get(NODE_MARK)
        return mark

    def operands(self) -> list[Node]:
        """Returns the nodes whose values are read, with repetition."""
        leaves, _ = tree_flatten((self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, Node)]


@dataclass(frozen=True)
class Flat:
    """Steps in the order they run, only those that an output needs."""

    steps: tuple[FlatStep, ...]
    outputs: tuple[Any, ...]
    """What the program returns, flat: nodes of steps, or numbers and None."""

    def reads(self) -> Counter[Node]:
        """Returns how often each value is read, an output counting as a read."""
        counted = Counter(node for step in self.steps for node in step.operands())
        counted.update(output for output in self.outputs if isinstance(output, Node))
        return counted


def flatten(
    module: GraphModule, *, entries: bool = False, whole_engines: bool = False
) -> Flat:
    """Returns the steps of a split graph with its submodules' nodes in place of their calls.

    Wiring (submodule calls, taking an element of their outputs, placeholders of submodules)
    makes no step.

    Args:
        module: a split graph.
        entries: lets an engine's placeholder be a step, so that the value it gets can be
            converted on the way in.
        whole_engines: lets an engine's call be a step, and the elements taken of it.
    """
    return _Flattening(entries, whole_engines).run(module)


class _Flattening:
    def __init__(self, entries: bool, whole_engines: bool) -> None:
        self.entries = entries
        self.whole_engines = whole_engines
        self.steps: list[FlatStep] = []
        self.alias: dict[Node, Any] = {}

    def run(self, module: GraphModule) -> Flat:
        self._walk(module, None, outermost=True)
        returned = self._resolve(output_node(module.graph).args[0])
        leaves = tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)
        return Flat(tuple(_needed(self.steps, leaves)), leaves)

    def _walk(self, module: GraphModule, engine: str | None, *, outermost: bool) -> None:
        for node in module.graph.nodes:
            if node.op == "output" or (node.op == "placeholder" and not outermost):
                continue
            submodule = _submodule(module, node)
            if submodule is not None and not (self.whole_engines and is_engine(node)):
                self._enter(node, submodule, engine)
            elif node.target is operator.getitem and self._is_wiring(node):
                self.alias[node] = self.alias[node.args[0]][node.args[1]]
            else:
                self._add(node, module, engine)

    def _enter(self, call: Node, submodule: GraphModule, engine: str | None) -> None:
        inside = str(call.target) if is_engine(call) else engine
        for placeholder, operand in zip(placeholders(submodule), call.args, strict=True):
            given = self._resolve(operand)
            if is_engine(call) and self.entries and isinstance(given, Node):
                self.steps.append(
                    FlatStep(placeholder, submodule, inside, (given,), {}, entry=True)
                )
            else:
                self.alias[placeholder] = given
        self._walk(submodule, inside, outermost=False)
        self.alias[call] = self._resolve(output_node(submodule.graph).args[0])

    def _is_wiring(self, node: Node) -> bool:
        source = node.args[0]
        return isinstance(source, Node) and isinstance(self.alias.get(source), (tuple, list))

    def _add(self, node: Node, owner: GraphModule, engine: str | None) -> None:
        args, kwargs = self._resolve((tuple(node.args), dict(node.kwargs)))
        self.steps.append(FlatStep(node, owner, engine, args, kwargs))

    def _resolve(self, value: Any) -> Any:
        return tree_map_only(Node, lambda node: self.alias.get(node, node), value)


def _submodule(module: GraphModule, node: Node) -> GraphModule | None:
    if node.op != "call_module":
        return None
    submodule = module.get_submodule(str(node.target))
    return submodule if isinstance(submodule, GraphModule) else None


def _needed(steps: list[FlatStep], outputs: tuple[Any, ...]) -> Iterator[FlatStep]:
    """Yields the steps that an output needs; checks and writes to buffers are not."""
    wanted = {output for output in outputs if isinstance(output, Node)}
    needed: set[Node] = set()
    for step in reversed(steps):
        if step.node in wanted or step.node.op == "placeholder":
            needed.add(step.node)
            wanted.update(step.operands())
    yield from (step for step in steps if step.node in needed)
