"""Which nodes of a diff are drawn as one box: what is unchanged, what changes alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping
from enum import StrEnum

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


def regions(
    diff: Diff, detail: Detail, groups: Mapping[str, str], absorbed: Collection[str]
) -> Regions:
    """Returns the box of each node; boxes never stand in a circle.

    Args:
        diff: what is drawn.
        detail: how finely.
        groups: from `module_groups`.
        absorbed: constants that count with their reader and get no box.
    """
    keys = {
        pair.name: _key(pair, detail, groups[pair.name])
        for pair in diff.pairs
        if pair.name not in absorbed
    }
    if detail in (Detail.FOCUS, Detail.GROUPED):
        keys |= _folded(diff, groups, keys)
    operands: dict[str, list[str]] = {name: [] for name in keys}
    for value, reader in diff.edges:
        if value in keys and reader in keys:
            operands[reader].append(value)
    return _numbered(keys, operands)


def module_groups(diff: Diff) -> dict[str, str]:
    """Returns the module that each node is grouped by, "" where there is none.

    A node without one (a functional operator of a block, say) goes with what it reads.
    """
    paths = {
        pair.name: pair.shown.source.module or "" if pair.shown.source is not None else ""
        for pair in diff.pairs
    }
    depth = 1
    while depth < 6:
        deeper = {_prefix(path, depth + 1) for path in paths.values()}
        if len(deeper) > _MOST_GROUPS:
            break
        depth += 1
        if deeper == {_prefix(path, depth - 1) for path in paths.values()}:
            break
        if len(deeper) > _MOST_GROUPS // 8:
            break
    groups = {name: _prefix(path, depth) for name, path in paths.items()}
    for pair in diff.pairs:
        if not groups[pair.name]:
            read = (groups.get(operand, "") for operand in pair.shown.operands)
            groups[pair.name] = next((group for group in read if group), "")
    return groups


def absorbed_constants(diff: Diff) -> dict[str, str]:
    """Returns the reader of each constant that nothing is lost by not drawing."""
    pairs = {pair.name: pair for pair in diff.pairs}
    readers: dict[str, str] = {}
    for value, reader in diff.edges:
        readers.setdefault(value, reader)
    absorbed = {}
    for pair in diff.pairs:
        reading = pairs.get(readers.get(pair.name, ""))
        if pair.shown.op != "get_attr" or reading is None:
            continue
        if pair.change in (Change.SAME, reading.change):
            absorbed[pair.name] = reading.name
    return absorbed


def _prefix(path: str, depth: int) -> str:
    return ".".join(path.split(".")[:depth])


def _key(pair: Pair, detail: Detail, group: str) -> _Key:
    """Returns what neighbours have to share to be one box."""
    border = pair.shown.op in ("placeholder", "output")
    if detail is Detail.FULL or border:
        return ("node", pair.name)
    if pair.change is Change.SAME and not pair.breaks:
        return ("same", pair.engines)
    if detail is Detail.FOCUS:
        return ("node", pair.name)
    change = (pair.change, *_dtypes(pair), pair.turned, pair.breaks, pair.engines)
    return change if detail is Detail.ENGINES else (*change, group)


def _dtypes(pair: Pair) -> tuple[str | None, str | None]:
    if pair.change in (Change.ADDED, Change.REMOVED):
        return None, None
    assert pair.before is not None
    assert pair.after is not None
    return dtype_text(pair.before.dtype), dtype_text(pair.after.dtype)


def _folded(diff: Diff, groups: Mapping[str, str], keys: dict[str, _Key]) -> dict[str, _Key]:
    """Returns one key for the blocks between the first and the last of a row of equal ones."""
    members: dict[str, list[Pair]] = {}
    for pair in diff.pairs:
        if groups[pair.name] and pair.name in keys:
            members.setdefault(groups[pair.name], []).append(pair)
    signatures = {group: _signature(pairs) for group, pairs in members.items()}
    folded: dict[str, _Key] = {}
    for run in _runs(list(members), signatures):
        changing = any(p.change is not Change.SAME or p.breaks for p in members[run[0]])
        if len(run) < _FEWEST_REPEATS or not changing:
            continue
        for group in run[1:-1]:
            for pair in members[group]:
                folded[pair.name] = ("repeat", run[0], run[-1])
    return folded


def _signature(pairs: list[Pair]) -> Hashable:
    """Returns what two blocks have to share to be drawn as one: all but names and numbers."""
    described = Counter(
        (
            pair.shown.target if pair.shown.op == "call_function" else pair.shown.op,
            pair.change,
            *_dtypes(pair),
            pair.turned,
            pair.breaks,
            tuple(engine is None for engine in pair.engines),
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


def _numbered(keys: dict[str, _Key], operands: dict[str, list[str]]) -> Regions:
    """Returns connected nodes with one key under one number.

    A node's level rises wherever a key changes on the way to it, so that no way leads out of
    a region and back into it.
    """
    levels: dict[str, int] = {}
    for name, key in keys.items():
        levels[name] = max(
            (levels[o] + (keys[o] != key) for o in operands[name] if o in levels), default=0
        )
    parent = {name: name for name in keys}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    repeats: dict[tuple[_Key, int], str] = {}
    for name, key in keys.items():
        place = (key, levels[name])
        if key[0] == "repeat":
            parent[root(name)] = root(repeats.setdefault(place, name))
        for operand in operands[name]:
            if operand in levels and (keys[operand], levels[operand]) == place:
                parent[root(name)] = root(operand)
    numbers: dict[str, int] = {}
    return {name: numbers.setdefault(root(name), len(numbers)) for name in keys}
