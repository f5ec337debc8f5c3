"""Causes: as rows, as the lines of the answer, and in full."""

from __future__ import annotations

from trtdbg.analysis.summary import base_name, bytes_text, count
from trtdbg.records import Cause, Cure, CureKind, Source
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.causes import CauseRow
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.render.dtypes import dtype_span
from trtdbg_ui.render.findings import code_and_name
from trtdbg_ui.render.signs import short_operator
from trtdbg_ui.text import BLANK, Line, Span, Tone, crop, join, line, width, wrap

_GAP: Span = ("  ", Tone.PLAIN)


def cause_row(loaded: Loaded, row: CauseRow, size: int, *, opened: bool) -> Line:
    """Returns a cause, or one of its places, in `size` cells."""
    cause = loaded.causes[row.cause]
    if row.node is not None:
        return crop(_place(loaded, row.node), size)
    sign = "▾" if opened else "▸" if cause.nodes else " "
    number = f"{len(cause.nodes)}×" if cause.nodes else "✖"
    head = line(
        (f"{sign} ", Tone.KEY), (f"{number:>4} ", Tone.BAD), (_what(cause), Tone.STRONG)
    )
    parts = [head]
    if cause.cures:
        parts.append(_gain(cause.cures[0]))
    where = line((_where(cause), Tone.DIM))
    told = sum(width(part) + width((_GAP,)) for part in parts)
    room = size - told - width(where) - width((_GAP,))
    if room < _LEAST_REASON:
        # The line stands in the answer and in the details too.
        where, room = (), size - told
    parts.append(crop(line(cause.reason), max(room, 1)))
    return crop(join([*parts, where] if where else parts, _GAP), size)


_LEAST_REASON = 20
"""Cells of a reason that can still be understood."""


def cause_lines(
    loaded: Loaded, cause: Cause, size: int, read_only: bool = False
) -> list[Line]:
    """Returns the first cause: its line of source, the reason, what to do."""
    number = len(loaded.causes)
    of = "one cause" if number == 1 else f"first of {number} causes"
    times = f", {len(cause.nodes)}×" if cause.nodes else ""
    where = _source(cause.sources[0]) if cause.sources else _engines(cause)
    head = line((f"{of}{times}  ", Tone.STRONG), *where, *_more(cause.sources))
    subject = f"{_what(cause)}: " if cause.target is not None else ""
    reason = line(subject, cause.reason)
    return [crop(head, size), crop(reason, size), crop(cures_line(cause, read_only), size)]


def cures_line(cause: Cause, read_only: bool = False) -> Line:
    """Returns what can be done about a cause, each with its key."""
    if not cause.cures and read_only:
        return line(("do  ", Tone.STRONG), (_NOT_TRIED, Tone.DIM))
    if not cause.cures:
        keys = line((key("first-cure"), Tone.KEY), " finds out what helps, by trying it here")
        return line(("do  ", Tone.STRONG), *keys)
    spans: list[Span] = [("do  ", Tone.STRONG)]
    for index, cure in enumerate(cause.cures[:2]):
        if cure.kind is CureKind.NONE:
            spans.append((cure.say, Tone.WARN))
            continue
        opener = key("first-cure") if index == 0 else f"{key('cures')} {'ab'[index]}"
        gain = _gain(cure)
        say = cure.say.partition(": ")[0] if gain else cure.say
        spans += [(opener, Tone.KEY), (f" {say} ", Tone.PLAIN), *gain, _GAP]
    more = len(cause.cures) - 2
    if more > 0:
        spans += [(key("cures"), Tone.KEY), (f" {more} more", Tone.DIM)]
    return tuple(spans)


_NOT_TRIED = "nothing was tried; open the exported .pt2 to find out what helps"


def cause_detail(
    loaded: Loaded, cause: Cause, size: int, read_only: bool = False
) -> list[Line]:
    """Returns everything known about a cause."""
    lines = wrap(line((_what(cause), Tone.STRONG)), size)
    lines += wrap(line((f"✗ {cause.reason}", Tone.BAD)), size, indent=2)
    for next_reason in cause.then:
        lines += wrap(line(("then ", Tone.WARN), next_reason), size, indent=5)
    if cause.fact:
        lines += [BLANK, *wrap(line((cause.fact, Tone.DIM)), size)]
    if cause.code:
        lines += [BLANK, line((code_and_name(cause.code), Tone.WARN))]
        explains = (" explains it", Tone.DIM)
        lines.append(line((f"  {key('explain')}", Tone.KEY), explains))
    if cause.sources:
        title = "source line" if len(cause.sources) == 1 else "source lines"
        lines += [BLANK, line((title, Tone.HEAD))]
        for source in cause.sources[:8]:
            lines += wrap(line("  ", *_source(source)), size, indent=4)
        if len(cause.sources) > 8:
            lines.append(line((f"  and {len(cause.sources) - 8} more", Tone.DIM)))
    lines += [BLANK, line(("what to do", Tone.HEAD)), *cure_lines(cause, size, read_only)]
    if cause.cost is not None:
        lines += [BLANK, line(("without this cause", Tone.HEAD)), *_cost(loaded, cause, size)]
    if cause.engines:
        names = ", ".join(f"E{index}" for index in cause.engines)
        lines += [BLANK, line(("engines", Tone.HEAD)), *wrap(line(f"  {names}"), size)]
    if cause.nodes:
        lines += [BLANK, line((count(len(cause.nodes), "place"), Tone.HEAD))]
        lines += [crop(_place(loaded, name), size) for name in cause.nodes[:_MOST_PLACES]]
        if len(cause.nodes) > _MOST_PLACES:
            more = f"  and {len(cause.nodes) - _MOST_PLACES} more; space lists all"
            lines.append(line((more, Tone.DIM)))
    return lines


_MOST_PLACES = 12


def cure_lines(cause: Cause, size: int, read_only: bool = False) -> list[Line]:
    """Returns the cures of a cause, each with its letter and what to type."""
    if not cause.cures and read_only:
        return wrap(line((f"  {_NOT_TRIED}", Tone.DIM)), size, indent=2)
    if not cause.cures:
        keys = line("  ", (key("first-cure"), Tone.KEY), " tries what could help")
        return wrap(keys, size, indent=2)
    lines: list[Line] = []
    for letter, cure in zip("abcdefghi", cause.cures, strict=False):
        head = (
            (f"  {letter} ", Tone.KEY) if cure.kind is not CureKind.NONE else ("  ", Tone.DIM)
        )
        lines += wrap(line(head, cure.say, "  ", *_gain(cure)), size, indent=4)
        if cure.type:
            lines += wrap(line((f"    {cure.type}", Tone.KEY)), size, indent=6)
        lines += wrap(line((f"    {_numbers(cure)}", Tone.DIM)), size, indent=4)
    return lines


def _numbers(cure: Cure) -> str:
    if cure.kind is CureKind.NONE:
        return ""
    if cure.numbers is not None:
        return f"outputs differ by at most {cure.numbers:.2g}"
    return cure.numbers_reason or "numbers unknown"


def _gain(cure: Cure) -> Line:
    if cure.engines_after is None:
        return ()
    tone = Tone.GOOD if cure.engines_after == 1 else Tone.WARN
    return line((f"→ {count(cure.engines_after, 'engine')}", tone))


def _cost(loaded: Loaded, cause: Cause, size: int) -> list[Line]:
    cost, report = cause.cost, loaded.report
    assert cost is not None
    pairs = (
        ("engines", len(report.engines), cost.engines),
        ("PyTorch ops", len(report.torch_ops), cost.torch_ops),
        ("casts", len(report.boundary_casts), cost.casts),
    )
    lines = [line(f"  {word:<12}{now} → {now - less}") for word, now, less in pairs if less]
    if cost.bytes:
        lines += wrap(line(f"  {bytes_text(cost.bytes)} less copied per run"), size, indent=2)
    return lines or [line(("  engines, operators and casts stay as they are", Tone.DIM))]


def _what(cause: Cause) -> str:
    if cause.target is not None:
        return short_operator(cause.target)
    return cause.kind.value.replace("_", " ").replace("tensorrt", "TensorRT")


def _where(cause: Cause) -> str:
    source = next(iter(cause.sources), None)
    if source is None:
        return ""
    more = count(len(cause.sources) - 1, "line")
    here = source.file and source.line
    place = f"{base_name(source.file or '')}:{source.line}" if here else str(source)
    return f"{place} and {more} more" if len(cause.sources) > 1 else place


def _source(source: Source | None) -> Line:
    if source is None or not source.file:
        return line(("source line unknown", Tone.DIM))
    place = f"{base_name(source.file)}:{source.line}" if source.line else str(source)
    return line((f"{place}  ", Tone.HEAD), (source.code or "text unknown", Tone.KEY))


def _engines(cause: Cause) -> Line:
    """Returns which engines a cause is about that has no line."""
    names = ", ".join(f"E{index}" for index in cause.engines)
    return line((names, Tone.HEAD)) if names else ()


def _more(sources: tuple[Source, ...]) -> Line:
    more = len(sources) - 1
    return line((f"  and {count(more, 'line')} more", Tone.DIM)) if more > 0 else ()


def _place(loaded: Loaded, name: str) -> Line:
    node = loaded.nodes.get(name)
    if node is None:
        return line("     ", (name, Tone.LINK))
    module = (node.source.module or "") if node.source else ""
    where = f"E{node.engine}" if node.engine is not None else "PyTorch"
    dtypes: list[Span] = [dtype_span(node.original)]
    if node.truncated != node.original:
        dtypes += [(" → ", Tone.DIM), dtype_span(node.truncated)]
    return line("     ", (name, Tone.LINK), f"  {module}  ", *dtypes, (f"  {where}", Tone.DIM))
