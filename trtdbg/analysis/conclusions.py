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
