"""Column widths of a table for a given number of cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trtdbg_ui.text import Line, Tone, cells, fit, fit_middle


@dataclass(frozen=True)
class Column:
    """What a column is called and how it behaves when room is short."""

    key: str
    titles: tuple[str, ...]
    """From the longest to the shortest; the first that fits is shown."""
    least: int
    """Narrowest useful width."""
    most: int
    """Width beyond which more is not given."""
    goes: int = 0
    """The column with the highest number is left out first; 0 never is.

    From `EXTRA` on a column is only shown if nothing has to shrink for it.
    """
    align: str = "left"
    stretch: bool = False
    """Gets what the other columns leave over."""
    middle: bool = False
    """Cut in the middle, for names that differ at their end."""


Layout = tuple[tuple[Column, int], ...]
"""The columns that are shown, each with its width in cells."""

GAP = 1
EXTRA = 10


@dataclass(frozen=True)
class Extent:
    """How long the contents of a column are, in cells."""

    usual: int = 0
    """What all but one of twenty keep to: a few very long names must not push other columns
    off the screen."""
    longest: int = 0

    @classmethod
    def of(cls, lengths: Iterable[int]) -> Extent:
        """Returns the extent of contents of these lengths."""
        ordered = sorted(lengths)
        return cls(ordered[(len(ordered) - 1) * 19 // 20], ordered[-1]) if ordered else cls()

    def beside(self, other: Extent) -> Extent:
        """Returns the extent of two kinds of contents, of which this one is the usual."""
        return Extent(self.usual, max(self.longest, other.longest))

    @classmethod
    def whole(cls, lengths: Iterable[int]) -> Extent:
        """Returns the extent of contents of which none should be cut."""
        longest = max(lengths, default=0)
        return cls(longest, longest)


def lay_out(columns: Sequence[Column], natural: Mapping[str, Extent], size: int) -> Layout:
    """Returns the columns that fit into `size` cells, with their widths.

    Every column gets what its content needs if there is room. Otherwise optional columns are
    left out, and the widest of the others shrink towards their least width.

    Args:
        columns: All columns, in the order of display.
        natural: How long the contents of each column are, by key.
        size: Cells available, gaps between the columns included.
    """
    kept = list(columns)
    while _room(kept, [c.least for c in kept], size) < 0 and any(c.goes for c in kept):
        kept.remove(max(kept, key=lambda column: column.goes))
    widths = [_wanted(column, natural.get(column.key, Extent()).usual) for column in kept]
    while _room(kept, widths, size) < 0 and any(c.goes >= EXTRA for c in kept):
        index = kept.index(max(kept, key=lambda column: column.goes))
        del kept[index], widths[index]
    while _room(kept, widths, size) < 0:
        slack = [width - column.least for column, width in zip(kept, widths, strict=True)]
        widest = max(range(len(kept)), key=lambda i: (slack[i] > 0, widths[i]))
        if slack[widest] <= 0:
            break
        widths[widest] -= 1
    for index, column in enumerate(kept):
        more = cells(column.titles[0]) - widths[index]
        if 0 < more <= _room(kept, widths, size):
            widths[index] += more
    for index, column in enumerate(kept):
        longest = natural.get(column.key, Extent()).longest
        most = longest if column.stretch else min(longest, column.most)
        more = min(most - widths[index], _room(kept, widths, size))
        widths[index] += max(more, 0)
    return tuple(zip(kept, widths, strict=True))


def _wanted(column: Column, natural: int) -> int:
    if column.stretch:
        return column.least
    return max(column.least, min(column.most, max(natural, cells(column.titles[-1]))))


def _room(columns: Sequence[Column], widths: Sequence[int], size: int) -> int:
    """Returns the cells that are left over, less than 0 if some are missing."""
    return size - sum(widths) - GAP * (len(columns) - 1)


def title_line(layout: Layout) -> Line:
    """Returns the head of the table."""
    spans = []
    for column, size in layout:
        title = next((t for t in column.titles if cells(t) <= size), column.titles[-1])
        spans.append((fit(title, size, align=column.align) + " " * GAP, Tone.HEAD))
    return tuple(spans)


def row_line(layout: Layout, content: Mapping[str, tuple[str, Tone]]) -> Line:
    """Returns one row: every column's content cut or padded to the column's width."""
    spans = []
    for column, size in layout:
        text, tone = content[column.key]
        cut = fit_middle(text, size) if column.middle else fit(text, size, align=column.align)
        spans.append((cut + " " * GAP, tone))
    return tuple(spans)
