"""Measures two things in turn, and says how they compare."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


class Clock:
    """What the time of a side is counted by."""

    processor = False
    """Processor time in place of wall time: other work on the machine counts less then."""

    @property
    def unit(self) -> str:
        """Returns what `now` counts."""
        return "cpu s" if self.processor else "s"

    def now(self) -> float:
        """Returns seconds since some moment; those of the processor are of this process."""
        return time.process_time() if self.processor else time.perf_counter()


CLOCK = Clock()

Side = Callable[[], float]
"""Does the work once and returns what it cost: seconds, or bytes."""


@dataclass(frozen=True)
class Sides:
    """What is measured, and what it is compared with.

    In each round `reference` goes first, so that `ours` can go on from where it ended.
    """

    ours: Side
    reference: Side
    unit: str = "s"
    """`s`, which is `cpu s` if the processor's time is counted, `MiB` or `bytes`."""


@dataclass(frozen=True)
class Spread:
    """The ratios of all rounds, and what stands behind them."""

    median: float
    least: float
    most: float
    ours: float
    """Median cost of our side."""
    reference: float
    unit: str
    rounds: int


def compare(sides: Sides, rounds: int, warm_up: bool) -> Spread:
    """Runs both sides alternately and returns the ratios of the rounds.

    A ratio is made of two neighbours in time, so that a machine that is busy for a while
    disturbs both sides of a round rather than one side of all. What a side found when it began
    is kept from the garbage collector, as trtdbg's worker keeps its modules: a collection
    looks through what the side made, and not, once or twice as it happens, through torch.

    Args:
        sides: what to run.
        rounds: how often; at least once.
        warm_up: run a round before that does not count, for imports and caches.
    """
    if rounds < 1:
        raise ValueError(f"at least one round is needed, got {rounds}")
    pairs: list[tuple[float, float]] = []
    for number in range(rounds + warm_up):
        reference = _cost(sides.reference)
        ours = _cost(sides.ours)
        if number >= warm_up:
            pairs.append((ours, reference))
    ratios = [ours / reference for ours, reference in pairs]
    return Spread(
        median=statistics.median(ratios),
        least=min(ratios),
        most=max(ratios),
        ours=statistics.median(ours for ours, _ in pairs),
        reference=statistics.median(reference for _, reference in pairs),
        unit=CLOCK.unit if sides.unit == "s" else sides.unit,
        rounds=rounds,
    )


def _cost(side: Side) -> float:
    gc.collect()
    gc.freeze()
    try:
        return side()
    finally:
        gc.unfreeze()


def seconds(work: Callable[[], object]) -> Side:
    """Returns a side that costs the time which some work takes."""

    def timed() -> float:
        start = CLOCK.now()
        kept = work()
        spent = CLOCK.now() - start
        # What the work made is thrown away outside the time.
        del kept
        return spent

    return timed
