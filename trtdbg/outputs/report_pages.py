"""A report as Markdown to paste into an issue, and as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trtdbg.analysis import summary
from trtdbg.analysis.causes import refused_in_engines, why
from trtdbg.analysis.headline import headline
from trtdbg.analysis.strip import Stretch, stretches
from trtdbg.analysis.summary import count, left_to_pytorch
from trtdbg.outputs.html import render
from trtdbg.outputs.report import Entry
from trtdbg.outputs.sections import Section, facts, sections
from trtdbg.plain import one_line
from trtdbg.records import BuildStatus, FailedReport, Record, Report

MOST_ROWS = 40
"""Rows of a table in Markdown before the rest is only counted."""


def markdown(entries: Sequence[Entry], *, all_nodes: bool = False) -> str:
    """Returns the reports of one or several models as GitHub-flavoured Markdown."""
    parts = []
    for entry in entries:
        parts.append(f"## {_escaped(_title(entry))}\n")
        if isinstance(entry, FailedReport):
            parts.append(f"{_escaped(one_line(entry.error))}\n")
            continue
        parts.append("".join(f"* {name}: {_escaped(value)}\n" for name, value in facts(entry)))
        for section in sections(entry, all_nodes=all_nodes):
            parts.append(f"### {section.title}\n")
            parts.append(_table(section))
    return "\n".join(parts)


def page(entries: Sequence[Entry]) -> str:
    """Returns the reports as a page that asks for nothing and is read in light or dark."""
    reports = [
        {
            "title": _title(entry),
            "error": one_line(entry.error) if isinstance(entry, FailedReport) else None,
            "facts": facts(entry) if isinstance(entry, Report) else [],
            "strip": _strip(entry) if isinstance(entry, Report) else [],
            "sections": sections(entry, all_nodes=True) if isinstance(entry, Report) else [],
        }
        for entry in entries
    ]
    return render("report.html", reports=reports, title=" and ".join(_names(entries)))


class Block(Record, frozen=True, kw_only=True):
    """An engine, or operators in PyTorch, as a block of the strip."""

    label: str
    kind: str
    """`engine`, `failed` or `gap`."""
    size: int
    """Operators in it."""
    title: str


MOST_BLOCKS = 300
"""Blocks of the strip before the rest is only counted."""


def _strip(report: Report) -> list[Block]:
    """Returns the graph as engines and gaps in order; nothing where there is no partition."""
    left = left_to_pytorch(report)
    reasons = {node.name: why(report, node) for node in left}
    found = stretches(report.nodes, frozenset(reasons)) if report.engines or left else ()
    failed = {e.index for e in report.engines if e.build.status is BuildStatus.FAILED}
    failed |= {n.engine for n in refused_in_engines(report) if n.engine is not None}
    blocks = [_block(each, reasons, failed) for each in found[:MOST_BLOCKS]]
    rest = len(found) - len(blocks)
    if rest:
        blocks.append(Block(label=f"and {rest} more", kind="rest", size=1, title=""))
    return blocks


def _block(stretch: Stretch, reasons: Mapping[str, str], failed: set[int]) -> Block:
    size = len(stretch.nodes)
    if stretch.engine is None:
        said = [f"{name}: {reasons[name]}" for name in stretch.nodes[:_SAID]]
        said += [f"and {size - _SAID} more"] if size > _SAID else []
        title = f"{count(size, 'operator')} in PyTorch: {'; '.join(said)}"
        return Block(label="✗", kind="gap", size=size, title=one_line(title))
    bad = stretch.engine in failed
    title = f"engine {stretch.engine}, {count(size, 'operator')}"
    title += ", TensorRT refuses it" if bad else ""
    kind = "failed" if bad else "engine"
    return Block(label=f"E{stretch.engine}", kind=kind, size=size, title=title)


_SAID = 5


def fragment(report: Report) -> str:
    """Returns a report as HTML for a notebook: the answer, its causes and the findings."""
    # A report that an older version saved has no causes.
    why = "Causes" if report.causes else "Left to PyTorch"
    shown = [
        section
        for section in sections(report, all_nodes=False)
        if section.title in (why, "Findings", "Engines", "Boundary casts")
    ]
    return render("fragment.html", title=_title(report), facts=facts(report), sections=shown)


def table(section: Section) -> str:
    """Returns one table as HTML."""
    return render("fragment.html", title=section.title, facts=[], sections=[section])


def _names(entries: Sequence[Entry]) -> list[str]:
    return [one_line(summary.model_name(entry.model)) for entry in entries]


def _title(entry: Entry) -> str:
    name = one_line(summary.model_name(entry.model))
    if isinstance(entry, FailedReport):
        return f"{name}: no report"
    return f"{name}: {headline(entry)}"


def _table(section: Section) -> str:
    lines = [
        f"| {' | '.join(section.columns)} |",
        f"|{'|'.join(' --- ' for _ in section.columns)}|",
    ]
    rows = section.rows[:MOST_ROWS]
    lines += [f"| {' | '.join(map(_escaped, row))} |" for row in rows]
    rest = len(section.rows) - len(rows)
    if rest:
        lines += ["", f"and {rest} more"]
    return "\n".join(lines) + "\n"


_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]|<>#~@"})


def _escaped(text: str) -> str:
    """Returns text that Markdown shows as it is: a model may name its parts as it likes."""
    return one_line(text).translate(_MARKS)
