from __future__ import annotations

import pytest

from trtdbg.analysis.cure_words import reproducing
from trtdbg.policy import Timing, TruncationPolicy


@pytest.mark.parametrize(
    ("policy", "flags"),
    [
        (TruncationPolicy(timing=Timing.UPSTREAM), " "),
        (TruncationPolicy(), " --timing late "),
        (TruncationPolicy(constants=()), " --timing late --inputs float64 --constants none "),
    ],
)
def test_a_reproducer_is_made_under_the_policy_that_was_analysed(
    policy: TruncationPolicy, flags: str
) -> None:
    said = reproducing("mul", policy)
    assert said.startswith(f"trtdbg repro MODEL{flags}")
    assert "--node mul --format issue -o DIR" in said
