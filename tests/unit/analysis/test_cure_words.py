from __future__ import annotations

import pytest

from trtdbg.analysis.cure_words import State, becomes, reproducing
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


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            (25, 24, 0, False, 0),
            (1, 0, 0, False, 0),
            "25 engines become 1, 24 PyTorch operators become none",
        ),
        (
            (1, 1, 0, False, 0),
            (1, 0, 0, False, 0),
            "1 engine as before, 1 PyTorch operator becomes none",
        ),
        (
            (1, 0, 1, False, 0),
            (2, 0, 0, False, 0),
            "1 engine becomes 2, no engines refused by TensorRT in place of 1",
        ),
        (
            (0, 0, 0, True, 0),
            (2, 1, 0, False, 0),
            "there is a partition again, 2 engines, 1 PyTorch operator",
        ),
    ],
)
def test_what_a_cure_brings_is_counted(before: State, after: State, said: str) -> None:
    assert becomes(before, after) == said
