"""The search for what must stay in float32 ends with the smallest set, in few evaluations."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtdbg.batch.low_search import Evaluated, Kept, LowSearch, SearchOverError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records.precision import LowCandidate, LowTrial
from trtdbg.worker.messages import Job, TryLow


def candidates(count: int, *, urgent: set[int] | None = None) -> list[LowCandidate]:
    """Returns operators, those that look bad by themselves first in rank."""
    first = urgent or set()
    return [
        LowCandidate(name=f"n{i}", target="aten.mul.Tensor", local_error=float(i in first))
        for i in range(count)
    ]


def needing(*sets: set[int]) -> Callable[[Kept], LowTrial]:
    """Returns an evaluation that is within the tolerance if one of the sets is kept."""
    wanted = [frozenset(f"n{i}" for i in each) for each in sets]

    def evaluate(keep: Kept) -> LowTrial:
        return LowTrial(error=0.5 if any(each <= keep for each in wanted) else 3.0)

    return evaluate


def test_nothing_is_kept_where_nothing_has_to_be() -> None:
    found = LowSearch(candidates(40), needing(set())).run()
    assert (found.keep, found.evaluations) == ((), 1)
    assert found.minimal
    assert found.smallest


def test_no_set_is_found_where_there_is_none() -> None:
    found = LowSearch(candidates(9), lambda keep: LowTrial(error=None)).run()
    assert not found.possible
    assert found.evaluations == 2


@given(st.integers(1, 150), st.randoms(use_true_random=False), st.booleans())
def test_three_needed_of_many_are_found_exactly_in_at_most_100_evaluations(
    count: int, chance: random.Random, helpful: bool
) -> None:
    places = set(chance.sample(range(count), min(3, count)))
    found = LowSearch(
        candidates(count, urgent=places if helpful else set()), needing(places)
    ).run()
    assert set(found.keep) == {f"n{i}" for i in places}
    assert found.minimal
    assert found.smallest
    assert found.evaluations <= 100
    assert found.finished


@given(st.lists(st.sets(st.integers(0, 6), min_size=1), min_size=1, max_size=3))
def test_a_set_that_is_called_the_smallest_is_by_brute_force(sets: list[set[int]]) -> None:
    evaluate = needing(*sets)
    names = [f"n{i}" for i in range(7)]
    found = LowSearch(candidates(7), evaluate).run()
    assert evaluate(frozenset(found.keep)).passes
    sizes = [
        size
        for size in range(8)
        for each in itertools.combinations(names, size)
        if evaluate(frozenset(each)).passes
    ]
    if found.smallest:
        assert len(found.keep) == min(sizes)
    assert found.minimal


def test_each_member_says_what_leaving_it_out_costs() -> None:
    found = LowSearch(candidates(30), needing({4, 20})).run()
    assert {name: trial.error for name, trial in found.without.items()} == {
        "n4": 3.0,
        "n20": 3.0,
    }


def test_the_best_set_so_far_stands_when_the_time_is_over() -> None:
    evaluate, left = needing({3, 17}), [9]

    def limited(keep: Kept) -> LowTrial:
        left[0] -= 1
        if left[0] < 0:
            raise SearchOverError
        return evaluate(keep)

    found = LowSearch(candidates(64), limited).run()
    assert not found.finished
    assert not found.minimal
    assert evaluate(frozenset(found.keep)).passes
    assert found.trial is not None
    assert len(found.keep) < 64


def test_progress_is_told_with_the_best_set() -> None:
    seen: list[tuple[int, int, int]] = []
    LowSearch(candidates(8), needing({2}), lambda *each: seen.append(each)).run()
    assert [each[2] for each in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][:2] == (1, 8)


def test_a_search_goes_on_from_its_file(tmp_path: Path) -> None:
    journal = str(tmp_path / "seen")
    asked = TryLow(
        job=Job(model=str(tmp_path / "no.pt2"), settings=Settings()),
        policy=TruncationPolicy(),
        rtol=0.1,
    )
    with Evaluated(journal, asked) as seen:
        seen.keep(frozenset({"b", "a"}), LowTrial(error=0.25))
    with Evaluated(journal, asked) as seen:
        assert len(seen) == 1
        assert seen.find(frozenset({"a", "b"})) == LowTrial(error=0.25)
        assert seen.find(frozenset({"a"})) is None
    other = TryLow(job=asked.job, policy=asked.policy, rtol=0.2)
    with Evaluated(journal, other) as seen:
        assert not len(seen)
    with Evaluated(None, asked) as seen:
        seen.keep(frozenset(), LowTrial(error=1.0))


@pytest.mark.parametrize(("error", "passes"), [(1.0, True), (1.1, False), (None, False)])
def test_one_time_the_tolerance_is_within_it(error: float | None, passes: bool) -> None:
    assert LowTrial(error=error).passes is passes
