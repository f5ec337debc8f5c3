"""A report as titled tables of plain words, which Markdown and HTML pages are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trtdbg.analysis import cause_lines, place_words, summary
from trtdbg.analysis.advice import consequence_lines, suggestion_lines
from trtdbg.analysis.alike import as_one
from trtdbg.analysis.block_sizes import block_size_lines
from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.analysis.causes import coverage_line, why
from trtdbg.analysis.levels import by_severity
from trtdbg.analysis.node_columns import ON_PAGES, shown_columns
from trtdbg.plain import one_line
from trtdbg.records import (
    Binding,
    Dtype,
    EngineRecord,
    LineRow,
    ModuleRow,
    NodeRecord,
    OperatorRow,
    Record,
    Report,
    dtype_text,
    shape_text,
)


class Section(Record, frozen=True, kw_only=True):
    """A table with a title; nothing in it steers a terminal."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def facts(report: Report) -> list[tuple[str, str]]:
    """Returns what was in force: model, policy, settings, versions, passes that failed."""
    model = report.model
    rows = [
        ("model", f"{summary.model_name(model)}, {summary.count(model.nodes, 'node')}"),
        ("sha256", model.sha256),
        *_in_force(report),
        *(("coverage", line) for line in (coverage_line(report),) if line is not None),
        *(("low", line) for line in (summary.low_line(report),) if line is not None),
        *_recorded(report),
        (
            "made with",
            f"trtdbg {report.environment.trtdbg}, "
            + summary.environment_line(report.environment),
        ),
    ]
    rows += [
        ("error", f"pass {record.index} {record.name}: {record.error}")
        for record in report.passes
        if record.error
    ]
    return [(name, one_line(value)) for name, value in rows]


def _recorded(report: Report) -> list[tuple[str, str]]:
    recorded = report.model.recorded
    return [] if recorded is None else [("recorded", summary.recorded_line(recorded))]


def _in_force(report: Report) -> list[tuple[str, str]]:
    if report.model.prebuilt is not None:
        return [("opened as", f"{report.model.prebuilt}: {summary.PREBUILT}")]
    return [
        ("policy", summary.policy_line(report.policy, report.settings)),
        ("settings", summary.settings_line(report.settings)),
    ]


def sections(report: Report, *, all_nodes: bool) -> list[Section]:
    """Returns the tables of a report, the answer first; empty ones are left out.

    Args:
        report: what to show.
        all_nodes: whether nodes are listed that are neither refused nor change their dtype.
    """
    nodes = report.nodes if all_nodes else summary.nodes_that_matter(report)
    made = [
        line_table(report.lines or ()),
        module_table(report.modules or ()),
        operator_table(report.operators or ()),
        _section("Other minimum block sizes", ("",), _lines(block_size_lines(report))),
        cause_table(report),
        _section("Left to PyTorch", ("node", "operator", "source", "why"), _left(report)),
        finding_table(report),
        _section(
            "If one refused operator were accepted", ("",), _lines(consequence_lines(report))
        ),
        _section("Suggested policy", ("",), _lines(suggestion_lines(report))),
        engine_table(report),
        _section(
            "Boundary casts",
            ("value", "from", "to", "direction", "engine", "asked by"),
            (
                (
                    cast.value,
                    cast.from_dtype,
                    cast.to_dtype,
                    cast.direction.value.replace("_", " "),
                    "-" if cast.engine is None else str(cast.engine),
                    ", ".join(cast.asked_by),
                )
                for cast in report.boundary_casts
            ),
        ),
        node_table(
            nodes, "Nodes" if all_nodes else "Nodes that are refused or change their dtype"
        ),
        _section(
            f"Inside of control flow: {summary.SUBGRAPHS}",
            ("node", "operator", "dtype", "shape"),
            (
                (
                    path,
                    summary.operator_text(node.target),
                    _dtype(node.dtype),
                    shape_text(node.shape),
                )
                for path, node in summary.subgraph_operators(report)
            ),
        ),
        _section(
            "Constants that lose something",
            ("constant", "original", "truncated", "largest error", "became infinite", "lost"),
            (
                (
                    constant.name,
                    constant.original,
                    constant.truncated,
                    "-" if constant.max_abs_error is None else f"{constant.max_abs_error:.2g}",
                    str(constant.overflowed),
                    str(constant.underflowed),
                )
                for constant in summary.constants_that_matter(report.constants)
            ),
        ),
        _section(
            "Passes that changed the graph",
            ("pass", "name", "nodes", "added", "removed", "retyped"),
            (
                (
                    str(record.index),
                    record.name,
                    str(record.nodes),
                    str(len(record.added)),
                    str(len(record.removed)),
                    str(len(record.retyped)),
                )
                for record in report.passes
                if record.changed
            ),
        ),
    ]
    return [section for section in made if section.rows]


def line_table(rows: Sequence[LineRow]) -> Section:
    """Returns the source lines with what became of each, what costs most first."""
    columns = ("line", "source", *place_words.SUM_COLUMNS, "nodes")
    return _section(
        "Lines",
        columns,
        (
            (
                place_words.line_name(row),
                row.code or "",
                *place_words.sums(row),
                _names(row.nodes),
            )
            for row in rows
        ),
    )


def module_table(rows: Sequence[ModuleRow]) -> Section:
    """Returns the tree of modules, each with the sums of all below it."""
    columns = ("module", *place_words.SUM_COLUMNS, "its own nodes")
    return _section(
        "Modules",
        columns,
        (
            (
                f"{_INDENT * row.depth}{place_words.module_name(row)}",
                *place_words.sums(row),
                _names(row.own),
            )
            for row in rows
        ),
    )


def operator_table(rows: Sequence[OperatorRow]) -> Section:
    """Returns the operators with how many of each are where."""
    return _section(
        "Operators",
        ("operator", *place_words.SUM_COLUMNS),
        ((summary.operator_text(row.target), *place_words.sums(row)) for row in rows),
    )


_INDENT = "· "
_NAMED = 12
"""Nodes that a row names before the rest is only counted."""


def _names(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {rest} more" if rest > 0 else shown


def cause_table(report: Report) -> Section:
    """Returns why the model is not one engine, what ended the analysis first."""
    return _section("Causes", ("where", "why", "code", "more"), _causes(report))


def finding_table(report: Report) -> Section:
    """Returns the findings, the worst first, those that are alike as one."""
    return _section("Findings", ("code", "level", "name", "message"), _findings(report))


def engine_table(report: Report) -> Section:
    """Returns the engines with what goes in and out and how their build ended."""
    columns = ("engine", "nodes", "inputs", "outputs", "build", "execution")
    return _section("Engines", columns, (_engine(report, e) for e in report.engines))


def node_table(nodes: Sequence[NodeRecord], title: str = "Nodes") -> Section:
    """Returns nodes with their dtypes side by side."""
    columns = shown_columns(ON_PAGES, nodes)
    rows = (tuple(column.text(node) for column in columns) for node in nodes)
    return _section(title, tuple(column.title for column in columns), rows)


def _section(title: str, columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Section:
    cleaned = tuple(tuple(one_line(cell) for cell in row) for row in rows)
    return Section(title=title, columns=columns, rows=cleaned)


def _lines(lines: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for line in lines:
        yield (line,)


def _causes(report: Report) -> Iterator[tuple[str, ...]]:
    for cause in report.causes:
        more = "; ".join(cause_lines.details(cause))
        yield cause_lines.heading(cause), cause.reason, cause.code or "", more


def _left(report: Report) -> Iterator[tuple[str, ...]]:
    for node in summary.left_to_pytorch(report):
        place = str(node.source or "")
        yield node.name, summary.operator_text(node.target), place, why(report, node)


def _findings(report: Report) -> Iterator[tuple[str, ...]]:
    for finding in sorted(
        as_one(report.findings), key=lambda f: (by_severity(f.level), f.code)
    ):
        known = CATALOGUE.get(finding.code)
        name = known.name if known is not None else ""
        told = "; ".join([finding.message, *cause_lines.untold_cures(finding)])
        yield finding.code, finding.level.value, name, told


def _engine(report: Report, engine: EngineRecord) -> tuple[str, ...]:
    made = engine.build
    built = made.status.value.replace("_", " ")
    if made.seconds is not None and made.bytes is not None:
        built += f", {summary.seconds_text(made.seconds)}, {summary.bytes_text(made.bytes)}"
    if made.error:
        built += f": {made.error}"
    return (
        str(engine.index),
        str(len(engine.nodes)),
        _bindings(engine.inputs),
        _bindings(engine.outputs),
        built,
        summary.execution_time(engine, report.environment),
    )


def _bindings(bindings: tuple[Binding, ...]) -> str:
    return ", ".join(
        f"{binding.name} {binding.declared}"
        + (
            f" (bound {binding.bound})"
            if binding.bound not in (None, binding.declared)
            else ""
        )
        + (f" [{summary.profile_text(binding.profile)}]" if binding.profile else "")
        for binding in bindings
    )


def _dtype(dtype: Dtype) -> str:
    return "" if dtype is None else dtype_text(dtype)
