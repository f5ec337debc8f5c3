"""The timings of truncation, one file each; all of them implement one protocol."""

from __future__ import annotations

from typing import assert_never

from trtdbg.policy import Timing, TruncationPolicy
from trtdbg.session.analysed import Context
from trtdbg.session.lowered import Lowered
from trtdbg.session.timings.early import Early
from trtdbg.session.timings.late import Late
from trtdbg.session.timings.off import Off
from trtdbg.session.timings.protocol import TimingSteps
from trtdbg.session.timings.upstream import Upstream


def timing_steps(context: Context, policy: TruncationPolicy, lowered: Lowered) -> TimingSteps:
    """Returns the steps of an analysis that the timing of a policy decides."""
    match policy.timing:
        case Timing.OFF:
            return Off(context, lowered)
        case Timing.EARLY:
            return Early(context, policy, lowered)
        case Timing.UPSTREAM:
            return Upstream(context, lowered)
        case Timing.LATE:
            return Late(context, policy, lowered)
    assert_never(policy.timing)
