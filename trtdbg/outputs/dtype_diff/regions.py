"""Which nodes of a diff are drawn as one box: what is unchanged, what changes alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cached_property

from trtdbg.outputs.dtype_diff.compare import Change, Diff, Pair
from trtdbg.records import dtype_text

_FEWEST_REPEATS = 4
"""Blocks alike in a row before all but the first and the last become one box."""

_MOST_GROUPS = 64
"""Modules are told apart down to the depth that gives no more groups than this."""

_Key = tuple[Hashable, ...]


class Detail(StrEnum):
    """How much is drawn, finest first."""

    FULL = "full"
    """Every node."""
    FOCUS = "focus"
    """Every node that changes or is left to PyTorch; the rest as regions."""
    GROUPED = "grouped"
    """Nodes of one module that change alike are one box."""
    ENGINES = "engines"
    """Nodes of one engine that change alike are one box."""


Regions = dict[str, int]
"""Number of the box of each node that is drawn, numbered in graph order."""


class Nodes:
    """The nodes of a diff that get a box, prepared once for one detail after the other."""

    def __init__(
        self, diff: Diff, groups: Mapping[str, str], absorbed: Collection[str]
    ) -> None:
        """Prepares the nodes.

        Args:
            diff: what is drawn.
            groups: from `module_groups`.
            absorbed: constants that count with their reader and get no box.
        """
        self._pairs = [pair for pair in diff.pairs if pair.name not in absorbed]
        self._groups = groups
        place = {pair.name: index for index, pair in enumerate(self._pairs)}
        self._operands: list[list[int]] = [[] for _ in self._pairs]
        for value, reader in diff.edges:
            if value in place and reader in place:
                self._operands[place[reader]].append(place[value])

    def boxes(self, detail: Detail) -> Regions:
        """Returns the box of each node; boxes never stand in a circle."""
        if detail is Detail.FULL:
            return {pair.name: number for number, pair in enumerate(self._pairs)}
        known: dict[_Key, int] = {}
        keys = []
        for index, (pair, key) in enumerate(zip(self._pairs, self._keys, strict=True)):
            if key is None:
                key = ("node", pair.name)
                if detail is Detail.GROUPED:
                    key = (*self._change(index), self._groups[pair.name])
                elif detail is Detail.ENGINES:
                    key = self._change(index)
            keys.append(known.setdefault(key, len(known)))
        repeats = set[int]()
        if detail is not Detail.ENGINES:
            for key, indices in self._repeats.items():
                repeats.add(known.setdefault(key, len(known)))
                for index in indices:
                    keys[index] = known[key]
        numbers = _numbered(keys, repeats, self._operands)
        return {pair.name: number for pair, number in zip(self._pairs, numbers, strict=True)}

    @cached_property
    def _keys(self) -> list[_Key | None]:
        """What neighbours have to share to be one box; None depends on the detail."""
        keys: list[_Key | None] = []
        for pair in self._pairs:
            if pair.shown.op in BORDER:
                keys.append(("node", pair.name))
            elif pair.change is Change.SAME and not pair.breaks:
                keys.append(("same", pair.engines))
            else:
                keys.append(None)
        return keys

    def _change(self, index: int) -> _Key:
        pair = self._pairs[index]
        return (pair.change, *_dtypes(pair), pair.turned, pair.breaks, pair.engines)

    @cached_property
    def _repeats(self) -> dict[_Key, list[int]]:
        """Nodes of the blocks between the first and the last of a row of equal ones."""
        members: dict[str, list[int]] = {}
        for index, pair in enumerate(self._pairs):
            group = self._groups[pair.name]
            if group:
                members.setdefault(group, []).append(index)
        signatures = {
            group: _signature(self._pairs[index] for index in indices)
            for group, indices in members.items()
        }
        repeats: dict[_Key, list[int]] = {}
        for run in _runs(list(members), signatures):
            first = (self._pairs[index] for index in members[run[0]])
            changing = any(p.change is not Change.SAME or p.breaks for p in first)
            if len(run) >= _FEWEST_REPEATS and changing:
                key = ("repeat", run[0], run[-1])
                repeats[key] = [index for group in run[1:-1] for index in members[group]]
        return repeats


BORDER = ("placeholder", "output")
"""Inputs and outputs of the program, which are boxes of their own."""


def module_groups(diff: Diff) -> dict[str, str]:
    """Returns the module that each node is grouped by, "" where there is none.

    A node without one (a functional operator of a block, say) goes with what it reads.
    """
    paths = {
        pair.name: source.module or "" if (source := pair.shown.source) is not None else ""
        for pair in diff.pairs
    }
    different = set(paths.values())
    depth = 1
    while depth < 6:
        deeper = {_prefix(path, depth + 1) for path in different}
        if len(deeper) > _MOST_GROUPS:
            break
        depth += 1
        if deeper == {_prefix(path, depth - 1) for path in different}:
            break
        if len(deeper) > _MOST_GROUPS // 8:
            break
    group_of = {path: _prefix(path, depth) for path in different}
    groups = {name: group_of[path] for name, path in paths.items()}
    if not any(different):
        return groups
    for pair in diff.pairs:
        if not groups[pair.name]:
            read = (groups.get(operand, "") for operand in pair.shown.operands)
            groups[pair.name] = next((group for group in read if group), "")
    return groups


def absorbed_constants(diff: Diff) -> dict[str, str]:
    """Returns the reader of each constant that nothing is lost by not drawing."""
    constants = [pair for pair in diff.pairs if pair.shown.op == "get_attr"]
    if not constants:
        return {}
    pairs = {pair.name: pair for pair in diff.pairs}
    readers: dict[str, str] = {}
    for value, reader in diff.edges:
        readers.setdefault(value, reader)
    absorbed = {}
    for pair in constants:
        reading = pairs.get(readers.get(pair.name, ""))
        if reading is None:
            continue
        if pair.change in (Change.SAME, reading.change):
            absorbed[pair.name] = reading.name
    return absorbed


def _prefix(path: str, depth: int) -> str:
    return ".".join(path.split(".")[:depth])


def _dtypes(pair: Pair) -> tuple[str | None, str | None]:
    if pair.change in (Change.ADDED, Change.REMOVED):
        return None, None
    assert pair.before is not None
    assert pair.after is not None
    return dtype_text(pair.before.dtype), dtype_text(pair.after.dtype)


def _signature(pairs: Iterable[Pair]) -> Hashable:
    """Returns what two blocks have to share to be drawn as one: all but names and numbers."""
    described = Counter(
        (
            pair.shown.target if pair.shown.op == "call_function" else pair.shown.op,
            pair.change,
            *_dtypes(pair),
            pair.turned,
            pair.breaks,
            pair.before is None or pair.before.engine is None,
            pair.after is None or pair.after.engine is None,
        )
        for pair in pairs
    )
    return frozenset(described.items())


def _runs(groups: list[str], signatures: dict[str, Hashable]) -> Iterator[list[str]]:
    run: list[str] = []
    for group in groups:
        if run and signatures[group] != signatures[run[-1]]:
            yield run
            run = []
        run.append(group)
    if run:
        yield run


def _numbered(
    keys: list[int], repeats: Collection[int], operands: list[list[int]]
) -> list[int]:
    """Returns connected nodes with one key under one number.

    A node's level rises wherever a key changes on the way to it, so that no way leads out of
    a region and back into it.

    Args:
        keys: of each node, in graph order.
        repeats: keys of which equal levels are one region, connected or not.
        operands: what each node reads, by place.
    """
    levels: list[int] = []
    for index, key in enumerate(keys):
        level = 0
        for operand in operands[index]:
            if operand < index:
                level = max(level, levels[operand] + (keys[operand] != key))
        levels.append(level)
    parent = list(range(len(keys)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[tuple[int, int], int] = {}
    for index, (key, level) in enumerate(zip(keys, levels, strict=True)):
        if key in repeats:
            parent[root(index)] = root(first.setdefault((key, level), index))
        for operand in operands[index]:
            if keys[operand] == key and levels[operand] == level:
                parent[root(index)] = root(operand)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(index), len(numbers)) for index in range(len(keys))]
