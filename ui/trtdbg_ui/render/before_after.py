"""The graph before and after a pass, side by side, with what changed marked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from trtdbg.analysis.summary import count
from trtdbg.records import Dtype, GraphNode, Report, dtype_text
from trtdbg_ui.model.pass_rows import Mark, SnapshotRow, snapshot
from trtdbg_ui.render.dtypes import dtype_span
from trtdbg_ui.render.signs import MARK_TONE, short_operator
from trtdbg_ui.text import BLANK, Line, Span, Tone, cells, fit, line

_CONTEXT = 2
"""Unchanged nodes that are shown before and after one that changed."""


def title(report: Report, place: int, against: int | None) -> str:
    """Returns which two graphs are compared."""
    after = report.passes[place]
    if against is None and place == 0:
        return f"{after.index} {after.name}"
    before = report.passes[place - 1 if against is None else against]
    return f"{before.index} {before.name} → {after.index} {after.name}"


def before_after(report: Report, place: int, against: int | None, size: int) -> list[Line]:
    """Returns both graphs as code, a node a line; what is the same is shown near changes only.

    Args:
        report: The report with the passes.
        place: Position of the pass in `Report.passes`.
        against: Position of the pass to compare with; None is the one before.
        size: Cells available.
    """
    rows = _removed_first(snapshot(report, place, against))
    if all(row.mark is Mark.SAME for row in rows):
        return [line((f"Nothing changed: {count(len(rows), 'node')}.", Tone.DIM))]
    half = (size - 5) // 2
    head = line(("  ", Tone.PLAIN), (fit("before", half), Tone.HEAD), ("   after", Tone.HEAD))
    lines = [head]
    for item in _near_changes(rows):
        if isinstance(item, int):
            lines.append(line((f"    … {count(item, 'node')} unchanged", Tone.DIM)))
        else:
            lines.append(_row(item, half))
    return [*lines, BLANK]


def _removed_first(rows: Iterable[SnapshotRow]) -> tuple[SnapshotRow, ...]:
    """Puts what is gone before what came in its place."""
    ordered: list[SnapshotRow] = []
    for _, run in groupby(rows, lambda row: row.mark in (Mark.ADDED, Mark.REMOVED)):
        ordered += sorted(run, key=lambda row: row.mark is Mark.ADDED)
    return tuple(ordered)


def _near_changes(rows: tuple[SnapshotRow, ...]) -> Iterator[SnapshotRow | int]:
    """Yields rows with a change near them, and for the others how many are left out."""
    changed = [index for index, row in enumerate(rows) if row.mark is not Mark.SAME]
    near = {
        other for index in changed for other in range(index - _CONTEXT, index + _CONTEXT + 1)
    }
    skipped = 0
    for index, row in enumerate(rows):
        if index not in near:
            skipped += 1
            continue
        if skipped:
            yield skipped
            skipped = 0
        yield row
    if skipped:
        yield skipped


def _row(row: SnapshotRow, half: int) -> Line:
    tone = Tone.DIM if row.mark is Mark.SAME else MARK_TONE[row.mark]
    old = row.old
    new = None if row.mark is Mark.REMOVED else row.node
    return (
        (f"{row.mark.value} ", tone),
        *_side(old, row.before, new, tone, half),
        (" │ ", Tone.DIM),
        *_side(new, row.after, old, tone, half),
    )


def _side(
    node: GraphNode | None, dtype: Dtype, other: GraphNode | None, tone: Tone, size: int
) -> tuple[Span, ...]:
    """Returns a node as code in exactly `size` cells; what the other side lacks stands out."""
    if node is None:
        return ((" " * size, Tone.DIM),)
    end = dtype_text(dtype) if dtype is not None else ""
    room = max(size - cells(end) - 1, 1) if end else size
    operator = short_operator(node.target) if node.op.startswith("call_") else node.op
    code = fit(f"{node.name} = {operator}({node.args})", room)
    same = other is not None and (node.target, node.args) == (other.target, other.args)
    spans: list[Span] = [(code, Tone.DIM if tone is Tone.DIM or same else tone)]
    if end:
        known = other is not None and dtype == other.dtype
        spans += [(" ", Tone.PLAIN), (end, Tone.DIM) if known else dtype_span(dtype)]
    return tuple(spans)
