"""Times: rounds in turn, honest bounds, and what cannot run does not stop the rest."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from trtdbg.stages.timing import arguments_of, compare, race, timing_record  # noqa: E402


class Clock:
    """Takes what a call returns for its milliseconds, and remembers the order."""

    def __init__(self) -> None:
        self.order: list[object] = []

    def __call__(self, call: Callable[[], object]) -> float:
        milliseconds = call()
        assert isinstance(milliseconds, float)
        self.order.append(milliseconds)
        return milliseconds


def test_calls_are_timed_in_turn_and_warm_up_does_not_count() -> None:
    clock = Clock()
    laps = race({"a": lambda: 1.0, "b": lambda: 2.0}, clock, runs=3, warm_up=2)
    assert clock.order == [1.0, 2.0] * 5
    assert laps["a"].milliseconds == [1.0] * 3
    assert laps["b"].milliseconds == [2.0] * 3


def test_a_call_that_raises_says_why_and_the_others_go_on() -> None:
    def fails() -> float:
        raise RuntimeError("out of memory\nat some place")

    laps = race({"bad": fails, "good": lambda: 1.0}, Clock(), runs=4, warm_up=1)
    assert laps["bad"].error == "RuntimeError: out of memory"
    assert laps["bad"].milliseconds == []
    assert laps["good"].milliseconds == [1.0] * 4


def test_percentiles_are_of_the_times() -> None:
    record = timing_record([float(value) for value in range(101)])
    assert (record.median_ms, record.p10_ms, record.p90_ms, record.runs) == (50, 10, 90, 101)
    assert timing_record([3.0]).p90_ms == 3.0


@pytest.mark.parametrize(("rounds", "rank"), [(5, 0), (6, 0), (9, 1), (20, 5), (100, 39)])
def test_the_bounds_are_the_narrowest_of_95_percent(rounds: int, rank: int) -> None:
    """`rank` values lie outside at each end: the sign test's table for the median."""
    found = compare("other", [float(n) for n in range(1, rounds + 1)], [1.0] * rounds)
    assert (found.low, found.high) == (rank + 1, rounds - rank)
    if rounds >= 6:
        covered = 1 - 2 * sum(math.comb(rounds, k) for k in range(rank + 1)) / 2**rounds
        assert covered >= 0.95


def test_equal_programs_rarely_differ_and_a_clear_difference_always_does() -> None:
    chance = random.Random(0)

    def noisy(mean: float) -> list[float]:
        return [mean * chance.lognormvariate(0, 0.3) for _ in range(50)]

    alike = [compare("x", noisy(1.0), noisy(1.0)).exceeds_noise for _ in range(400)]
    assert sum(alike) / len(alike) < 0.08
    apart = compare("x", noisy(1.0), noisy(2.0))
    assert apart.exceeds_noise
    assert apart.high < 1


def test_few_rounds_never_exceed_the_noise() -> None:
    assert not compare("x", [1.0] * 5, [9.0] * 5).exceeds_noise


def test_submodules_are_seen_with_what_the_program_gives_them() -> None:
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.other(self.one(x).relu())

    module, x = Twice(), torch.ones(4, 2)
    seen = arguments_of(module, ["one", "other"], lambda: module(x))
    assert seen["one"] == (x,)
    assert torch.equal(seen["other"][0], module.one(x).relu())
    assert not module.one._forward_pre_hooks
