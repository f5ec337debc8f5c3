"""Which nodes of a diff are drawn as one box: what is unchanged, what changes alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from itertools import compress

from trtdbg.outputs.picture.pairs import DtypeDiff, Pair, PictureChange
from trtdbg.outputs.picture.sides import SideNode
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


class Kinds:
    """What nodes say of themselves besides name and place; many say the same.

    A model of ten thousand nodes has some tens of kinds, and what is drawn is decided by kind.
    """

    def __init__(self, pairs: Iterable[Pair]) -> None:
        """Takes the nodes; they are told apart when somebody asks."""
        self._pairs = pairs

    @property
    def samples(self) -> list[Pair]:
        """One node of each kind."""
        return self._told_apart[0]

    @property
    def of(self) -> list[int]:
        """The kind of each node, in their order."""
        return self._told_apart[1]

    @cached_property
    def _told_apart(self) -> tuple[list[Pair], list[int]]:
        samples: list[Pair] = []
        of: list[int] = []
        known: dict[_Key, int] = {}
        for pair in self._pairs:
            before, after = pair.before or _NOBODY, pair.after or _NOBODY
            shown = pair.after or before
            said = (
                shown.op,
                shown.target,
                pair.change,
                before.dtype,
                after.dtype,
                before.engine,
                after.engine,
                before.verdict,
                after.verdict,
                before.left,
                after.left,
                before.declared,
                after.declared,
            )
            kind = known.setdefault(said, len(known))
            if kind == len(samples):
                samples.append(pair)
            of.append(kind)
        return samples, of

    def counted(self, places: Iterable[int]) -> list[tuple[Pair, int]]:
        """Returns a node of each kind among those at `places`, with how many there are."""
        samples, of = self._told_apart
        numbers = Counter(of[place] for place in places)
        return [(samples[kind], number) for kind, number in numbers.items()]


_NOBODY = SideNode(name="", op="", target="")


class Nodes:
    """The nodes of a diff that get a box, prepared once for one detail after the other."""

    def __init__(
        self, diff: DtypeDiff, groups: Mapping[str, str], absorbed: Collection[str]
    ) -> None:
        """Prepares the nodes.

        Args:
            diff: what is drawn.
            groups: from `module_groups`.
            absorbed: constants that count with their reader and get no box.
        """
        self.kinds = Kinds(diff.pairs)
        self._drawn = [pair.name not in absorbed for pair in diff.pairs]
        self._names = [pair.name for pair in compress(diff.pairs, self._drawn)]
        self._groups = [groups[name] for name in self._names]
        place = {name: index for index, name in enumerate(self._names)}
        self._operands: list[list[int]] = [[] for _ in self._names]
        for value, reader in diff.edges:
            if value in place and reader in place:
                self._operands[place[reader]].append(place[value])

    def boxes(self, detail: Detail) -> Regions:
        """Returns the box of each node; boxes never stand in a circle."""
        if detail is Detail.FULL:
            return {name: number for number, name in enumerate(self._names)}
        known: dict[_Key, int] = {}
        keys = self._keys(detail, known)
        repeats = set[int]()
        if detail is not Detail.ENGINES:
            for key, indices in self._repeats.items():
                number = known.setdefault(key, len(known))
                repeats.add(number)
                for index in indices:
                    keys[index] = number
        return dict(zip(self._names, _numbered(keys, repeats, self._operands), strict=True))

    @cached_property
    def _kinds(self) -> list[int]:
        """The kind of each node that gets a box."""
        return list(compress(self.kinds.of, self._drawn))

    def _keys(self, detail: Detail, known: dict[_Key, int]) -> list[int]:
        """Returns what neighbours have to share to be one box, as numbers.

        A node that is a box of its own has a negative one.
        """
        shared = [_shared(pair, detail) for pair in self.kinds.samples]
        keys = []
        for index, kind in enumerate(self._kinds):
            key = shared[kind]
            if key is None:
                keys.append(-1 - index)
                continue
            if detail is Detail.GROUPED and key[0] != _SAME:
                key = (*key, self._groups[index])
            keys.append(known.setdefault(key, len(known)))
        return keys

    @cached_property
    def _repeats(self) -> dict[_Key, list[int]]:
        """Nodes of the blocks between the first and the last of a row of equal ones."""
        members: dict[str, list[int]] = {}
        for index, group in enumerate(self._groups):
            if group in members:
                members[group].append(index)
            elif group:
                members[group] = [index]
        known: dict[_Key, int] = {}
        samples, of = self.kinds.samples, self._kinds
        looks = [known.setdefault(_look(pair), len(known)) for pair in samples]
        changing = [pair.change is not PictureChange.SAME or pair.breaks for pair in samples]
        # Two blocks are alike if as many of their nodes look the same.
        signatures: dict[str, Hashable] = {
            group: frozenset(Counter([looks[of[index]] for index in indices]).items())
            for group, indices in members.items()
        }
        repeats: dict[_Key, list[int]] = {}
        for run in _runs(list(members), signatures):
            changes = any(changing[of[index]] for index in members[run[0]])
            if len(run) >= _FEWEST_REPEATS and changes:
                key = ("repeat", run[0], run[-1])
                repeats[key] = [index for group in run[1:-1] for index in members[group]]
        return repeats


BORDER = ("placeholder", "output")
"""Inputs and outputs of the program, which are boxes of their own."""


def module_groups(diff: DtypeDiff) -> dict[str, str]:
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


def absorbed_constants(diff: DtypeDiff) -> dict[str, str]:
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
        if pair.change in (PictureChange.SAME, reading.change):
            absorbed[pair.name] = reading.name
    return absorbed


def _prefix(path: str, depth: int) -> str:
    return ".".join(path.split(".")[:depth])


def _dtypes(pair: Pair) -> tuple[str | None, str | None]:
    if pair.change in (PictureChange.ADDED, PictureChange.REMOVED):
        return None, None
    assert pair.before is not None
    assert pair.after is not None
    return dtype_text(pair.before.dtype), dtype_text(pair.after.dtype)


_SAME = "same"


def _shared(pair: Pair, detail: Detail) -> _Key | None:
    """Returns what a node shares with those that may be in its box; None if it has its own."""
    if pair.shown.op in BORDER:
        return None
    if pair.change is PictureChange.SAME and not pair.breaks:
        return _SAME, pair.engines, pair.declared
    if detail is Detail.FOCUS:
        return None
    return (pair.change, *_dtypes(pair), pair.turned, pair.breaks, pair.engines)


def _look(pair: Pair) -> _Key:
    """Returns what nodes of two blocks drawn as one share: all but names and numbers."""
    return (
        pair.shown.target if pair.shown.op == "call_function" else pair.shown.op,
        pair.change,
        *_dtypes(pair),
        pair.turned,
        pair.breaks,
        pair.before is None or pair.before.engine is None,
        pair.after is None or pair.after.engine is None,
    )


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
    boxes: list[int] = []
    same = list[int]()
    """Of each box one that it turned out to be a part of, or itself."""
    first: dict[tuple[int, int], int] = {}
    later: list[tuple[int, int]] = []
    """What is read by a node that stands before it, where a circle was cut."""

    def root(box: int) -> int:
        while same[box] != box:
            same[box] = same[same[box]]
            box = same[box]
        return box

    for index, (key, reads) in enumerate(zip(keys, operands, strict=True)):
        level = 0
        for operand in reads:
            if operand >= index:
                later.append((operand, index))
                continue
            above = levels[operand] + (keys[operand] != key)
            if above > level:
                level = above
        levels.append(level)
        box = None
        if key in repeats:
            box = first.setdefault((key, level), len(same))
            if box == len(same):
                same.append(box)
        for operand in reads:
            if operand < index and keys[operand] == key and levels[operand] == level:
                if box is None:
                    box = boxes[operand]
                elif box != boxes[operand]:
                    same[root(boxes[operand])] = root(box)
        if box is None:
            box = len(same)
            same.append(box)
        boxes.append(box)
    for operand, index in later:
        if keys[operand] == keys[index] and levels[operand] == levels[index]:
            same[root(boxes[operand])] = root(boxes[index])
    roots = [root(box) for box in range(len(same))]
    numbers: dict[int, int] = {}
    return [numbers.setdefault(roots[box], len(numbers)) for box in boxes]
