"""Where one float32 value makes what follows float32 in a model that is of half precision."""

from __future__ import annotations

from dataclasses import dataclass

from trtdbg.records import Dtype, NodeRecord, Report

LOW = ("float16", "bfloat16")


@dataclass(frozen=True)
class Leak:
    """One float32 constant or input that widens what low values are computed with."""

    node: str
    """The constant, or program input, of the lowered graph."""
    place: str
    """Its name for the user: `gain`, `input x`."""
    low: str
    """The model's type."""
    first: str
    """The first operator that reads it with a low operand and makes float32."""
    widened: int
    """Floating operators that are float32 only for it, the first included."""
    operators: int
    """Floating operators in all."""
    casts: int
    """Casts of the model from float32 back to the low type behind it."""


def leaks(report: Report) -> tuple[Leak, ...]:
    """Returns the float32 constants and inputs that widen low values, in graph order.

    What is float32 for a cast that the author wrote is meant, and no leak.
    """
    nodes = {node.name: node for node in report.nodes}
    floats = [n for n in report.nodes if n.op == "call_function" and _floating(n)]
    low = next((_one(n.original) for n in floats if _one(n.original) in LOW), None)
    if low is None:
        return ()
    found: list[Leak] = []
    for node in report.nodes:
        if node.op not in ("get_attr", "placeholder") or node.inferred != "float32":
            continue
        firsts = [
            nodes[user]
            for user in node.users
            if user in nodes and _widens(nodes[user], nodes, low)
        ]
        if firsts:
            found.append(_leak(node, firsts[0], floats, nodes, low))
    return tuple(found)


def wide_operators(report: Report) -> int:
    """Returns how many floating operators of a report compute in float32."""
    floats = (n for n in report.nodes if n.op == "call_function" and _floating(n))
    return sum(_one(node.inferred) == "float32" for node in floats)


def casts_between(report: Report, low: str) -> int:
    """Returns how many casts of a report go from float32 to a low type, or back."""
    nodes = {node.name: node for node in report.nodes}
    pairs = [
        {_one(node.inferred), *(_one(nodes[o].inferred) for o in node.operands if o in nodes)}
        for node in report.nodes
        if _is_cast(node)
    ]
    return pairs.count({"float32", low})


def _leak(
    node: NodeRecord,
    first: NodeRecord,
    floats: list[NodeRecord],
    nodes: dict[str, NodeRecord],
    low: str,
) -> Leak:
    reached, waiting, casts = {first.name}, [first], 0
    while waiting:
        for name in waiting.pop().users:
            user = nodes.get(name)
            if user is None or user.name in reached or user.op != "call_function":
                continue
            if _one(user.inferred) == "float32":
                reached.add(user.name)
                waiting.append(user)
            elif _one(user.inferred) == low and _is_cast(user):
                casts += 1
    place = node.constant or f"input {node.name}"
    return Leak(
        node=node.name,
        place=place,
        low=low,
        first=first.name,
        widened=len(reached),
        operators=len(floats),
        casts=casts,
    )


def _widens(user: NodeRecord, nodes: dict[str, NodeRecord], low: str) -> bool:
    """Returns whether an operator makes float32 of a low value and this one."""
    if user.op != "call_function" or _one(user.inferred) != "float32" or _is_cast(user):
        return False
    return any(_one(nodes[o].inferred) == low for o in user.operands if o in nodes)


def _is_cast(node: NodeRecord) -> bool:
    return node.target in ("aten._to_copy.default", "aten.to.dtype")


def _floating(node: NodeRecord) -> bool:
    return "float" in (_one(node.inferred) or "")


def _one(dtype: Dtype) -> str | None:
    return dtype[0] if isinstance(dtype, tuple) else dtype
