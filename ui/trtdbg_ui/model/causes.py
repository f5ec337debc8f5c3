"""Causes as the screen lists them: each a row that opens to its places."""

from __future__ import annotations

from dataclasses import dataclass

from trtdbg.analysis.causes import derive
from trtdbg.records import Cause, CauseKind, Report

CauseKey = tuple[CauseKind, str | None, str]
"""What a cause keeps from one report to the next."""


def key_of(cause: Cause) -> CauseKey:
    """Returns what tells a cause from the others, before and after it was weighed."""
    return cause.kind, cause.target, cause.reason


def causes_of(report: Report) -> tuple[Cause, ...]:
    """Returns the causes of a report; those of an older report are derived from it."""
    return report.causes or derive(report)


def same_cause(causes: tuple[Cause, ...], cause: Cause | None) -> int:
    """Returns the position of the cause that is the same as one of another report, else 0."""
    if cause is None:
        return 0
    return next((i for i, each in enumerate(causes) if key_of(each) == key_of(cause)), 0)


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
