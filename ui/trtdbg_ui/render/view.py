"""What the user chose about the node table: columns, order, filters, folded blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trtdbg.analysis.summary import base_name
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.folding import Folding, Group
from trtdbg_ui.model.loaded import RowSequence
from trtdbg_ui.model.view import Quick, View
from trtdbg_ui.render.columns import EXTRA, Column
from trtdbg_ui.text import Line, Span, Tone, line, pack

QUICK = {
    Quick.CHANGED: ("c", "changed", "narrowed; in a pass: touched by it"),
    Quick.REJECTED: ("r", "rejected", "refused, or left to PyTorch"),
    Quick.DISAGREEING: ("d", "disagreeing dtypes", "original, inferred or TensorRT's"),
    Quick.WIDE: ("w", "wide", "float64, int64 or complex128"),
    Quick.BOUNDARY: ("b", "boundary", "at an engine's edge, or cast there"),
}
"""Key, name and meaning of each filter."""


def columns(
    known: Sequence[Column], keys: Sequence[str], *, chosen: bool
) -> tuple[Column, ...]:
    """Returns the columns to lay out, in the order of `known`.

    Args:
        known: All columns.
        keys: Those that are wanted; the folded blocks' column always is.
        chosen: Whether the user named them: then they only go if there is no room at all.
    """
    wanted = (column for column in known if column.key in keys or column.key == "fold")
    if not chosen:
        return tuple(wanted)
    return tuple(replace(column, goes=min(column.goes, EXTRA - 1)) for column in wanted)


def with_arrow(
    shown: Sequence[Column], sort: str | None, descending: bool
) -> tuple[Column, ...]:
    """Returns the columns with an arrow in the title of the one that orders the rows."""
    arrow = "▼" if descending else "▲"
    return tuple(
        replace(column, titles=tuple(f"{t}{arrow}" for t in column.titles))
        if column.key == sort
        else column
        for column in shown
    )


def fold_span(folding: Folding, name: str) -> Span:
    """Returns how many nodes one stands for, or the block that it is an exception of."""
    if name in folding.exception:
        return f"≠ {folding.exception[name]}", Tone.WARN
    times = folding.times.get(name, 1)
    return (f"×{times}", Tone.KEY) if times > 1 else ("", Tone.DIM)


def view_line(rows: RowSequence, prefix: str, size: int) -> Line:
    """Returns how many rows are shown and why these."""
    view = rows.view
    parts: list[tuple[int, Line]] = []
    if not view.whole:
        parts.append(
            (0, line((f"{prefix}{len(rows.names):,} of {rows.total:,} nodes", Tone.STRONG)))
        )
    if view.filtered:
        parts.append(
            (
                0,
                line(
                    (f"{filter_text(view)} only", Tone.WARN), (f" ({key('filter')})", Tone.DIM)
                ),
            )
        )
    if view.fold:
        parts.append((1, _folding_line(rows.folding)))
    if view.sort is not None:
        arrow = "▼" if view.descending else "▲"
        parts.append(
            (
                2,
                line(
                    (f"by {view.sort} {arrow}", Tone.WARN),
                    (f" ({key('columns-and-order')})", Tone.DIM),
                ),
            )
        )
    return pack(parts, size, ("  ", Tone.PLAIN))


def filter_text(view: View) -> str:
    """Returns the names of the filters in force."""
    names = [QUICK[view.quick][1]] if view.quick is not None else []
    names += [f"engine {view.engine}"] if view.engine is not None else []
    if view.modules:
        more = len(view.modules) - 1
        names.append(f"module {view.modules[0]}{f' and {more} alike' if more else ''}")
    if view.line is not None:
        file, number = view.line
        names.append(f"{base_name(file)}:{number}" if file else "without a line")
    return ", ".join(names)


def _folding_line(folding: Folding) -> Line:
    if not folding.groups:
        return line(("no block repeats", Tone.WARN), (f" ({key('fold-repeats')})", Tone.DIM))
    texts = "; ".join(group_text(group) for group in folding.groups)
    return line((texts, Tone.WARN), (f" ({key('fold-repeats')})", Tone.DIM))


def group_text(group: Group) -> str:
    """Returns what stands for what, like `layers.0 ×11 (0-6, 8-11), unlike: 7`."""
    path = f"{group.path}." if group.path else ""
    text = f"{path}{group.alike[0]} ×{len(group.alike)} ({ranges(group.alike)})"
    return text + (f", unlike: {ranges(group.exceptions)}" if group.exceptions else "")


def ranges(numbers: Sequence[int]) -> str:
    """Returns numbers in order as `0-6, 8-11`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)
