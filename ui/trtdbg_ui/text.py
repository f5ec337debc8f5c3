"""Toned text: what the pure renderers return and the widgets paint.

A line is a tuple of spans, a span a string with a tone. A tone says what a text means; which
colour that is, if any, is the theme's business. Nothing here knows Textual, so that every
screen's text is tested as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from rich.cells import cell_len, chop_cells, set_cell_size


class Tone(StrEnum):
    """What a piece of text means."""

    PLAIN = "plain"
    DIM = "dim"
    """Repeated, unchanged or secondary."""
    STRONG = "strong"
    HEAD = "head"
    """A heading inside a pane."""
    KEY = "key"
    """A key to press."""
    LINK = "link"
    """The name of a node, which a click goes to."""
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    COMPLEX = "complex"
    WIDE_FLOAT = "wide-float"
    WIDE_INT = "wide-int"
    WIDE_COMPLEX = "wide-complex"


Span = tuple[str, Tone]
Line = tuple[Span, ...]

BLANK: Line = ()
ELLIPSIS = "…"


def line(*parts: str | Span) -> Line:
    """Returns a line; a bare string is a plain span."""
    return tuple(part if isinstance(part, tuple) else (part, Tone.PLAIN) for part in parts)


def plain(spans: Line) -> str:
    """Returns the text of a line without its tones."""
    return "".join(text for text, _ in spans)


def cells(text: str) -> int:
    """Returns how many terminal cells `text` takes."""
    return len(text) if text.isascii() else cell_len(text)


def width(spans: Line) -> int:
    """Returns how many terminal cells a line takes."""
    return sum(cells(text) for text, _ in spans)


def word_at(spans: Line, x: int) -> str:
    """Returns the word at cell `x` of a line, without what stands around a name."""
    start = 0
    for word in _words(plain(spans)):
        end = start + cells(word)
        if start <= x < end:
            return _bare(word) if x < start + cells(word.rstrip()) else ""
        start = end
    return ""


def broken_words(lines: Sequence[Line], index: int, word: str) -> tuple[str, ...]:
    """Returns what a word of a line may be a part of, the longest first.

    `wrap` breaks a word that is longer than a line: a word at the end of a line may go on in
    the next one, and a word at the beginning may have begun in the one before.
    """
    row = plain(lines[index]).split()
    before = plain(lines[index - 1]).split()[-1:] if index else []
    after = plain(lines[index + 1]).split()[:1] if index + 1 < len(lines) else []
    first = before if row and _bare(row[0]) == word else []
    last = after if row and _bare(row[-1]) == word else []
    joined: tuple[tuple[list[str], list[str]], ...] = ((first, last), (first, []), ([], last))
    found = (_bare("".join([*start, word, *end])) for start, end in joined if start or end)
    return tuple(dict.fromkeys(found))


def _bare(word: str) -> str:
    return word.strip(" ,;:()[]→")


def link_at(spans: Line, x: int) -> str:
    """Returns the link at cell `x` of a line, which may be a part of a word; else nothing."""
    for text, tone in spans:
        x -= cells(text)
        if x < 0:
            return text.strip() if tone is Tone.LINK else ""
    return ""


def fit(text: str, size: int, *, align: str = "left") -> str:
    """Returns `text` in exactly `size` cells, cut at its end with an ellipsis if too long."""
    length = cells(text)
    if length == size:
        return text
    if length < size:
        pad = " " * (size - length)
        return pad + text if align == "right" else text + pad
    if size <= 0:
        return ""
    return set_cell_size(text, size - 1) + ELLIPSIS


def fit_middle(text: str, size: int) -> str:
    """Returns `text` in exactly `size` cells, cut in its middle.

    Node names differ in their last characters (`softmax_11`, `softmax_12`), so these are kept.
    """
    if cells(text) <= size or size < 6 or not text.isascii():
        return fit(text, size)
    tail = (size - 1) // 2
    return text[: size - 1 - tail] + ELLIPSIS + text[-tail:]


def crop(spans: Line, size: int) -> Line:
    """Returns the line cut to `size` cells, with an ellipsis where something was cut."""
    if width(spans) <= size:
        return spans
    kept: list[Span] = []
    room = size - 1
    for text, tone in spans:
        length = cells(text)
        if length > room:
            kept.append((set_cell_size(text, room) + ELLIPSIS, tone))
            break
        kept.append((text, tone))
        room -= length
    return tuple(kept)


def join(parts: Iterable[Line], separator: Span) -> Line:
    """Returns the lines in one, with `separator` between."""
    spans: list[Span] = []
    for part in parts:
        if spans:
            spans.append(separator)
        spans.extend(part)
    return tuple(spans)


def pack(parts: Sequence[tuple[int, Line]], size: int, separator: Span) -> Line:
    """Returns the most important of the parts that fit into `size` cells, in their order.

    Args:
        parts: Pairs of importance (0 comes first) and line, in the order of display.
        size: Cells available.
        separator: What stands between two parts.
    """
    kept: list[int] = []
    for index in sorted(range(len(parts)), key=lambda i: parts[i][0]):
        tried = sorted([*kept, index])
        if not kept or width(join((parts[i][1] for i in tried), separator)) <= size:
            kept = tried
    return crop(join((parts[i][1] for i in kept), separator), size)


def spread(left: Line, right: Line, size: int) -> Line:
    """Returns both at the two ends of `size` cells, or `left` alone if they do not fit."""
    gap = size - width(left) - width(right)
    if gap < 2 and right:
        return crop(left, size)
    return (*left, (" " * gap, Tone.PLAIN), *right)


def wrap(spans: Line, size: int, *, indent: int = 0) -> list[Line]:
    """Returns the line broken at spaces into lines of at most `size` cells.

    A word longer than a line is broken inside. Lines after the first begin with `indent`
    spaces.
    """
    size = max(size, indent + 4)
    lines: list[Line] = []
    current: list[Span] = []
    used = 0

    def close() -> None:
        nonlocal current, used
        lines.append(_trimmed(current))
        current = [(" " * indent, Tone.PLAIN)] if indent else []
        used = indent

    for text, tone in spans:
        for word in _words(text):
            length = cells(word)
            if used + cells(word.rstrip()) <= size:
                current.append((word, tone))
                used += length
                continue
            if used > indent:
                close()
            for chunk in chop_cells(word, size - indent) or [""]:
                if used + cells(chunk.rstrip()) > size:
                    close()
                current.append((chunk, tone))
                used += cells(chunk)
    close()
    return lines


def _words(text: str) -> list[str]:
    """Splits into words, each with the spaces that follow it."""
    pieces = text.split(" ")
    return [piece + " " for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def _trimmed(spans: Sequence[Span]) -> Line:
    """Merges neighbours of one tone and drops the spaces at the end."""
    merged: list[Span] = []
    for text, tone in spans:
        if merged and merged[-1][1] is tone:
            merged[-1] = (merged[-1][0] + text, tone)
        else:
            merged.append((text, tone))
    while merged and not merged[-1][0].strip():
        merged.pop()
    if merged:
        merged[-1] = (merged[-1][0].rstrip(), merged[-1][1])
    return tuple(merged)
