"""What a finding's code means for the operator that it was found of."""

from __future__ import annotations

from collections.abc import Iterator

from trtdbg.analysis.cause_lines import cure_text
from trtdbg.analysis.causes import refused_in_engines, why
from trtdbg.analysis.codes import Explanation
from trtdbg.analysis.summary import is_operator, operator_text
from trtdbg.records import Cause, Cure, Finding, NodeRecord, Report, dtype_text

OPERATOR, NODE = "OPERATOR", "NODE"
"""Stand in the general text where the operator and the node go."""


def cure_of(entry: Explanation, node: NodeRecord | None) -> str:
    """Returns the general cure with the operator and the node in it, where they are known."""
    if node is None:
        return entry.cure
    return filled(entry.cure, node.name, node.target if is_operator(node) else None)


def filled(text: str, node: str | None, target: str | None) -> str:
    """Returns a general text with a node and an operator in it, where they are known."""
    if node is not None:
        text = text.replace(f" {NODE}", f" {node}")
    if target is not None:
        text = text.replace(f" {OPERATOR}", f" {operator_text(target)}")
    return text


def here(report: Report, finding: Finding) -> list[str]:
    """Returns what is known of the operator of a finding: where, dtypes, why, what helps.

    Nothing for a finding that is of no node.
    """
    node = next((n for n in report.nodes if n.name == finding.node), None)
    return [] if node is None else list(_lines(report, finding, node))


def _lines(report: Report, finding: Finding, node: NodeRecord) -> Iterator[str]:
    place = f" at {node.source}" if node.source is not None and str(node.source) else ""
    code = node.source.code if node.source is not None else None
    what = operator_text(node.target) if node.op == "call_function" else node.op
    yield f"{node.name}: {what}{place}{f', `{code}`' if code else ''}"
    yield f"dtypes: {_dtypes(report, node)}"
    refused = {each.name for each in refused_in_engines(report)}
    if (is_operator(node) and node.engine is None) or node.name in refused:
        yield f"why: {why(report, node)}"
    elif node.engine is not None:
        yield f"it runs in engine {node.engine}"
    for cure in finding.cures or _cures(report, node):
        yield cure_text(cure)


def _dtypes(report: Report, node: NodeRecord) -> str:
    rows = {each.name: each for each in report.nodes}
    read = [
        f"{name} {dtype_text(rows[name].inferred)}" for name in node.operands if name in rows
    ]
    makes = dtype_text(node.inferred)
    if node.truncated != node.inferred:
        makes += f", truncated {dtype_text(node.truncated)}"
    return f"reads {', '.join(read) or 'nothing'}; makes {makes}"


def _cures(report: Report, node: NodeRecord) -> tuple[Cure, ...]:
    cause = cause_of(report, node)
    return cause.cures if cause is not None else ()


def cause_of(report: Report, node: NodeRecord) -> Cause | None:
    """Returns the cause that names a node, None if none does."""
    return next((cause for cause in report.causes if node.name in cause.nodes), None)
