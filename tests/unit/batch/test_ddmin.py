"""The search ends with a part that fails and of which nothing can be left out."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from trtdbg.batch.ddmin import Kept, shrink


def counted(blamed: frozenset[int], asked: list[Kept]):
    def fails(kept: Kept) -> bool:
        assert kept, "an empty part was tried"
        assert list(kept) == sorted(set(kept)), "places are in graph order, each once"
        asked.append(kept)
        return blamed <= set(kept)

    return fails


@given(
    st.integers(1, 200).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))
    )
)
def test_exactly_what_is_to_blame_is_left(case: tuple[int, set[int]]) -> None:
    length, places = case
    blamed = frozenset(places or {0})
    asked: list[Kept] = []
    found = shrink(tuple(range(length)), counted(blamed, asked))
    assert set(found) == blamed


def test_neighbours_in_a_long_graph_take_few_attempts() -> None:
    asked: list[Kept] = []
    found = shrink(tuple(range(1000)), counted(frozenset(range(700, 705)), asked))
    assert found == tuple(range(700, 705))
    assert len(asked) < 2 * math.log2(1000) + 25


@given(st.integers(1, 60), st.randoms(use_true_random=False))
def test_whatever_the_answers_the_part_failed_and_no_smaller_one_did(length, random) -> None:
    answers: dict[Kept, bool] = {}

    def fails(kept: Kept) -> bool:
        return answers.setdefault(kept, random.random() < 0.3)

    whole = tuple(range(length))
    answers[whole] = True
    found = shrink(whole, fails)
    assert answers[found]
    if len(found) > 1:
        parts = [found[:i] + found[i + 1 :] for i in range(len(found))]
        assert not any(answers[part] for part in parts)
