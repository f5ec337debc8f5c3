"""Where a program needs float64: integers that go through it and come back as integers."""

from __future__ import annotations

from dataclasses import dataclass

from trtdbg.records import NodeRecord, Report

MAKING = frozenset(
    {"_to_copy", "add", "sub", "rsub", "mul", "div", "pow", "maximum", "minimum"}
    | {"remainder", "fmod", "floor_divide"}
)
"""Operators that make a float64 of an integer operand's value; of an index nothing is made."""

CARRYING = MAKING | frozenset(
    {"floor", "ceil", "round", "trunc", "neg", "abs", "sqrt", "log2", "log10", "sum", "cumsum"}
    | {"clamp", "clamp_min", "clamp_max", "relu", "sign", "where", "cat", "stack", "clone"}
    | {"view", "reshape", "_reshape_copy", "permute", "transpose", "expand", "slice", "select"}
    | {"squeeze", "unsqueeze", "repeat", "flatten", "alias"}
)
"""Operators whose result is still the integers, computed with."""

INTEGERS = ("int64", "int32")


@dataclass(frozen=True)
class Detour:
    """Integers computed in float64 and made integers again."""

    enters: NodeRecord
    """The first operator that makes them float64."""
    rounds: NodeRecord
    """The last one that computes in float64."""
    back: NodeRecord
    """The cast to integers."""
    nodes: tuple[str, ...]
    """All that compute in float64, in graph order."""


def detours(report: Report) -> tuple[Detour, ...]:
    """Returns where integers pass through float64 of which something is computed in float32.

    What stays in PyTorch entirely keeps its float64, unless timing `early` narrows it. A
    computed float64 that no integers went into ends the way: then it is no longer integers
    that are computed with.
    """
    nodes = {node.name: node for node in report.nodes}
    passed: dict[str, tuple[str, ...]] = {}
    found = []
    for node in report.nodes:
        behind = tuple(name for name in node.operands if name in passed)
        if node.inferred == "float64":
            if _carries(node, behind, nodes):
                passed[node.name] = behind
        elif node.inferred in INTEGERS and behind and _name(node) == "_to_copy":
            way = _way(behind, passed)
            if any(_is_narrow(report, nodes[name]) for name in way):
                ordered = tuple(n.name for n in report.nodes if n.name in way)
                found.append(Detour(nodes[ordered[0]], nodes[behind[0]], node, ordered))
    return tuple(found)


def needing(report: Report) -> frozenset[str]:
    """Returns the operators whose float64 is needed: to narrow it changes the numbers."""
    return frozenset(name for detour in detours(report) for name in detour.nodes)


def _carries(node: NodeRecord, behind: tuple[str, ...], nodes: dict[str, NodeRecord]) -> bool:
    """Returns whether a float64 value is integers that came into float64 here or before."""
    name = _name(node)
    others = [nodes[n] for n in node.operands if n in nodes and n not in behind]
    if any(other.inferred == "float64" and other.op == "call_function" for other in others):
        return False
    if behind:
        return name in CARRYING
    return name in MAKING and any(other.inferred in INTEGERS for other in others)


def _way(last: tuple[str, ...], passed: dict[str, tuple[str, ...]]) -> set[str]:
    way, waiting = set[str](), list(last)
    while waiting:
        name = waiting.pop()
        if name not in way:
            way.add(name)
            waiting += passed[name]
    return way


def _is_narrow(report: Report, node: NodeRecord) -> bool:
    if report.policy.timing.narrows_pytorch:
        return node.truncated == "float32"
    # TensorRT has no float64, whatever the policy says of it.
    return node.engine is not None


def _name(node: NodeRecord) -> str:
    parts = node.target.split(".")
    return parts[1] if len(parts) > 1 else node.target
