"""Where one float32 value makes what follows float32 in a model that is of half precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trtdbg.records import Dtype, NodeRecord, Report

LOW = ("float16", "bfloat16")


@dataclass(frozen=True)
class Leak:
    """One float32 value that widens what low values are computed with."""

    node: str
    """The constant, program input or operator of the lowered graph that begins as float32."""
    place: str
    """Its name for the user: `gain`, `input x`, `arange`."""
    constants: tuple[str, ...]
    """The model's float32 tensors that it is, or was folded from; empty for others."""
    low: str
    """The model's type."""
    first: str
    """The first operator that makes float32 of it and a low value."""
    widened: int
    """Floating operators that are float32 for it, the first included."""
    operators: int
    """Floating operators in all."""
    casts: int
    """Casts of the model from float32 back to the low type behind it."""
    together: int
    """`widened` of all leaks of the model together."""


def leaks(report: Report) -> tuple[Leak, ...]:
    """Returns the float32 values that widen low values, in graph order of where they begin.

    An operator that reads a low and a float32 value makes float32. The latter is followed back
    to the constants, the inputs and the operators that it begins with. What is float32 for a
    cast that the author wrote of a low value is meant, and no leak.
    """
    graph = _Graph(report)
    if graph.low is None:
        return ()
    first: dict[str, NodeRecord] = {}
    for node in report.nodes:
        for operand in graph.widening(node):
            for origin in graph.origins(operand):
                first.setdefault(origin, node)
    order = [node.name for node in report.nodes if node.name in first]
    together = frozenset().union(*(graph.behind(node)[0] for node in first.values()))
    return tuple(graph.leak(name, first[name], len(together)) for name in order)


class _Graph:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.nodes = {node.name: node for node in report.nodes}
        self.floats = [n for n in report.nodes if n.op == "call_function" and _floating(n)]
        dtypes = (_one(node.original) for node in self.floats)
        self.low = next((dtype for dtype in dtypes if dtype in LOW), None)

    def operands(self, node: NodeRecord) -> list[NodeRecord]:
        return [self.nodes[name] for name in node.operands if name in self.nodes]

    def widening(self, node: NodeRecord) -> Iterator[NodeRecord]:
        """Yields the float32 operands for which an operator makes float32 of a low one."""
        if node.op != "call_function" or not _is_wide(node) or _is_cast(node):
            return
        operands = self.operands(node)
        if any(_one(each.inferred) == self.low for each in operands):
            yield from filter(_is_wide, operands)

    def origins(self, node: NodeRecord) -> frozenset[str]:
        """Returns where a float32 value begins; nothing if a cast of a low value is part."""
        waiting, seen, found = [node], {node.name}, set()
        while waiting:
            each = waiting.pop()
            operands = self.operands(each) if each.op == "call_function" else []
            if _is_cast(each) and any(_one(o.inferred) == self.low for o in operands):
                return frozenset()
            wide = [operand for operand in operands if _is_wide(operand)]
            if not wide:
                found.add(each.name)
            waiting += [operand for operand in wide if operand.name not in seen]
            seen.update(operand.name for operand in wide)
        return frozenset(found)

    def behind(self, first: NodeRecord) -> tuple[frozenset[str], int]:
        """Returns what is float32 for an operator, itself included, and the casts back."""
        reached, waiting, casts = {first.name}, [first], 0
        while waiting:
            for reader in waiting.pop().users:
                user = self.nodes.get(reader)
                if user is None or user.name in reached or user.op != "call_function":
                    continue
                if _is_wide(user):
                    reached.add(user.name)
                    waiting.append(user)
                elif _one(user.inferred) == self.low and _is_cast(user):
                    casts += 1
        return frozenset(reached), casts

    def leak(self, name: str, first: NodeRecord, together: int) -> Leak:
        assert self.low is not None
        node, (reached, casts) = self.nodes[name], self.behind(first)
        constants = self._constants(node)
        return Leak(
            node=name,
            place=", ".join(constants) or _place(node),
            constants=constants,
            low=self.low,
            first=first.name,
            widened=len(reached),
            operators=len(self.floats),
            casts=casts,
            together=together,
        )

    def _constants(self, node: NodeRecord) -> tuple[str, ...]:
        """Returns the model's tensors that a constant is, or was folded from."""
        if node.op != "get_attr":
            return ()
        added = (i for i, record in enumerate(self.report.passes) if node.name in record.added)
        place = next(added, 0)
        if node.from_node is None or not place or self.report.passes[place].name != FOLDING:
            return (node.constant or node.name,)
        pool = self.report.graph_nodes
        before = [pool[i] for i in self.report.passes[place - 1].graph]
        nodes = {each.name: each for each in before}
        waiting = [each for each in before if each.from_node == node.from_node]
        seen, found = {each.name for each in waiting}, []
        while waiting:
            each = waiting.pop()
            if each.op == "get_attr" and each.dtype == "float32":
                found.append(each.target)
            new = [name for name in each.operands if name in nodes and name not in seen]
            seen.update(new)
            waiting += [nodes[name] for name in new]
        return tuple(sorted(found))


FOLDING = "constant_fold"
"""torch_tensorrt's pass that makes one constant of what only constants are read for."""


def _place(node: NodeRecord) -> str:
    if node.op == "get_attr":
        return f"what {node.from_node} makes of constants"
    return f"input {node.name}" if node.op == "placeholder" else node.name


def wide_operators(report: Report) -> int:
    """Returns how many floating operators of a report compute in float32."""
    return sum(_is_wide(node) for node in report.nodes if node.op == "call_function")


def casts_between(report: Report, low: str) -> int:
    """Returns how many casts of a report go from float32 to a low type, or back."""
    nodes = {node.name: node for node in report.nodes}
    pairs = [
        {_one(node.inferred), *(_one(nodes[o].inferred) for o in node.operands if o in nodes)}
        for node in report.nodes
        if _is_cast(node)
    ]
    return pairs.count({"float32", low})


def _is_wide(node: NodeRecord) -> bool:
    return _one(node.inferred) == "float32"


def _is_cast(node: NodeRecord) -> bool:
    return node.target in ("aten._to_copy.default", "aten.to.dtype")


def _floating(node: NodeRecord) -> bool:
    return "float" in (_one(node.inferred) or "")


def _one(dtype: Dtype) -> str | None:
    return dtype[0] if isinstance(dtype, tuple) else dtype
