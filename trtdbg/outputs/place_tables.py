"""Lines and modules of a model as tables of the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trtdbg.analysis import place_words as words
from trtdbg.analysis.by_place import costs
from trtdbg.analysis.summary import operator_text
from trtdbg.outputs import local_source
from trtdbg.outputs.tables import ROWS, Section, make_table
from trtdbg.plain import one_line
from trtdbg.records import LineRow, ModuleRow, OperatorRow, Report, Sums


def sections(report: Report, *, all_rows: bool) -> Iterator[Section]:
    """Yields what was asked for of lines and modules."""
    if report.lines is not None:
        yield _lines(report.lines, all_rows=all_rows)
    if report.modules is not None:
        yield _modules(report.modules, all_rows=all_rows)
    if report.operators is not None:
        yield _operators(report.operators, all_rows=all_rows)


def _lines(rows: tuple[LineRow, ...], *, all_rows: bool) -> Section:
    shown = rows if all_rows else rows[:ROWS]
    parts: list[RenderableType] = []
    for row in shown:
        name = Text(one_line(words.line_name(row)), style="bold" if costs(row) else "")
        name.append(f"  {words.sentence(row)}", style="not bold")
        parts.append(name)
        if row.code:
            parts.append(Padding(Text(one_line(row.code), style="dim"), (0, 0, 0, 2)))
    parts += [Text(line, style="yellow") for line in local_source.remarks(shown)]
    return _title("Lines", len(shown), len(rows)), Group(*parts)


def _modules(rows: tuple[ModuleRow, ...], *, all_rows: bool) -> Section:
    shown = rows if all_rows else rows[:ROWS]
    names = ["  " * row.depth + one_line(words.short_name(row)) for row in shown]
    return _title("Modules", len(shown), len(rows)), _table("module", names, shown)


def _operators(rows: tuple[OperatorRow, ...], *, all_rows: bool) -> Section:
    shown = rows if all_rows else rows[:ROWS]
    names = [one_line(operator_text(row.target)) for row in shown]
    return _title("Operators", len(shown), len(rows)), _table("operator", names, shown)


def _table(title: str, names: Sequence[str], rows: Sequence[Sums]) -> Table:
    """Returns a table without the columns that are blank in all rows."""
    cells = [words.sums(row) for row in rows]
    used = [at for at in range(len(words.SUM_COLUMNS)) if any(row[at] for row in cells)]
    table = make_table(title, *(words.SUM_COLUMNS[at] for at in used))
    for at, column in zip(used, table.columns[1:], strict=True):
        if words.SUM_COLUMNS[at] not in ("engines", "dtypes"):
            column.justify = "right"
            column.no_wrap = True
    table.columns[0].min_width = min(_NAME_WIDTH, max(map(len, names), default=0))
    for row, name, cell in zip(rows, names, cells, strict=True):
        style = "bold" if costs(row) else ""
        table.add_row(Text(name, style=style), *(cell[at] for at in used))
    return table


_NAME_WIDTH: Final = 28
"""Columns that names of modules have before others do."""


def _title(what: str, shown: int, total: int) -> str:
    if shown == total:
        return f"{what} (what costs most first)" if what == "Lines" else what
    return f"{what} (first {shown} of {total}; --all-nodes shows all)"
