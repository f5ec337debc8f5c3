"""A comparison as bar charts: one a figure, one bar a policy, drawn by the page's template."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from trtdbg.analysis.comparison import Row
from trtdbg.outputs.compare.comparison_words import NONE, ComparisonColumn, ModelRows, cell
from trtdbg.plain import one_line

ROW_HEIGHT = 22
_LETTER = 6.7
"""Width of a letter of the page's font, about; labels are cut to fit in any case."""

_LONGEST_LABEL = 34
_BAR_WIDTH = 190
_VALUE_WIDTH = 110
_GAP = 16
"""Between a bar and its value, and behind that."""
_EMPTY_DECADE = 1.0
"""Decades below the smallest value of a logarithmic chart at which its bars begin."""


class BarPart(StrEnum):
    """What a piece of a bar stands for; the value is its class in the page's style."""

    FIGURE = "figure"
    ENGINES = "engines"
    TORCH_OPS = "torch-ops"


@dataclass(frozen=True)
class Piece:
    """A rectangle of a bar."""

    part: BarPart
    x: float
    width: float


@dataclass(frozen=True)
class ChartBar:
    """One policy in a chart."""

    label: str
    name: str
    """The label before it was cut."""
    value: str
    """What stands behind the bar."""
    pieces: tuple[Piece, ...]
    y: float
    missing: bool
    """There is no figure: the value says why, or that there is none."""

    @property
    def end(self) -> float:
        """Where the bar ends."""
        return max((piece.x + piece.width for piece in self.pieces), default=0.0)


@dataclass(frozen=True)
class Chart:
    """One figure of all policies of a model."""

    title: str
    bars: tuple[ChartBar, ...]
    start: float
    """Where the bars begin, right of the labels."""
    parts: tuple[BarPart, ...]
    """What the colours mean; empty if there is but one."""

    @property
    def width(self) -> float:
        """Width of the drawing in pixels, with room for the longest value behind its bar."""
        ends = [
            max(bar.end, self.start) + _GAP + len(bar.value) * _LETTER for bar in self.bars
        ]
        return max(self.start + _BAR_WIDTH + _VALUE_WIDTH, *ends)

    @property
    def height(self) -> float:
        """Height of the drawing in pixels."""
        return ROW_HEIGHT * len(self.bars)


def charts(group: ModelRows) -> tuple[Chart, ...]:
    """Returns the charts of a model; a figure that no policy has, or that is 0, has none."""
    found = [
        _chart(
            group,
            "Engines + PyTorch operators",
            _pieces,
            lambda row: " + ".join(
                cell(row, column)
                for column in (ComparisonColumn.ENGINES, ComparisonColumn.TORCH_OPS)
            ),
            parts=(BarPart.ENGINES, BarPart.TORCH_OPS),
        ),
        _chart(
            group, "Bytes that casts write per run", _moved, _words(ComparisonColumn.MOVED)
        ),
        _chart(group, "Build seconds", _seconds, _words(ComparisonColumn.BUILD)),
        _chart(group, "Size of the engines", _size, _words(ComparisonColumn.SIZE)),
        _chart(group, "Run time of the engines", _run, _words(ComparisonColumn.RUN)),
        _chart(
            group,
            "Largest error of any output (logarithmic)",
            _error,
            _words(ComparisonColumn.ERROR),
            logarithmic=True,
        ),
    ]
    return tuple(chart for chart in found if chart is not None)


Figures = Callable[[Row], tuple[float, ...] | None]


def _chart(
    group: ModelRows,
    title: str,
    figures: Figures,
    words: Callable[[Row], str],
    *,
    parts: tuple[BarPart, ...] = (),
    logarithmic: bool = False,
) -> Chart | None:
    given = [figures(row) for row in group.rows]
    known = [sum(values) for values in given if values is not None and sum(values) > 0]
    if not known:
        return None
    length = _logarithmic(known) if logarithmic else lambda value: value / max(known)
    names = [one_line(row.name) for row in group.rows]
    labels = [_short(name) for name in names]
    start = max(map(len, labels)) * _LETTER + 8
    bars = [
        ChartBar(
            label=label,
            name=names[place],
            value=words(row) if values is not None else _missing(row, words(row)),
            pieces=tuple(_laid_out(values or (), parts or (BarPart.FIGURE,), length, start)),
            y=ROW_HEIGHT * place,
            missing=values is None,
        )
        for place, (row, label, values) in enumerate(
            zip(group.rows, labels, given, strict=True)
        )
    ]
    return Chart(title, tuple(bars), start, parts)


def _laid_out(
    values: tuple[float, ...],
    parts: tuple[BarPart, ...],
    length: Callable[[float], float],
    start: float,
) -> Iterator[Piece]:
    for part, value in zip(parts, values, strict=False):
        width = length(value) * _BAR_WIDTH if value else 0.0
        if width:
            yield Piece(part, round(start, 1), round(width, 1))
            start += width


def _logarithmic(known: list[float]) -> Callable[[float], float]:
    low = math.log10(min(known)) - _EMPTY_DECADE
    span = math.log10(max(known)) - low
    return lambda value: (math.log10(value) - low) / span


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_LABEL else f"{name[: _LONGEST_LABEL - 1]}…"


def _words(column: ComparisonColumn) -> Callable[[Row], str]:
    return lambda row: cell(row, column)


def _missing(row: Row, words: str) -> str:
    return "failed" if row.error is not None or row.broken is not None else words or NONE


def _pieces(row: Row) -> tuple[float, ...] | None:
    if row.engines is None or row.torch_ops is None or row.broken is not None:
        return None
    return float(row.engines), float(row.torch_ops)


def _moved(row: Row) -> tuple[float, ...] | None:
    return None if row.casts is None or row.broken is not None else (float(row.casts.bytes),)


def _seconds(row: Row) -> tuple[float, ...] | None:
    # The sum of some engines would look like the quickest build of all.
    if row.build is None or row.build.seconds is None or row.build.error is not None:
        return None
    return (row.build.seconds,)


def _size(row: Row) -> tuple[float, ...] | None:
    if row.build is None or row.build.bytes is None or row.build.error is not None:
        return None
    return (float(row.build.bytes),)


def _run(row: Row) -> tuple[float, ...] | None:
    return None if row.run is None or row.run.median_ms is None else (row.run.median_ms,)


def _error(row: Row) -> tuple[float, ...] | None:
    if row.numerics is None or row.numerics.max_abs_error is None:
        return None
    return (row.numerics.max_abs_error,)
