"""A search for the operators that must stay in float32: the set so far, and its curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from trtdbg.analysis.summary import count, operator_text
from trtdbg.outputs import precision as told
from trtdbg.plain import one_line
from trtdbg.records.precision import LowCandidate, Point, PrecisionSearch
from trtdbg_ui.model.searching import Searching
from trtdbg_ui.text import BLANK, Line, Span, Tone, line, wrap

ROWS: Final = 9
"""Lines of the curve."""

MARGIN: Final = 8
"""Cells for the numbers at its left."""

DECADES: Final = 4.0
"""Powers of ten that it shows on either side of the tolerance."""


def search_lines(searching: Searching, size: int) -> list[Line]:
    """Returns what is known of a search, for a width."""
    lines = [line((_head(searching), Tone.HEAD)), BLANK]
    if searching.error is not None:
        return [*lines, *wrap(line((searching.error, Tone.BAD)), size)]
    found = searching.found
    lines += _finished(found, size) if found is not None else _growing(searching, size)
    if searching.curve:
        lines += [BLANK, *curve(searching.curve, size)]
    return lines


def _head(searching: Searching) -> str:
    what = f"{searching.precision}, outputs within rtol {searching.rtol:g}"
    evaluations = count(len(searching.curve), "evaluation")
    if searching.found is not None:
        return f"{what}: {evaluations}"
    if searching.error is not None:
        return f"{what}: ended after {evaluations}"
    return f"{what}: searching, {evaluations}"


def _growing(searching: Searching, size: int) -> list[Line]:
    """Returns the set that is tried now, and the best one so far."""
    if searching.tried is None:
        return [line(("lowering, and running the original on its inputs", Tone.DIM))]
    total = len(searching.candidates)
    lines = [line(f"tried now: {len(searching.tried)} of {total} operators kept")]
    best = searching.best
    if best is None:
        return [*lines, line(("no set is within the tolerance yet", Tone.WARN))]
    text = f"within the tolerance so far: {len(best)} of {total} operators kept"
    lines.append(line((text, Tone.GOOD)))
    kept = [each for each in searching.candidates if each.name in best]
    return lines + [_operator(each, size) for each in kept[:_NAMED]] + _more(kept)


def _operator(each: LowCandidate, size: int) -> Line:
    place = f"  {each.source}" if str(each.source or "") else ""
    text = one_line(f"  {each.name} ({operator_text(each.target)}){place}")
    return line(text[: max(size, 1)])


def _more(kept: Sequence[LowCandidate]) -> list[Line]:
    rest = len(kept) - _NAMED
    return [line((f"  and {rest} more", Tone.DIM))] if rest > 0 else []


_NAMED = 12
"""Operators of the best set that are named before the rest is only counted."""


def _finished(found: PrecisionSearch, size: int) -> list[Line]:
    lines: list[Line] = []
    for text in told.lines(found):
        lines += wrap(line(text), size, indent=4) if text else [BLANK]
    return lines


def curve(points: Sequence[Point], size: int) -> list[Line]:
    """Returns the error of each evaluation over the share of operators that are low.

    The error is in tolerances, on a logarithmic scale; `inf` is the top line.
    """
    width = max(size - MARGIN, 10)
    cells: dict[tuple[int, int], str] = {}
    for point in points:
        place = (_row(point.error), round(point.share_low * (width - 1)))
        passes = point.error is not None and point.error <= 1.0
        cells[place] = "●" if passes else "×"
    lines = [line(("error in tolerances, over the share of low operators", Tone.DIM))]
    for row in range(ROWS):
        spans: list[Span] = [(_LABELS.get(row, "").rjust(MARGIN - 2) + " ┤", Tone.DIM)]
        spans += [_cell(cells.get((row, column)), row) for column in range(width)]
        lines.append(line(*spans))
    axis = "0 %" + "100 %".rjust(width - 3)
    return [*lines, line((" " * MARGIN + axis, Tone.DIM))]


def _cell(sign: str | None, row: int) -> Span:
    if sign is None:
        return ("─" if row == _TOLERANCE else " ", Tone.DIM)
    return (sign, Tone.GOOD if sign == "●" else Tone.BAD)


def _row(error: float | None) -> int:
    """Returns the line of an error: infinite on top, the tolerance in the middle."""
    if error is None:
        return 0
    decades = math.log10(error) if error > 0 else -DECADES
    row = round(_TOLERANCE - decades * _TOLERANCE / DECADES)
    # Whether it is within the tolerance must show.
    row = max(row, _TOLERANCE) if error <= 1.0 else min(row, _TOLERANCE - 1)
    return max(1, min(row, ROWS - 1))


_TOLERANCE = ROWS // 2
_LABELS = {0: "inf", _TOLERANCE: "1", ROWS - 1: "≤1e-4"}
