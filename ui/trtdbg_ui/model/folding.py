"""Blocks of a model that repeat, folded into one where dtypes and verdicts are the same."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trtdbg.analysis.likeness import node_look
from trtdbg.records import GraphNode, NodeRecord, Source


@dataclass(frozen=True)
class FoldedNode:
    """A node as folding sees it."""

    name: str
    module: str | None
    """Path of the module that holds the code, or the constant."""
    constant: bool
    pattern: Hashable
    """What has to be the same for two nodes of different blocks to be alike."""


@dataclass(frozen=True)
class Group:
    """Blocks of one kind, like `layers.0` to `layers.11`."""

    path: str
    """`layers` of `layers.0`; empty where the number stands first."""
    blocks: int
    alike: tuple[int, ...]
    """Numbers of the blocks that the first of them stands for."""
    exceptions: tuple[int, ...]
    """Numbers of the blocks that are shown by themselves."""


@dataclass(frozen=True)
class Folding:
    """What is hidden, and what stands for it."""

    hidden: frozenset[str] = frozenset()
    times: Mapping[str, int] = field(default_factory=dict)
    """How many nodes a shown one stands for, itself included."""
    exception: Mapping[str, int] = field(default_factory=dict)
    """Number of the block of a node that is unlike its place in the other blocks."""
    stands_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the nodes that a shown one stands for, itself first."""
    groups: tuple[Group, ...] = ()
    """What folded, operators and constants of one path once."""


def folded(parts: Iterable[FoldedNode]) -> Folding:
    """Returns which nodes stand for which, block by block.

    A block is what a numbered module holds: `layers.0` of `layers.0.attention.qkv`. Blocks of
    one path with the same operators, dtypes, verdicts and places fold into the first of them.
    Of a block that differs in single nodes only those are kept; one that differs in length is
    kept whole.
    """
    blocks: dict[tuple[str, bool], dict[int, list[FoldedNode]]] = {}
    for part in parts:
        place = _block(part.module)
        if place is not None:
            path, number = place
            blocks.setdefault((path, part.constant), {}).setdefault(number, []).append(part)
    hidden: set[str] = set()
    times: dict[str, int] = {}
    exception: dict[str, int] = {}
    stands_for: dict[str, tuple[str, ...]] = {}
    groups: dict[str, Group] = {}
    for (path, _), numbered in blocks.items():
        patterns: dict[tuple[Hashable, ...], list[int]] = {}
        for number, block in numbered.items():
            patterns.setdefault(tuple(part.pattern for part in block), []).append(number)
        common = max(patterns.values(), key=len)
        if len(common) < 2:
            continue
        first = numbered[common[0]]
        for at, part in enumerate(first):
            times[part.name] = len(common)
            stands_for[part.name] = tuple(numbered[number][at].name for number in common)
        for number in common[1:]:
            hidden.update(part.name for part in numbered[number])
        others = [number for number in numbered if number not in common]
        for number in others:
            for part in numbered[number]:
                exception[part.name] = number
            same = _same(first, numbered[number])
            hidden |= same
            for name in same:
                del exception[name]
        group = Group(path, len(numbered), tuple(common), tuple(sorted(others)))
        if path not in groups or group.exceptions:
            groups[path] = group
    found = tuple(groups.values())
    return Folding(frozenset(hidden), times, exception, stands_for, found)


def _same(first: Sequence[FoldedNode], block: Sequence[FoldedNode]) -> frozenset[str]:
    """Returns the names in a block that are like what stands at their place in the first."""
    if len(first) != len(block):
        return frozenset()
    pairs = zip(first, block, strict=True)
    return frozenset(part.name for one, part in pairs if one.pattern == part.pattern)


def _block(module: str | None) -> tuple[str, int] | None:
    steps = module.split(".") if module else []
    for index, step in enumerate(steps):
        if step.isdecimal():
            return ".".join(steps[:index]), int(step)
    return None


def result_parts(nodes: Iterable[NodeRecord]) -> Iterable[FoldedNode]:
    """Yields the nodes of the lowered graph; in which engine they run makes no difference."""
    for node in nodes:
        constant = node.op == "get_attr"
        inside = _tail(node.target) if constant else None
        module = _module(node.op, node.target, node.source)
        yield FoldedNode(node.name, module, constant, (node_look(node), inside))


def graph_parts(
    rows: Iterable[tuple[GraphNode, tuple[Hashable, ...]]],
) -> Iterable[FoldedNode]:
    """Yields the nodes of a snapshot, each with what a pass did to it."""
    for node, did in rows:
        constant = node.op in ("get_attr", "placeholder")
        what = _tail(node.target) if constant else node.target
        module = _module(node.op, node.target, node.source)
        yield FoldedNode(node.name, module, constant, (node.op, what, *did))


def _module(op: str, target: str, source: Source | None) -> str | None:
    if op == "get_attr":
        return target
    return source.module if source is not None else None


def _tail(target: str) -> str:
    """Returns what the block of a constant calls it: `out.weight` of `layers.0.out.weight`."""
    steps = target.split(".")
    number = next((i for i, step in enumerate(steps) if step.isdecimal()), None)
    return target if number is None else ".".join(steps[number + 1 :])
