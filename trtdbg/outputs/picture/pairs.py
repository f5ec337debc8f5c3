"""Compares two sides: which nodes are the same node, and what happened to their dtypes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from enum import StrEnum

from trtdbg.analysis.same_nodes import same_nodes
from trtdbg.dtypes import NARROWED, SIZE_BYTES
from trtdbg.outputs.picture.sides import Side, SideNode
from trtdbg.records import BoundaryCast, Direction, Dtype, Record, Verdict, dtype_text


class PictureChange(StrEnum):
    """What happened to a node between two sides; what its dtype did goes first."""

    NARROWED = "narrowed"
    WIDENED = "widened"
    RETYPED = "retyped"
    """Another dtype that is neither narrower nor wider."""
    ADDED = "added"
    REMOVED = "removed"
    TURNED = "verdict turned"
    """The same dtype, but the partitioner answers otherwise."""
    SAME = "unchanged"


class Pair(Record, frozen=True, kw_only=True):
    """A node on both sides; one of them is None for an added or removed node."""

    name: str
    """Its name after, or before if it was removed."""
    change: PictureChange
    before: SideNode | None
    after: SideNode | None

    @property
    def shown(self) -> SideNode:
        """The node as it is after, or was before if it was removed."""
        node = self.after or self.before
        assert node is not None
        return node

    @property
    def turned(self) -> tuple[Verdict, Verdict] | None:
        """The partitioner's two answers, where they differ."""
        if self.before is None or self.after is None:
            return None
        first, second = self.before.verdict, self.after.verdict
        return (first, second) if first and second and first is not second else None

    @property
    def breaks(self) -> bool:
        """Whether the operator is left to PyTorch on either side."""
        before, after = self.before, self.after
        return bool((before and before.left) or (after and after.left))

    @property
    def declared(self) -> str | None:
        """The dtype of the model that neither side computes in; None if one of them does.

        Such nodes are the island around a cast: they are the same on both sides, and not what
        the model says.
        """
        if self.before is None or self.after is None or self.change is not PictureChange.SAME:
            return None
        declared = self.before.declared, self.after.declared
        return dtype_text(declared[1]) if None not in declared else None

    @property
    def engines(self) -> tuple[int | None, int | None]:
        """The engines that hold it before and after."""
        return (
            self.before.engine if self.before else None,
            self.after.engine if self.after else None,
        )


class Cast(Record, frozen=True, kw_only=True):
    """A boundary cast between a value and one of its readers."""

    value: str
    reader: str
    from_dtype: str
    to_dtype: str
    change: PictureChange
    """Added, removed or unchanged."""


class DtypeDiff(Record, frozen=True, kw_only=True):
    """Two sides as one graph."""

    before: str
    after: str
    pairs: tuple[Pair, ...]
    """In graph order: no node before what it reads."""
    edges: tuple[tuple[str, str], ...]
    """From a value to its reader, by `Pair.name`."""
    casts: tuple[Cast, ...] = ()
    engines: tuple[int, int] = (0, 0)
    """Number of engines before and after."""
    partitioned: bool = True


def compare(before: Side, after: Side) -> DtypeDiff:
    """Returns two sides as one graph, nodes matched by name, else by where they come from."""
    earlier = {node.name: node for node in before.nodes}
    later = {node.name: node for node in after.nodes}
    match = same_nodes(before.nodes, after.nodes)
    names = {old: new for new, old in match.items()}
    pairs = {
        node.name: _pair(earlier.get(match.get(node.name, "")), node) for node in after.nodes
    }
    for node in before.nodes:
        if node.name not in names:
            # A removed node may bear the name that another node has now.
            name = node.name if node.name not in pairs else f"{node.name} (removed)"
            names[node.name] = name
            pairs[name] = Pair(
                name=name, change=PictureChange.REMOVED, before=node, after=None
            )
    edges = dict.fromkeys((o, n.name) for n in after.nodes for o in n.operands if o in later)
    for node in before.nodes:
        for operand in node.operands:
            if operand not in earlier:
                continue
            edge = (names[operand], names[node.name])
            if PictureChange.REMOVED in (pairs[edge[0]].change, pairs[edge[1]].change):
                edges[edge] = None
    ordered = _ordered(list(pairs), list(edges))
    return DtypeDiff(
        before=before.label,
        after=after.label,
        pairs=tuple(pairs[name] for name in ordered),
        edges=tuple(edges),
        casts=_casts(before, after, names, set(edges)),
        engines=(len(before.engines), len(after.engines)),
        partitioned=before.partitioned or after.partitioned,
    )


def dtype_change(before: Dtype, after: Dtype) -> PictureChange:
    """Returns what happened to a dtype; of several outputs the first that changed decides."""
    if before == after or before is None or after is None:
        return PictureChange.SAME
    for one, other in zip(_each(before), _each(after), strict=False):
        if one == other or one is None or other is None:
            continue
        if NARROWED.get(one) == other:
            return PictureChange.NARROWED
        if NARROWED.get(other) == one:
            return PictureChange.WIDENED
        sizes = SIZE_BYTES.get(one, 0), SIZE_BYTES.get(other, 0)
        if sizes[0] == sizes[1]:
            return PictureChange.RETYPED
        return PictureChange.NARROWED if sizes[1] < sizes[0] else PictureChange.WIDENED
    # What one of them has more are results that nothing reads, of an operator's replacement.
    return PictureChange.SAME


def _each(dtype: str | tuple[str | None, ...]) -> tuple[str | None, ...]:
    return dtype if isinstance(dtype, tuple) else (dtype,)


def _pair(before: SideNode | None, after: SideNode) -> Pair:
    if before is None:
        return Pair(name=after.name, change=PictureChange.ADDED, before=None, after=after)
    change = dtype_change(before.dtype, after.dtype)
    pair = Pair(name=after.name, change=change, before=before, after=after)
    if change is PictureChange.SAME and pair.turned is not None:
        return Pair(name=after.name, change=PictureChange.TURNED, before=before, after=after)
    return pair


def _ordered(names: list[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """Returns names so that none stands before what it reads, else as they were."""
    place = {name: index for index, name in enumerate(names)}
    readers: dict[str, list[str]] = {name: [] for name in names}
    missing = Counter[str]()
    for value, reader in edges:
        readers[value].append(reader)
        missing[reader] += 1
    ready = deque(name for name in names if not missing[name])
    ordered: dict[str, None] = {}
    while len(ordered) < len(names):
        if not ready:
            # Two graphs in one can hold a circle: it is cut where the order began.
            ready.append(min((n for n in names if n not in ordered), key=lambda n: place[n]))
        name = ready.popleft()
        if name in ordered:
            continue
        ordered[name] = None
        for reader in readers[name]:
            missing[reader] -= 1
            if not missing[reader]:
                ready.append(reader)
    return list(ordered)


def _casts(
    before: Side, after: Side, names: dict[str, str], edges: set[tuple[str, str]]
) -> tuple[Cast, ...]:
    same = {node.name: node.name for node in after.nodes}
    earlier = _cast_edges(before, names)
    later = _cast_edges(after, same)
    casts = []
    for found in sorted(earlier | later):
        value, reader, from_dtype, to_dtype = found
        if (value, reader) not in edges:
            continue
        change = PictureChange.SAME
        if found not in later:
            change = PictureChange.REMOVED
        elif found not in earlier:
            change = PictureChange.ADDED
        casts.append(
            Cast(
                value=value,
                reader=reader,
                from_dtype=from_dtype,
                to_dtype=to_dtype,
                change=change,
            )
        )
    return tuple(casts)


def _cast_edges(side: Side, names: dict[str, str]) -> set[tuple[str, str, str, str]]:
    """Returns (value, reader, from, to) of each boundary cast, by the names of the diff."""
    nodes = {node.name: node for node in side.nodes}
    readers: dict[str, list[SideNode]] = {}
    for node in side.nodes:
        for operand in node.operands:
            readers.setdefault(operand, []).append(node)
    return {
        (names[cast.value], names[reader.name], cast.from_dtype, cast.to_dtype)
        for cast in side.casts
        if cast.value in nodes
        for reader in readers.get(cast.value, ())
        if _asks(side, cast, nodes[cast.value], reader)
    }


def _asks(side: Side, cast: BoundaryCast, value: SideNode, reader: SideNode) -> bool:
    """Returns whether a reader gets the value through the cast."""
    asked = {text.split(" (", 1)[0] for text in cast.asked_by}
    if reader.op == "output":
        return cast.direction in (Direction.OUT_OF_ENGINE, Direction.PROGRAM_OUTPUT) and (
            not asked or "program output" in asked
        )
    if cast.direction in (Direction.INTO_ENGINE, Direction.PROGRAM_INPUT):
        if reader.engine is None or reader.engine == value.engine:
            return reader.engine is None and reader.name in asked
        known = reader.engine < len(side.engines)
        name = side.engines[reader.engine] if known else f"engine {reader.engine}"
        return reader.engine == cast.engine or name in asked
    return reader.engine is None and (not asked or reader.name in asked)
