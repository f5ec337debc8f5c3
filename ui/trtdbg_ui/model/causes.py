"""Causes as the screen lists them: each a row that opens to its places."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trtdbg.analysis.causes import why
from trtdbg.records import Cause, CauseKind, NodeRecord, Report, Source

CauseKey = tuple[CauseKind, str | None, str]
"""What a cause keeps from one report to the next."""


def key_of(cause: Cause) -> CauseKey:
    """Returns what tells a cause from the others, before and after it was weighed."""
    return cause.kind, cause.target, cause.reason


def causes_of(report: Report, left: Iterable[NodeRecord]) -> tuple[Cause, ...]:
    """Returns the causes of a report; those of an older report are grouped by its reasons.

    Args:
        report: The report.
        left: The operators left to PyTorch.
    """
    if report.causes:
        return report.causes
    groups: dict[tuple[str, str], list[NodeRecord]] = {}
    for node in left:
        groups.setdefault((node.target, why(report, node)), []).append(node)
    found = [_grouped(target, reason, nodes) for (target, reason), nodes in groups.items()]
    return tuple(sorted(found, key=lambda cause: -len(cause.nodes)))


def _grouped(target: str, reason: str, nodes: list[NodeRecord]) -> Cause:
    lines: dict[tuple[str | None, int | None], Source] = {}
    for node in nodes:
        if node.source is not None:
            lines.setdefault((node.source.file, node.source.line), node.source)
    modules = (node.source.module for node in nodes if node.source is not None)
    return Cause(
        kind=CauseKind.NOT_JUDGED,
        target=target,
        reason=reason,
        nodes=tuple(node.name for node in nodes),
        sources=tuple(lines.values()),
        modules=tuple(dict.fromkeys(module for module in modules if module)),
    )


@dataclass(frozen=True)
class CauseRow:
    """A cause, or one of its places when it is open."""

    cause: int
    """Its position in the report."""
    node: str | None = None
    """None is the row of the cause itself."""


def cause_rows(causes: tuple[Cause, ...], opened: frozenset[CauseKey]) -> list[CauseRow]:
    """Returns a row for each cause, followed by its places if it is open."""
    rows: list[CauseRow] = []
    for index, cause in enumerate(causes):
        rows.append(CauseRow(index))
        if key_of(cause) in opened:
            rows += [CauseRow(index, node) for node in cause.nodes]
    return rows
