"""Work on many things: in their order, as many at a time as wanted."""

from __future__ import annotations

import threading

import pytest

from trtdbg.commands.side_by_side import in_order


def test_one_job_works_only_when_asked() -> None:
    begun: list[int] = []
    counts: list[tuple[int, int]] = []

    def work(number: int) -> int:
        begun.append(number)
        return number

    made = in_order(
        [lambda n=n: work(n) for n in range(3)],  # type: ignore[misc]
        1,
        lambda *count: counts.append(count),
    )
    assert next(made) == 0
    assert begun == [0]
    assert list(made) == [1, 2]
    assert counts == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_jobs_work_at_a_time_and_are_told_in_order() -> None:
    both = threading.Barrier(2, timeout=10)
    threads: set[int] = set()

    def work(number: int) -> int:
        threads.add(threading.get_ident())
        if number < 2:
            both.wait()  # Neither goes on before the other has begun.
        return number

    works = [lambda n=n: work(n) for n in range(9)]  # type: ignore[misc]
    assert list(in_order(works, 2, lambda *_: None)) == list(range(9))
    assert len(threads) == 2
    assert threading.get_ident() not in threads


def test_what_one_raises_ends_it_all() -> None:
    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(in_order([fail, lambda: 1, lambda: 2], 2, lambda *_: None))
