"""What a node's verdict records add up to under one typing."""

from __future__ import annotations

from trtdbg.policy import Timing
from trtdbg.records import NodeRecord, Report, Scope, ValidatorVerdict, Verdict


def judged(node: NodeRecord) -> bool:
    """Returns whether a node is an operator, the only kind that validators are asked about."""
    return node.op.startswith("call_")


def overall(node: NodeRecord, typing: str) -> Verdict:
    """Returns the answer on a node under one typing, all gates and candidates considered.

    Args:
        node: A node with its verdict records.
        typing: `original`, `inferred` or `truncated`.
    """

    def answer(record: ValidatorVerdict) -> Verdict:
        value: Verdict = getattr(record, typing)
        return value

    records = [record for record in node.verdicts if record.scope is Scope.GRAPH]
    gates = [answer(record) for record in records if record.candidate is None]
    candidates = [answer(record) for record in records if record.candidate is not None]
    for refusal in (Verdict.CRASHED, Verdict.REJECT, Verdict.NOT_APPLICABLE):
        if refusal in gates:
            return refusal
    for value in (Verdict.ACCEPT, Verdict.CRASHED, Verdict.REJECT, Verdict.NOT_APPLICABLE):
        if value in candidates:
            return value
    return Verdict.NOT_CHECKED


REFUSED = (Verdict.REJECT, Verdict.CRASHED)


def late_would_accept(node: NodeRecord, report: Report) -> bool:
    """Returns whether a node is refused now and would be accepted on truncated dtypes."""
    return (
        node.verdict in REFUSED
        and report.policy.timing is not Timing.LATE
        and overall(node, "truncated") is Verdict.ACCEPT
    )


def saved_by_truncation(node: NodeRecord) -> bool:
    """Returns whether a node is accepted now although its original dtypes are refused."""
    return node.verdict is Verdict.ACCEPT and overall(node, "original") in REFUSED
