"""Rows of the tree of modules and of the list of source lines, with what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from trtdbg.analysis.by_place import costs
from trtdbg.analysis.place_words import line_name, short_name, sums
from trtdbg.records import LineRow, ModuleRow
from trtdbg_ui.render.columns import EXTRA, Column, Extent, Layout, lay_out, row_line
from trtdbg_ui.text import Span, Tone

PlaceRow = ModuleRow | LineRow

_SUMS = (
    Column("operators", ("operators", "ops"), least=4, most=9, goes=3),
    Column("engines", ("engines",), least=7, most=16),
    Column("PyTorch", ("PyTorch",), least=7, most=7),
    Column("refused", ("refused",), least=7, most=7, goes=1),
    Column("casts", ("casts",), least=5, most=5, goes=2),
    Column("dtypes", ("dtypes made",), least=11, most=44, goes=5),
    Column("error", ("error",), least=6, most=6, goes=11),
    Column("ms", ("engine ms",), least=6, most=9, goes=12),
)
_MODULES = (Column("name", ("module",), least=18, most=60), *_SUMS)
_LINES = (
    Column("name", ("line",), least=15, most=38, middle=True),
    Column("code", ("text",), least=26, most=40, stretch=True),
    *(replace(column, goes=EXTRA) if column.key == "dtypes" else column for column in _SUMS),
)


def layout(rows: Sequence[PlaceRow], size: int) -> Layout:
    """Returns the columns for rows in `size` cells; a column that is empty is left out."""
    known = _MODULES if rows and isinstance(rows[0], ModuleRow) else _LINES
    cells = [row_cells(row, opened=True, parent=False) for row in rows]
    natural = {
        column.key: Extent.of(len(each[column.key][0]) for each in cells) for column in known
    }
    shown = tuple(c for c in known if c.key not in ("error", "ms") or natural[c.key].longest)
    return lay_out(shown, natural, size)


def place_row(row: PlaceRow, shown: Layout, *, opened: bool, parent: bool) -> tuple[Span, ...]:
    """Returns one row.

    Args:
        row: The sums of a module or a line.
        shown: The columns.
        opened: Whether the rows below a module are shown.
        parent: Whether there are any.
    """
    cells = row_cells(row, opened=opened, parent=parent)
    return row_line(shown, {column.key: cells[column.key] for column, _ in shown})


def row_cells(row: PlaceRow, *, opened: bool, parent: bool) -> Mapping[str, Span]:
    """Returns the cells of a row by the key of their column."""
    ops, engines, left, refused, casts, dtypes, error, ms = sums(row)
    tone = Tone.BAD if row.torch_ops or row.refused else Tone.PLAIN
    if not costs(row) and not row.operators:
        tone = Tone.DIM
    found: dict[str, Span] = {
        "operators": (ops, Tone.DIM),
        "engines": (engines and f"E{engines}", Tone.PLAIN),
        "PyTorch": (left, Tone.BAD),
        "refused": (refused, Tone.BAD),
        "casts": (casts, Tone.WARN),
        "dtypes": (dtypes, Tone.DIM),
        "error": (error, Tone.WARN),
        "ms": (ms, Tone.PLAIN),
    }
    if isinstance(row, LineRow):
        return {**found, "name": (line_name(row), tone), "code": (row.code or "", Tone.KEY)}
    sign = ("▾ " if opened else "▸ ") if parent else "  "
    return {**found, "name": (f"{'  ' * row.depth}{sign}{short_name(row)}", tone)}
