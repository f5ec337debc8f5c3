"""What a node's verdict rows add up to, and which of them decide under a policy."""

from __future__ import annotations

from typing import assert_never

from trtdbg.policy import Timing, TruncationPolicy
from trtdbg.records import NodeRecord, Scope, TypingKind, ValidatorVerdict, Verdict

PARTITIONER = "partitioner"
"""Name of the verdict row that holds the conclusion from all gates and candidates."""

PROBE = "tensorrt"
"""Name of the verdict row that holds TensorRT's own answer."""

REFUSED = (Verdict.REJECT, Verdict.CRASHED)
"""Answers of a validator, or of TensorRT, that keep a node out of the engines."""


def conclusion(node: NodeRecord, scope: Scope = Scope.GRAPH) -> ValidatorVerdict | None:
    """Returns the row of all gates and candidates together; None if nobody was asked."""
    return next(
        (v for v in node.verdicts if v.validator == PARTITIONER and v.scope is scope), None
    )


def typing_in_force(policy: TruncationPolicy) -> TypingKind:
    """Returns the typing whose verdicts decide the partition."""
    match policy.timing:
        case Timing.UPSTREAM:
            return TypingKind.ORIGINAL
        case Timing.OFF:
            return TypingKind.INFERRED
        case Timing.EARLY:
            return TypingKind.TRUNCATED
        case Timing.LATE:
            return TypingKind.LOW if policy.is_low else TypingKind.TRUNCATED
    assert_never(policy.timing)


def answer_in_force(policy: TruncationPolicy, verdict: ValidatorVerdict) -> Verdict:
    """Returns the column of a validator's answer that the partitioner goes by."""
    # Under `off` nothing is truncated: the truncated column repeats the inferred one, and
    # rows of engines and of TensorRT have only that.
    match typing_in_force(policy):
        case TypingKind.ORIGINAL:
            return verdict.original
        case TypingKind.LOW:
            return verdict.low
        case TypingKind.INFERRED | TypingKind.TRUNCATED:
            return verdict.truncated


def accepted_somewhere(node: NodeRecord) -> bool:
    """Returns whether a node's validators accept it, as written or truncated."""
    found = conclusion(node)
    return found is not None and Verdict.ACCEPT in (found.original, found.truncated)


def is_call(node: NodeRecord) -> bool:
    """Returns whether a node calls something: the only kind that validators judge."""
    return node.op.startswith("call_")


def answer_on(node: NodeRecord, typing: TypingKind) -> Verdict:
    """Returns the answer on a node under one typing: validators, then gates and TensorRT.

    Not checked where nobody was asked on that typing.
    """
    row = conclusion(node)
    if row is None:
        return Verdict.NOT_CHECKED
    found = column(row, typing)
    if found is not Verdict.ACCEPT:
        return found
    # A block that is too small, and TensorRT, answer beside the validators.
    beside = [
        column(each, typing)
        for each in node.verdicts
        if each.scope is Scope.GRAPH and each.candidate is None
    ]
    refusals = (Verdict.CRASHED, Verdict.REJECT, Verdict.NOT_APPLICABLE)
    return next((refusal for refusal in refusals if refusal in beside), found)


def column(verdict: ValidatorVerdict, typing: TypingKind) -> Verdict:
    """Returns a row's answer on one typing."""
    match typing:
        case TypingKind.ORIGINAL:
            return verdict.original
        case TypingKind.INFERRED:
            return verdict.inferred
        case TypingKind.TRUNCATED:
            return verdict.truncated
        case TypingKind.LOW:
            return verdict.low
    assert_never(typing)


def late_would_accept(node: NodeRecord, policy: TruncationPolicy) -> bool:
    """Returns whether a node is refused now and would be accepted on truncated dtypes."""
    return (
        node.verdict in REFUSED
        and policy.timing is not Timing.LATE
        and answer_on(node, TypingKind.TRUNCATED) is Verdict.ACCEPT
    )


def saved_by_truncation(node: NodeRecord) -> bool:
    """Returns whether a node is accepted now although its original dtypes are refused."""
    return node.verdict is Verdict.ACCEPT and answer_on(node, TypingKind.ORIGINAL) in REFUSED
