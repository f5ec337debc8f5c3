"""Rows of a comparison are made in processes that crash, hang, run out of memory or vanish."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from trtdbg.analysis.comparison import Row
from trtdbg.batch.executors import MOST_LOSSES, Crew, DaskCrew, LocalCrew, finished
from trtdbg.batch.rows import Task, compare_row, failed_row
from trtdbg.errors import ExitCode, UnavailableError, UsageError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.worker.messages import Access, Job

LIMITS = Access(time_limit=20, memory_limit=1 << 30)


def task(model: str, access: Access = LIMITS) -> Task:
    return Task(
        model=model,
        name="late",
        policy=TruncationPolicy(),
        job=Job(model=model, settings=Settings(), access=access),
        handler="tests.worker_handlers:Scripted",
    )


def rows(tasks: list[Task], crew: Crew) -> Iterator[tuple[int, Row]]:
    for place, answer in finished(tasks, crew, compare_row):
        yield place, answer if isinstance(answer, Row) else failed_row(tasks[place], answer)


def descendants(pid: int) -> dict[int, int]:
    """Returns each living process below `pid` with its parent."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,stat="], capture_output=True, text=True)
    lines = [line.split() for line in listed.stdout.splitlines()]
    parents = {int(own): int(parent) for own, parent, state in lines if "Z" not in state}
    found = {pid}
    while more := {own for own, parent in parents.items() if parent in found} - found:
        found |= more
    return {own: parents[own] for own in found - {pid}}


def eventually(holds: Callable[[], Any], seconds: float = 15) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := holds()):
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)
    return answer


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def made(tasks: list[Task], crew: Any) -> list[Row]:
    found = dict(rows(tasks, crew))
    assert sorted(found) == list(range(len(tasks)))
    return [found[place] for place in range(len(tasks))]


def test_a_crash_a_hang_and_no_memory_cost_one_row_each() -> None:
    hangs = task("sleep:60", Access(time_limit=4))
    tasks = [
        task("answer:1"),
        task("signal:SIGSEGV"),
        hangs,
        task("hold:1500"),
        task("memory:"),
        task("signal:SIGKILL"),
        task("answer:2"),
    ]
    with LocalCrew(2) as crew:
        good, crashed, hung, large, exhausted, killed, last = made(tasks, crew)
    assert (good.error, good.engines, last.error) == (None, 0, None)
    assert "died of SIGSEGV" in (crashed.error or "")
    assert "build engine_2" in (crashed.error or "")
    assert "longer than --time-limit 4 seconds" in (hung.error or "")
    assert "while building sleep:60 (build asleep)" in (hung.error or "")
    assert 4 <= hung.seconds < 8
    assert "--memory-limit is 1.0 GiB" in (large.error or "")
    assert "out of memory" in (exhausted.error or "")
    assert "killed by SIGKILL (possibly out of memory)" in (killed.error or "")
    failed = (crashed, hung, large, exhausted, killed)
    assert {row.exit_code for row in failed} == {ExitCode.FAILED}
    assert {row.engines for row in failed} == {None}


def test_nothing_is_left_running_when_rows_are_left_before_the_end() -> None:
    before = set(descendants(os.getpid()))
    born: set[int] = set()

    def interrupted() -> None:
        with LocalCrew(2) as crew:
            next(rows([task("answer:1"), task("sleep:60"), task("sleep:60")], crew))
            eventually(lambda: len(set(descendants(os.getpid())) - before) >= 4)
            born.update(set(descendants(os.getpid())) - before)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(born) >= 4, "two of the pool and a worker each"
    eventually(lambda: not any(is_alive(pid) and not is_tracker(pid) for pid in born))


def is_tracker(pid: int) -> bool:
    """Tells multiprocessing's own helper, which stays until its parent ends."""
    try:
        return "resource_tracker" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


SLEEPERS = """
import sys
sys.path[:0] = {path!r}
from test_executors import task
from test_executors import rows
from trtdbg.batch.executors import LocalCrew
if __name__ == "__main__":
    with LocalCrew(2) as crew:
        list(rows([task("sleep:60"), task("sleep:60")], crew))
"""


def test_nothing_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS.format(path=[p for p in sys.path if p]))
    parent = subprocess.Popen([sys.executable, str(script)])
    try:
        # Two of the pool, a worker each, and multiprocessing's tracker.
        eventually(lambda: len(descendants(parent.pid)) >= 5)
        born = descendants(parent.pid)
    finally:
        parent.kill()
        parent.wait()
    eventually(lambda: not any(map(is_alive, born)))


def test_a_process_of_the_pool_that_is_killed_costs_no_row() -> None:
    tasks = [task("sleep:2"), task("sleep:2"), task("answer:1"), task("answer:2")]
    others = set(descendants(os.getpid()))

    def kill_one() -> None:
        def workers() -> list[int]:
            born = descendants(os.getpid())
            return [
                parent for own, parent in born.items() if own not in others and parent in born
            ]

        os.kill(eventually(workers)[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    with LocalCrew(2) as crew:
        killer.start()
        after = made(tasks, crew)
    killer.join()
    assert [row.error for row in after] == [None] * 4


class Lossy:
    """Stands for an executor of which some rows always, or once, lose the worker."""

    lost = (ConnectionError,)
    width = 2

    def __init__(self, always: set[str], once: set[str]) -> None:
        self.always = always
        self.once = once
        self.tried: list[str] = []

    def gone(self) -> None:
        pass

    def submit(self, work: object, task: Task) -> Future[Row]:
        self.tried.append(task.model)
        future: Future[Row] = Future()
        if task.model in self.always | self.once:
            self.once.discard(task.model)
            future.set_exception(ConnectionError("gone"))
        elif task.model == "bug":
            future.set_exception(ImportError("no trtdbg here"))
        else:
            future.set_result(row_for(task))
        return future


def row_for(task: Task) -> Row:
    return Row(model=task.model, name=task.name, policy=task.policy, settings=Settings())


def test_a_row_that_loses_its_worker_each_time_is_given_up_and_no_other() -> None:
    crew = Lossy(always={"bad"}, once={"unlucky"})
    bad, unlucky, good = made([task("bad"), task("unlucky"), task("good")], crew)
    assert crew.tried.count("bad") == MOST_LOSSES
    assert crew.tried.count("unlucky") == 2
    assert "lost 3 times (ConnectionError)" in (bad.error or "")
    assert (unlucky.error, good.error) == (None, None)


class Vanishing(Lossy):
    """Stands for a cluster that is gone after the first row, whose futures never end."""

    def submit(self, work: object, task: Task) -> Future[Row]:
        return super().submit(work, task) if not self.tried else Future()

    def gone(self) -> str | None:
        return "the Dask scheduler at tcp://h:1 is gone"


def test_a_cluster_that_is_gone_ends_all_rows_that_are_left() -> None:
    crew = Vanishing(set(), set())
    first, *others = made([task("good"), task("a"), task("b"), task("c")], crew)
    assert first.error is None
    assert {row.error for row in others} == {crew.gone()}


def test_a_place_that_cannot_run_rows_says_so_in_the_row() -> None:
    (row,) = made([task("bug")], Lossy(set(), set()))
    assert "could not be run: ImportError: no trtdbg here" in (row.error or "")
    assert "same trtdbg" in (row.error or "")


def test_a_row_is_made_in_the_process_that_calls_it() -> None:
    row = compare_row(task("answer:1"))
    assert row.environment is not None
    assert int(row.environment.python) != os.getpid(), "the worker is another one"
    assert row.seconds > 0


def test_without_dask_the_remedy_is_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UnavailableError, match=r"pip install 'trtdbg\[dask\]'"):
        DaskCrew("tcp://127.0.0.1:1")


class TestDask:
    """With a real cluster of two worker processes."""

    @pytest.fixture(scope="class")
    def cluster(self) -> Iterator[Any]:
        distributed = pytest.importorskip(
            "distributed", reason="the extra trtdbg[dask] is not installed"
        )
        with distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=50,
        ) as cluster:
            yield cluster

    def test_a_crash_costs_one_row(self, cluster: Any) -> None:
        tasks = [task("answer:1"), task("signal:SIGSEGV"), task("answer:2")]
        with DaskCrew(cluster.scheduler_address) as crew:
            assert crew.workers() == 2
            first, crashed, last = made(tasks, crew)
        assert "died of SIGSEGV" in (crashed.error or "")
        assert (first.error, last.error) == (None, None)

    def test_a_worker_killed_mid_run_costs_no_row(self, cluster: Any) -> None:
        tasks = [task(f"sleep:{1 + number / 10}") for number in range(6)]
        victims = {worker.pid for worker in cluster.workers.values()}
        found = []
        with DaskCrew(cluster.scheduler_address) as crew:
            for place, row in rows(tasks, crew):
                if not found:
                    # The other one is amid a row, or about to begin one.
                    os.kill(busy(victims), signal.SIGKILL)
                found.append(place)
                assert row.error is None
        assert sorted(found) == list(range(6))

    def test_nobody_at_the_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("distributed", reason="trtdbg[dask] is not installed")
        monkeypatch.setattr("trtdbg.batch.executors._CONNECT_SECONDS", 1)
        with pytest.raises(UnavailableError, match="no Dask scheduler answers at"):
            DaskCrew("tcp://127.0.0.1:9")

    @pytest.mark.parametrize("address", ["nonsense://x", "tcp://"])
    def test_no_address(self, address: str) -> None:
        pytest.importorskip("distributed", reason="trtdbg[dask] is not installed")
        with pytest.raises((UsageError, UnavailableError), match=address):
            DaskCrew(address)


def busy(pids: set[int]) -> int:
    """Returns one of the processes that has a child, its row's worker."""
    return eventually(lambda: next(iter(pids & set(descendants(os.getpid()).values())), None))


def stderr_of_this_process(_: int) -> str:
    return os.readlink("/proc/self/fd/2")


def test_what_a_process_of_the_pool_spawns_has_no_terminal_to_complain_to() -> None:
    with LocalCrew(1) as crew:
        assert dict(finished([0], crew, stderr_of_this_process)) == {0: os.devnull}
