"""A comparison as tables for the terminal, one a model."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from trtdbg.analysis.comparison import PolicyComparison, Row
from trtdbg.outputs.compare import comparison_words as words
from trtdbg.outputs.compare.comparison_words import ComparisonColumn
from trtdbg.outputs.tables import make_table
from trtdbg.records import Level

_POLICY_WIDTH = 20
"""Room for `late, constants none`; longer names are folded where there is too little."""

_PLENTY = 500
"""Columns of a terminal that no table fills."""

_REMARK_STYLE = {Level.ERROR: "red", Level.WARNING: "yellow", Level.NOTE: ""}


def comparison(comparison: PolicyComparison) -> RenderableType:
    """Returns the rows of each model as a table, with what explains them."""
    parts: list[RenderableType] = []
    for group in words.groups(comparison):
        parts.append(Text(words.headline(group), style="bold"))
        if any(row.error is None for row in group.rows):
            parts += [Text(""), _Rows(group)]
        for remark in words.remarks(group):
            parts.append(Text(remark.text, style=_REMARK_STYLE[remark.level]))
        parts.append(Text(""))
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    if any(row.findings is not None for row in comparison.rows):
        facts.add_row("findings", Text("e errors, w warnings, n notes"))
    for name, text in words.conditions(comparison):
        facts.add_row(name, Text(text, style="yellow" if name == "beware" else ""))
    return Group(*parts, facts)


class _Rows:
    """The rows of one model: one table, or several below each other where it would be cut."""

    def __init__(self, group: words.ModelRows) -> None:
        self._group = group

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plenty = options.update(max_width=_PLENTY)

        def parts(columns: Sequence[ComparisonColumn]) -> list[Table]:
            table = _table(self._group, (ComparisonColumn.POLICY, *columns))
            width = Measurement.get(console, plenty, table).maximum
            if width <= options.max_width or len(columns) == 1:
                return [table]
            behind = ComparisonColumn.FINDINGS in columns[:-1]
            cut = columns.index(ComparisonColumn.FINDINGS) + 1 if behind else len(columns) // 2
            return parts(columns[:cut]) + parts(columns[cut:])

        for number, table in enumerate(parts(self._group.columns[1:])):
            if number:
                yield Text("")
            yield table


def _table(group: words.ModelRows, columns: Sequence[ComparisonColumn]) -> Table:
    table = make_table(*(column.value.replace(" ", "\n") for column in columns))
    for made, column in zip(table.columns, columns, strict=True):
        if column is ComparisonColumn.POLICY:
            made.min_width = min(_POLICY_WIDTH, max(len(row.name) for row in group.rows))
            continue
        made.justify = "right"
        made.no_wrap = True
    best = words.best_rows(group)
    for row in group.rows:
        table.add_row(*(_cell(row, column, best) for column in columns))
    return table


def _cell(row: Row, column: ComparisonColumn, best: frozenset[str]) -> Text:
    return Text(words.cell(row, column), style=_style(row, column, best))


def _style(row: Row, column: ComparisonColumn, best: frozenset[str]) -> str:
    if column is ComparisonColumn.BUILD and (row.error or (row.build and row.build.failed)):
        return "bold red"
    if column is ComparisonColumn.ERROR and words.cell(row, column).endswith("(beyond)"):
        return "bold red"
    if column is ComparisonColumn.FINDINGS and row.findings is not None and row.findings.error:
        return "red"
    if column in (ComparisonColumn.POLICY, ComparisonColumn.ENGINES) and row.name in best:
        return "bold green"
    return ""
