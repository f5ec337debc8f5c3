"""Who works on many models or policies: processes of this machine, or a Dask cluster.

Both are a `concurrent.futures.Executor`. What such an executor does not do is done here: a
worker that is lost costs nothing but time, a task that is lost too often ends as an error, and
nothing is left running. Free of torch.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, Protocol, TypeVar

from trtdbg.errors import TrtdbgError, UnavailableError, UsageError, WorkerError
from trtdbg.plain import one_line
from trtdbg.worker import safe_path

MOST_LOSSES: Final = 3
"""How often a task may lose what runs it before it is given up."""

_CONNECT_SECONDS: Final = 10
_LOOK_SECONDS: Final = 2
"""How often a crew that finishes nothing is asked whether it is still there."""


Given = TypeVar("Given")
Made = TypeVar("Made")


class Crew(Protocol):
    """An executor with what it says when it has lost a worker."""

    lost: tuple[type[BaseException], ...]
    """What the future of a task raises whose worker was lost."""
    width: int | None
    """Tasks to hand out at a time; None is all of them."""

    def submit(self, work: Callable[[Given], Made], task: Given) -> Future[Made]:
        """Hands out a task."""

    def gone(self) -> str | None:
        """Returns why no task can be done any more; None if tasks can."""


def finished(
    tasks: Sequence[Given], crew: Crew, work: Callable[[Given], Made]
) -> Iterator[tuple[int, Made | TrtdbgError]]:
    """Yields the place of each task and what `work` made of it, as they are finished.

    A task whose worker was lost is tried again, with no other beside it, so that one which
    kills its workers takes no other with it.

    Args:
        tasks: what is handed out; can be pickled.
        crew: who works.
        work: a function of a module, which all know by its name.
    """
    waiting, suspects = deque(range(len(tasks))), deque[int]()
    losses: Counter[int] = Counter()
    running: dict[Future[Made], int] = {}
    while waiting or suspects or running:
        while waiting and (crew.width is None or len(running) < crew.width):
            place = waiting.popleft()
            running[crew.submit(work, tasks[place])] = place
        if suspects and not running:
            place = suspects.popleft()
            running[crew.submit(work, tasks[place])] = place
        done = wait(running, _LOOK_SECONDS, return_when=FIRST_COMPLETED).done
        reason = None if done else crew.gone()
        if reason is not None:
            for place in (*running.values(), *suspects, *waiting):
                yield place, WorkerError(reason)
            return
        for future in done:
            place = running.pop(future)
            try:
                yield place, future.result()
            except crew.lost as error:
                losses[place] += 1
                if losses[place] < MOST_LOSSES:
                    suspects.append(place)
                else:
                    yield place, _lost_too_often(error)
            except TrtdbgError as error:
                yield place, error
            except Exception as error:
                yield place, _cannot_run(error)


def _lost_too_often(error: BaseException) -> WorkerError:
    return WorkerError(
        f"the process that ran it was lost {MOST_LOSSES} times ({type(error).__name__})",
        remedy="see what ends it there: memory, most often",
    )


def _cannot_run(error: Exception) -> WorkerError:
    return WorkerError(
        f"it could not be run: {type(error).__name__}: {one_line(str(error))}",
        remedy="scheduler and workers of a cluster need the same trtdbg, installed alike",
    )


class LocalCrew:
    """A pool of processes of this machine, as a context manager; a broken one is replaced."""

    lost: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __init__(self, jobs: int) -> None:
        """Prepares a pool of `jobs` processes, which start with the first task."""
        self.width: int | None = jobs
        self._jobs = jobs
        self._others = set(multiprocessing.active_children())
        self._pool = self._made()

    def __enter__(self) -> LocalCrew:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for process in set(multiprocessing.active_children()) - self._others:
                process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, work: Callable[[Given], Made], task: Given) -> Future[Made]:
        """Hands out a task, to a fresh pool if this one is broken."""
        with _uninterrupted(), safe_path.spawning():
            try:
                return self._pool.submit(work, task)
            except BrokenProcessPool:
                self._pool.shutdown(wait=True)
                self._pool = self._made()
                return self._pool.submit(work, task)

    def gone(self) -> None:
        """Returns None: a broken pool is replaced."""

    def _made(self) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._jobs, mp_context=spawn, initializer=_begin)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Blocks SIGINT in processes started meanwhile: their parent decides what Ctrl-C means."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _begin() -> None:
    """Ends this process of a pool once its parent is gone, even by kill -9, and silently.

    What it has to say is in its futures. A worker that it is just spawning then would tell the
    terminal that the pipe to it ended: until it listens, it has the stderr of this process.
    """
    safe_path.forget()
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="trtdbg-parent", daemon=True).start()


class DaskCrew:
    """The workers of a Dask cluster, as a context manager.

    Dask itself runs a task again whose worker is lost; `KilledWorker` comes when it gives up.
    """

    width: int | None = None

    def __init__(self, address: str) -> None:
        """Connects to the scheduler at `address`.

        Raises:
            UnavailableError: the package is missing, or nobody answers.
            UsageError: that is no address.
        """
        try:
            distributed: Any = importlib.import_module("distributed")
        except ModuleNotFoundError as error:
            raise UnavailableError(
                f"--dask needs the package {error.name}",
                remedy="install it with pip install 'trtdbg[dask]'",
            ) from error
        try:
            self._address = address
            self._client = distributed.Client(address, timeout=_CONNECT_SECONDS)
        except OSError as error:
            raise UnavailableError(
                f"no Dask scheduler answers at {address}",
                remedy="start one with `dask scheduler`, which prints its address",
            ) from error
        except ValueError as error:
            raise UsageError(
                f"--dask: {address} is no address: {error}",
                remedy="write it like tcp://host:8786",
            ) from error
        self.lost: tuple[type[BaseException], ...] = (distributed.KilledWorker, CancelledError)
        self._executor: Executor = self._client.get_executor(pure=False)

    def __enter__(self) -> DaskCrew:
        return self

    def __exit__(self, *_: object) -> None:
        if self.gone() is None:
            # What waits is taken back; what runs there ends by itself.
            self._executor.shutdown(wait=False)
        self._client.close()

    def workers(self) -> int:
        """Returns how many workers the cluster has at the moment."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def submit(self, work: Callable[[Given], Made], task: Given) -> Future[Made]:
        """Hands out a task."""
        try:
            return self._executor.submit(work, task)
        except Exception as error:
            # Dask raises many things once its scheduler is gone; the task's error says it.
            future: Future[Made] = Future()
            future.set_exception(error)
            return future

    def gone(self) -> str | None:
        """Returns that the scheduler is gone, which Dask's futures do not say."""
        if self._client.status in ("connecting", "running"):
            return None
        return f"the Dask scheduler at {self._address} is gone"
