"""Works on several things at a time, each in a thread that keeps its worker. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")


def in_order(
    works: Sequence[Callable[[], Made]], jobs: int, counted: Callable[[int, int], object]
) -> Iterator[Made]:
    """Yields what each piece of work returns, in their order.

    A shell gives each thread a worker of its own, so that as many workers as jobs are started
    however much work there is, and a crash costs what that worker was asked.

    Args:
        works: what is to be done.
        jobs: how much at a time; 1 does all of it in this thread, when it is asked for.
        counted: is told how many are done and how many there are.
    """
    counted(0, len(works))
    if jobs == 1 or len(works) < 2:
        for done, work in enumerate(works, 1):
            yield work()
            counted(done, len(works))
        return
    pool = ThreadPoolExecutor(min(jobs, len(works)), thread_name_prefix="trtdbg-job")
    finished: list[Future[Made]] = []

    def one_more(future: Future[Made]) -> None:
        finished.append(future)
        counted(len(finished), len(works))

    try:
        futures = [pool.submit(work) for work in works]
        for future in futures:
            future.add_done_callback(one_more)
        for future in futures:
            yield future.result()
    finally:
        # What runs ends with its worker, which whoever ends the program ends.
        pool.shutdown(wait=False, cancel_futures=True)
