"""Work done at once, by a function, in the place of the pool of processes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class FakeCrew:
    """Implements `trtdbg.batch.executors.Crew`, and stands for the class `LocalCrew` too."""

    lost = ()
    width = 1

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make
        self.tasks: list[Any] = []
        self.work: set[object] = set()
        """The functions that a real crew would have called."""
        self.jobs = 0

    def __call__(self, jobs: int) -> FakeCrew:
        self.jobs = jobs
        return self

    def __enter__(self) -> FakeCrew:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, work: object, task: Any) -> Future[Any]:
        self.work.add(work)
        self.tasks.append(task)
        future: Future[Any] = Future()
        answer = self.make(task)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return future

    def gone(self) -> None:
        pass
