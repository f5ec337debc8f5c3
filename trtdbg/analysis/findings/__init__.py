"""Derives the findings of a report from its records, and from what the stages saw go wrong."""

from __future__ import annotations

from trtdbg.analysis.findings import (
    borders_3xx,
    dtypes_2xx,
    failures_5xx,
    numbers_4xx,
    outside_1xx,
    precision_6xx,
    shapes_7xx,
    verdicts_1xx,
)
from trtdbg.analysis.findings.evidence import Evidence
from trtdbg.analysis.findings.making import ExportedRows
from trtdbg.analysis.levels import by_severity
from trtdbg.records import Finding, Report

__all__ = ["Evidence", "find"]


def find(report: Report, evidence: Evidence) -> tuple[Finding, ...]:
    """Returns the findings of a report, the worst first, then by code and graph order."""
    nodes = {node.name: node for node in report.nodes}
    exported = ExportedRows(report, nodes)
    found = [
        *failures_5xx.lowering(report, evidence),
        *verdicts_1xx.verdicts(report),
        *verdicts_1xx.dissolved(report, evidence),
        *outside_1xx.outside(report),
        *dtypes_2xx.dtypes(report),
        *failures_5xx.builds(report),
        *borders_3xx.borders(report, evidence, nodes, exported),
        *numbers_4xx.constants(report, nodes),
        *numbers_4xx.scalars(report, evidence, exported),
        *numbers_4xx.float64_needed(report),
        *numbers_4xx.not_finite(report),
        *numbers_4xx.lost_writes(report, nodes),
        *precision_6xx.precision(report, evidence),
        *shapes_7xx.shapes(report),
    ]
    found += numbers_4xx.measured(report, found)
    return tuple(sorted(found, key=lambda finding: (by_severity(finding.level), finding.code)))
