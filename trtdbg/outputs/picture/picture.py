"""A diff as boxes and links with their words, at a chosen detail; what `dot` then draws."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from textwrap import wrap

from trtdbg.analysis.names import no_such_node
from trtdbg.analysis.summary import VERDICT_WORDS, count, operator_text
from trtdbg.outputs.picture.pairs import Cast, DtypeDiff, Pair, PictureChange
from trtdbg.outputs.picture.regions import (
    BORDER,
    Detail,
    Kinds,
    Nodes,
    Regions,
    absorbed_constants,
    module_groups,
)
from trtdbg.plain import one_line
from trtdbg.records import Dtype, Record, Shape, Verdict, dtype_text, shape_text

MOST_BOXES = 60
"""Boxes that a picture has room for before equal changes are drawn as one."""

_MOST_DETAILS = 200
"""Lines about one box; a region can hold thousands of nodes."""

_LONGEST = 46
"""Characters of a line in a box."""

_MOST_DTYPES = 3


class Box(Record, frozen=True, kw_only=True):
    """One node, or several drawn as one."""

    number: int
    members: tuple[str, ...]
    lines: tuple[str, ...]
    """The first is the title."""
    details: tuple[str, ...]
    """What is said on request: about a node all that is known, of a region its members."""
    change: PictureChange
    mixed: bool = False
    """Whether the members change in several ways."""
    breaks_before: bool = False
    breaks_after: bool = False
    """Whether an operator in it is left to PyTorch."""
    border: bool = False
    """Whether it is an input or output of the program."""
    engines: tuple[int | None, int | None] = (None, None)
    """The engines that hold all of it before and after."""
    module: str = ""


class Link(Record, frozen=True, kw_only=True):
    """What goes from one box to another, over a boundary cast or not."""

    source: int
    target: int
    words: tuple[str, ...] = ()
    """Dtypes that change on it."""
    change: PictureChange = PictureChange.SAME
    casts: tuple[int, ...] = ()
    """Numbers of casts in `Picture.casts` on the way."""


class CastBox(Record, frozen=True, kw_only=True):
    """Boundary casts of a box's values, drawn as one."""

    source: int
    words: str
    change: PictureChange
    members: tuple[str, ...]


class Picture(Record, frozen=True, kw_only=True):
    """What is drawn."""

    title: str
    detail: Detail
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    casts: tuple[CastBox, ...]
    summary: tuple[str, ...]
    """Lines below the title: what changed, what is not shown."""


def picture(
    diff: DtypeDiff,
    title: str,
    *,
    full: bool = False,
    around: str | None = None,
    depth: int = 2,
) -> Picture:
    """Returns the finest picture that there is room for; with `full` every node.

    Args:
        diff: what to draw.
        title: the model's name.
        full: draw every node, however many.
        around: draw only what is near this node.
        depth: how many edges away from it are near.

    Raises:
        UsageError: there is no such node.
    """
    if around is not None:
        near = _neighbourhood(diff, around, depth)
        hidden = len(diff.pairs) - len(near.pairs)
        note = f"{count(hidden, 'node')} further than {depth} from {around} not shown"
        return draw(near, title, Detail.FULL, (note,) if hidden else ())
    if full:
        return draw(diff, title, Detail.FULL)
    groups, absorbed = module_groups(diff), absorbed_constants(diff)
    detail, notes = Detail.FOCUS, tuple[str, ...]()
    nodes = Nodes(diff, groups, absorbed)
    boxes_of = nodes.boxes(detail)
    for coarser in (Detail.GROUPED, Detail.ENGINES):
        # Counting boxes costs a tenth of drawing a picture to throw it away.
        if len(set(boxes_of.values())) <= MOST_BOXES:
            break
        detail, notes = coarser, ("many changes: equal ones are drawn as one",)
        boxes_of = nodes.boxes(detail)
    return _drawn(diff, title, detail, notes, groups, absorbed, boxes_of, nodes.kinds)


def draw(diff: DtypeDiff, title: str, detail: Detail, notes: tuple[str, ...] = ()) -> Picture:
    """Returns the picture at one detail."""
    groups = module_groups(diff)
    absorbed = absorbed_constants(diff) if detail is not Detail.FULL else {}
    nodes = Nodes(diff, groups, absorbed)
    boxes_of = nodes.boxes(detail)
    return _drawn(diff, title, detail, notes, groups, absorbed, boxes_of, nodes.kinds)


def _drawn(
    diff: DtypeDiff,
    title: str,
    detail: Detail,
    notes: tuple[str, ...],
    groups: Mapping[str, str],
    absorbed: Mapping[str, str],
    boxes_of: Regions,
    kinds: Kinds,
) -> Picture:
    constants: dict[int, list[Pair]] = {}
    members: dict[int, list[int]] = {}
    for place, pair in enumerate(diff.pairs):
        number = boxes_of.get(pair.name)
        if number is None:
            number = boxes_of.get(absorbed.get(pair.name, ""))
            if number is not None:
                constants.setdefault(number, []).append(pair)
        elif number in members:
            members[number].append(place)
        else:
            members[number] = [place]
    boxes = []
    for number, places in members.items():
        pairs, held = [diff.pairs[place] for place in places], constants.get(number, [])
        if len(pairs) == 1 and not held:
            boxes.append(_node_box(number, pairs[0], groups[pairs[0].name]))
        else:
            boxes.append(_box(number, pairs, kinds.counted(places), held, groups))
    links, casts = _links(diff, boxes_of)
    return Picture(
        title=one_line(f"{title}: {diff.before} → {diff.after}"),
        detail=detail,
        boxes=tuple(boxes),
        links=links,
        casts=casts,
        summary=(*_summary(diff), *notes),
    )


def _neighbourhood(diff: DtypeDiff, around: str, depth: int) -> DtypeDiff:
    names = {pair.name for pair in diff.pairs}
    if around not in names:
        raise no_such_node(around, names)
    near: dict[str, set[str]] = {name: set() for name in names}
    for value, reader in diff.edges:
        near[value].add(reader)
        near[reader].add(value)
    found = {around: 0}
    waiting = deque([around])
    while waiting:
        name = waiting.popleft()
        for other in near[name]:
            if other not in found and found[name] < depth:
                found[other] = found[name] + 1
                waiting.append(other)
    return DtypeDiff(
        before=diff.before,
        after=diff.after,
        pairs=tuple(pair for pair in diff.pairs if pair.name in found),
        edges=tuple(edge for edge in diff.edges if edge[0] in found and edge[1] in found),
        casts=tuple(c for c in diff.casts if c.value in found and c.reader in found),
        engines=diff.engines,
        partitioned=diff.partitioned,
    )


def _box(
    number: int,
    pairs: list[Pair],
    alike: list[tuple[Pair, int]],
    constants: list[Pair],
    groups: Mapping[str, str],
) -> Box:
    """Returns the box of several nodes, or of one with constants.

    Args:
        number: of the box.
        pairs: the nodes.
        alike: one node of each kind among them, and how many there are.
        constants: drawn with them.
        groups: the module of each node.
    """
    changes = Counter[PictureChange]()
    for pair, times in alike:
        changes[pair.change] += times
    moved = [change for change in changes if change is not PictureChange.SAME]
    engines = {pair.engines for pair, _ in alike}
    before, after = ({e[side] for e in engines} for side in (0, 1))
    names = dict.fromkeys(groups[pair.name] for pair in pairs)
    names.pop("", None)
    single = pairs[0] if len(pairs) == 1 else None
    lines = _node_lines(single) if single else _region_lines(alike, changes, list(names))
    if constants:
        lines.append(_constants_line(constants))
    return Box(
        number=number,
        members=tuple(pair.name for pair in (*pairs, *constants)),
        lines=tuple(part for line in lines if line for part in _folded(line)),
        details=tuple(_details(single) if single else _region_details(pairs)),
        change=max(moved, key=lambda change: changes[change]) if moved else PictureChange.SAME,
        mixed=len(changes) > 1,
        breaks_before=any(pair.before and pair.before.left for pair, _ in alike),
        breaks_after=any(pair.after and pair.after.left for pair, _ in alike),
        border=pairs[0].shown.op in BORDER,
        engines=(
            next(iter(before)) if len(before) == 1 else None,
            next(iter(after)) if len(after) == 1 else None,
        ),
        module=one_line(next(iter(names))) if len(names) == 1 else "",
    )


def _node_box(number: int, pair: Pair, module: str) -> Box:
    """Returns the box of one node: in full there are as many as nodes."""
    return Box(
        number=number,
        members=(pair.name,),
        lines=tuple(part for line in _node_lines(pair) if line for part in _folded(line)),
        details=tuple(_details(pair)),
        change=pair.change,
        breaks_before=bool(pair.before and pair.before.left),
        breaks_after=bool(pair.after and pair.after.left),
        border=pair.shown.op in BORDER,
        engines=pair.engines,
        module=one_line(module),
    )


def _node_lines(pair: Pair) -> list[str]:
    node = pair.shown
    called = operator_text(node.target) if node.op.startswith("call_") else node.op
    was = pair.before.target if pair.before is not None else node.target
    if node.op.startswith("call_") and was != node.target:
        called = f"{called}, was {operator_text(was)}"
    lines = [node.name, called if called != node.name else "", change_words(pair)]
    if pair.turned is not None:
        lines.append(" → ".join(VERDICT_WORDS[verdict] for verdict in pair.turned))
    lines += [_left_words(pair)]
    return lines


def _left_words(pair: Pair) -> str:
    before = pair.before.left if pair.before else None
    after = pair.after.left if pair.after else None
    if after:
        return f"left to PyTorch: {after}"
    return f"was left to PyTorch: {before}" if before else ""


def change_words(pair: Pair) -> str:
    """Returns what happened to a node's dtype: `narrowed float64 → float32`."""
    before, after = pair.before, pair.after
    return _words(
        pair.change, before.dtype if before else None, after.dtype if after else None
    )


@lru_cache(maxsize=1024)
def _words(change: PictureChange, before: Dtype, after: Dtype) -> str:
    match change:
        case PictureChange.ADDED | PictureChange.REMOVED:
            dtype = after if change is PictureChange.ADDED else before
            return change.value if dtype is None else f"{change.value}, {dtype_text(dtype)}"
        case PictureChange.SAME | PictureChange.TURNED:
            return dtype_text(after) if after is not None else ""
        case _:
            return f"{change.value} {dtype_text(before)} → {dtype_text(after)}"


def _arrow(pair: Pair) -> str:
    assert pair.before is not None
    assert pair.after is not None
    return f"{dtype_text(pair.before.dtype)} → {dtype_text(pair.after.dtype)}"


def _region_lines(
    alike: list[tuple[Pair, int]], changes: Counter[PictureChange], modules: list[str]
) -> list[str]:
    nodes = changes.total()
    span = modules[0] if len(modules) == 1 else ""
    if len(modules) > 1:
        span = f"{modules[0]} … {modules[-1]}"
    if set(changes) == {PictureChange.SAME} and not any(pair.breaks for pair, _ in alike):
        declared = {pair.declared for pair, _ in alike}
        if len(declared) == 1 and None not in declared:
            computed = ", ".join(sorted({dtype_text(pair.shown.dtype) for pair, _ in alike}))
            return [
                f"{nodes} nodes: {declared.pop()} in the model",
                span,
                f"run in {computed}",
            ]
        return [f"{nodes} unchanged nodes", span]
    kinds, left, was = Counter[str](), Counter[str](), Counter[str]()
    for pair, times in alike:
        if pair.change is not PictureChange.SAME:
            kinds[change_words(pair)] += times
        if pair.after and pair.after.left:
            left[operator_text(pair.shown.target)] += times
        elif pair.before and pair.before.left:
            was[operator_text(pair.shown.target)] += times
    title = f"{nodes} nodes"
    if len(modules) > 1:
        title = f"{len(modules)} more blocks alike, {nodes} nodes"
    lines = [title, span]
    lines += [f"{number} {words}" for words, number in kinds.most_common(_MOST_DTYPES)]
    if len(kinds) > _MOST_DTYPES:
        lines.append(f"and {len(kinds) - _MOST_DTYPES} other changes")
    lines += [f"{number} {name} left to PyTorch" for name, number in left.most_common(2)]
    lines += [f"{number} {name} were left to PyTorch" for name, number in was.most_common(2)]
    return lines


def _constants_line(constants: list[Pair]) -> str:
    arrows = {
        change_words(p)
        for p in constants
        if p.change not in (PictureChange.SAME, PictureChange.TURNED)
    }
    words = count(len(constants), "constant")
    if len(arrows) == 1:
        return f"+ {words}, {next(iter(arrows))}"
    return f"+ {words}, unchanged" if not arrows else f"+ {words}"


def _details(pair: Pair) -> list[str]:
    node = pair.shown
    lines = [
        one_line(f"{node.name} ({operator_text(node.target)})"),
        one_line(change_words(pair) or pair.change.value),
        _shape_words(node.shape),
    ]
    if node.source is not None and str(node.source):
        module = f" in {node.source.module}" if node.source.module else ""
        lines.append(one_line(f"{node.source}{module}"))
    if node.source is not None and node.source.code:
        lines.append(one_line(node.source.code))
    for side, words in ((pair.before, "before"), (pair.after, "after")):
        if side is not None:
            lines.append(_told(words, side.dtype, side.engine, side.verdict, side.left))
    return lines


@lru_cache(maxsize=1024)
def _shape_words(shape: Shape) -> str:
    return one_line(f"shape {shape_text(shape)}")


@lru_cache(maxsize=1024)
def _told(
    words: str,
    dtype: Dtype,
    engine: int | None,
    verdict: Verdict | None,
    left: str | None,
) -> str:
    """Returns what one side says about a node; thousands of nodes say the same."""
    told = [f"{words}: {dtype_text(dtype)}"]
    if engine is not None:
        told.append(f"engine {engine}")
    if verdict is not None:
        told.append(VERDICT_WORDS[verdict])
    if left:
        told.append(f"left to PyTorch: {left}")
    return one_line(", ".join(told))


def _region_details(pairs: list[Pair]) -> list[str]:
    lines = (
        one_line(f"{pair.name}: {change_words(pair) or pair.change.value}") for pair in pairs
    )
    return limited(lines, len(pairs))


def limited(lines: Iterable[str], total: int) -> list[str]:
    """Returns the first lines about a box, and how many of `total` are left out."""
    more = total - _MOST_DETAILS
    return [*islice(lines, _MOST_DETAILS), *([f"and {more} more"] if more > 0 else [])]


def _links(
    diff: DtypeDiff, boxes_of: dict[str, int]
) -> tuple[tuple[Link, ...], tuple[CastBox, ...]]:
    pairs = {pair.name: pair for pair in diff.pairs}
    words: dict[tuple[int, int], dict[str, PictureChange]] = {}
    crossing: dict[tuple[int, int], list[Cast]] = {}
    casts_on: dict[tuple[str, str], list[Cast]] = {}
    for cast in diff.casts:
        casts_on.setdefault((cast.value, cast.reader), []).append(cast)
    for edge in diff.edges:
        source, target = boxes_of.get(edge[0]), boxes_of.get(edge[1])
        if source is None or target is None or source == target:
            continue
        ends = source, target
        told = words.setdefault(ends, {})
        pair = pairs[edge[0]]
        if pair.change not in (PictureChange.SAME, PictureChange.TURNED):
            arrow = dtype_text(pair.shown.dtype)
            if pair.change not in (PictureChange.ADDED, PictureChange.REMOVED):
                arrow = _arrow(pair)
            told[arrow] = pair.change
        if edge in casts_on:
            crossing.setdefault(ends, []).extend(casts_on[edge])
    made: dict[tuple[int, str, PictureChange], list[str]] = {}
    number_of: dict[tuple[int, str, PictureChange], int] = {}
    links = []
    for ends, told in words.items():
        via: dict[int, None] = {}
        for cast in crossing.get(ends, ()):
            key = (ends[0], f"{cast.from_dtype} → {cast.to_dtype}", cast.change)
            made.setdefault(key, []).append(f"{cast.value} → {cast.reader}")
            via[number_of.setdefault(key, len(number_of))] = None
        shown = tuple(told)
        if len(shown) > _MOST_DTYPES:
            shown = (*shown[:_MOST_DTYPES], f"and {len(shown) - _MOST_DTYPES} more")
        links.append(
            Link(
                source=ends[0],
                target=ends[1],
                words=shown,
                change=next(iter(told.values()), PictureChange.SAME),
                casts=tuple(via),
            )
        )
    casts = tuple(
        CastBox(source=source, words=arrow, change=change, members=tuple(members))
        for (source, arrow, change), members in made.items()
    )
    return tuple(links), casts


def _summary(diff: DtypeDiff) -> tuple[str, ...]:
    changes = Counter(pair.change for pair in diff.pairs)
    parts = [
        f"{changes[change]} {change.value}" for change in PictureChange if changes[change]
    ]
    lines = [", ".join(parts)]
    if diff.partitioned:
        left = [
            sum(bool(side and side.left) for side in sides)
            for sides in (
                [pair.before for pair in diff.pairs],
                [pair.after for pair in diff.pairs],
            )
        ]
        lines.append(
            f"engines {diff.engines[0]} → {diff.engines[1]}, "
            f"operators left to PyTorch {left[0]} → {left[1]}"
        )
    return tuple(lines)


@lru_cache(maxsize=4096)
def _folded(line: str) -> tuple[str, ...]:
    """Returns a line in no more than two that fit a box."""
    text = one_line(line)
    if len(text) <= _LONGEST:
        return (text,)
    return tuple(wrap(text, _LONGEST, max_lines=2, placeholder=" …"))
