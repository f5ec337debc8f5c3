"""The rows about how people work: again, on many models, on a changed or a wrong one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks import analysis
from benchmarks.children import Ended, call, run
from benchmarks.measure import Sides, seconds
from benchmarks.models import FOLDER, ROOT, model
from trtdbg.policy import Timing, TruncationPolicy

SINGLE_RUNS = 4
"""Single runs that stand for all of `MANY`: each costs the same imports."""
MANY = 100


def _path(subject: str) -> Path:
    return ROOT / "samples" / f"{subject}.pt2" if "layers" not in subject else model(subject)


def _command(*arguments: str, code: int = 0) -> Ended:
    """Runs trtdbg to its end; `check` ends with 1 where it finds something."""
    program = (
        f"import sys; from trtdbg.cli import main; code = main(); "
        f"sys.exit(0 if code in (0, {code}) else code or 9)"
    )
    return run([sys.executable, "-c", program, *arguments])


def second_command(subject: str) -> Sides:
    """`report` on a model that was analysed before, against the first time."""
    path = str(_path(subject))

    def first() -> float:
        return _command("report", path, "--no-cache").seconds

    return Sides(lambda: _command("report", path).seconds, first)


def second_opening(subject: str) -> Sides:
    """From the start of the UI to its answer, with the answer kept, against without."""
    path = str(_path(subject))

    def opened(read: str) -> float:
        code = "import sys; from benchmarks.work import open_once; open_once(*sys.argv[1:])"
        return run([sys.executable, "-c", code, path, read]).seconds

    return Sides(lambda: opened("kept"), lambda: opened("anew"))


def open_once(path: str, read: str) -> None:
    """Opens the UI without a terminal and ends, without a farewell, when it shows a report."""
    import asyncio

    from trtdbg_ui.app import TrtdbgApp

    from trtdbg.cache.client import CachingClient
    from trtdbg.policy import Settings

    async def until_shown() -> None:
        made: list[CachingClient] = []

        def client(heard: Any) -> CachingClient:
            made.append(CachingClient(heard, read=read == "kept"))
            return made[0]

        app = TrtdbgApp(
            path, settings=Settings(), policy=TruncationPolicy(), make_worker=client
        )
        async with app.run_test(size=(160, 50)) as pilot:
            while app.state.loaded is None:
                await pilot.pause(0.02)
            # The worker, which is starting behind, is nobody's business any more.
            os._exit(0)

    asyncio.run(until_shown())


def alike(subject: str) -> Sides:
    """An analysis and what each of many refusals that are alike costs, against it alone."""
    path = model(subject)
    analysis.options()
    policy = TruncationPolicy(timing=Timing.UPSTREAM)
    alone: list[float] = []

    def reference() -> float:
        alone[:] = [seconds(lambda: analysis.session(path, networks=False).analyze(policy))()]
        return alone[0]

    def ours() -> float:
        made = analysis.session(path, networks=False)
        made.analyze(policy)
        weigh = seconds(lambda: made.weigh(policy, consequences=True, suggestion=False))()
        return alone[0] + weigh

    return Sides(ours, reference)


def headline(subject: str) -> Sides:
    """What `late` would bring, counted beside `upstream`, against the first analysis."""
    path = model(subject)
    analysis.options()
    upstream, late = TruncationPolicy(timing=Timing.UPSTREAM), TruncationPolicy()
    made: list[Any] = []

    def first() -> float:
        made[:] = [analysis.session(path, networks=False)]
        return seconds(lambda: made[0].analyze(upstream))()

    def counted() -> float:
        session = made[0]
        context = session._context(upstream)
        settings = session.settings
        return seconds(lambda: session._headlines._drafted(late, settings, context, {}))()

    return Sides(counted, first)


def changed(subject: str) -> Sides:
    """A model with one line changed, in a worker that knows the old one, against the first.

    With `--watch`, both in a process of its own, which imports torch before the first; its
    processor time is what both sides cost.
    """
    name, _, watched = subject.partition(", ")
    first, second = model(name), model(f"{name} changed")
    if watched:
        return _watched(str(first), str(second))
    analysis.options()

    def reference() -> float:
        shutil.rmtree(Path(os.environ["XDG_CACHE_HOME"]), ignore_errors=True)
        return _asking(first)

    return Sides(lambda: _asking(second), reference)


def _watched(first: str, second: str) -> Sides:
    spent = [0.0]

    def reference() -> float:
        shutil.rmtree(Path(os.environ["XDG_CACHE_HOME"]), ignore_errors=True)
        output = call("benchmarks.work", "analyse_both", first, second).output
        before, spent[0] = map(float, output.splitlines()[-1].split())
        return before

    return Sides(lambda: spent[0], reference, unit="cpu s")


def analyse_both(first: str, second: str) -> None:
    """Prints the processor time of this process until one answer, and from it to another."""
    analysis.options()
    _asking(Path(first))
    before = time.process_time()
    _asking(Path(second))
    print(before, time.process_time() - before)


def _asking(path: Path) -> float:
    def work() -> None:
        made = analysis.session(path, networks=True)
        made._probe_seconds = 60.0
        made.analyze(TruncationPolicy())

    return seconds(work)()


def many(subject: str) -> Sides:
    """`check` of many small models, against as many single runs."""
    folder = FOLDER / "many"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"model{number}.pt2" for number in range(MANY)]
    for path in paths:
        shutil.copy(ROOT / "samples" / "boundary_mixed.pt2", path)
    names = [str(path) for path in paths]
    jobs = ("--jobs", "2") if "jobs" in subject else ()

    def single() -> float:
        some = [
            _command("check", name, "--no-cache", code=1).seconds
            for name in names[:SINGLE_RUNS]
        ]
        return sum(some) * MANY / SINGLE_RUNS

    return Sides(
        lambda: _command("check", *names, *jobs, "--no-cache", code=1).seconds, single
    )


def wrong_file(subject: str) -> Sides:
    """A damaged archive to its line, against a report of the smallest sample."""
    del subject
    whole = (ROOT / "samples" / "boundary_mixed.pt2").read_bytes()
    path = Path(tempfile.gettempdir()) / f"wrong-{os.getpid()}.pt2"
    path.write_bytes(whole[: len(whole) // 2])

    def ours() -> float:
        return _command("report", str(path), code=2).seconds

    sample = str(_path("boundary_mixed"))
    return Sides(ours, lambda: _command("report", sample, "--no-cache").seconds)


def weights(subject: str) -> Sides:
    """The analysis of a model with large weights, against the same graph with small ones."""
    large, small = model(f"{subject} MiB"), model("4 MiB")
    analysis.options()

    def first(path: Path) -> float:
        shutil.rmtree(Path(os.environ["XDG_CACHE_HOME"]), ignore_errors=True)
        return seconds(lambda: analysis.analyse(path))()

    return Sides(lambda: first(large), lambda: first(small))


def memory_of_weights(subject: str) -> Sides:
    """Peak of memory that no file stands behind, analysing weights, against 0.1 GB.

    Beyond what loading the same weights as torch does takes; below 0 it counts as 0.
    """
    path = str(model(f"{subject} MiB"))

    def peak(function: str) -> float:
        return float(call("benchmarks.work", "print_peak", function, path).output)

    return Sides(
        lambda: max(0.0, peak("analyse") - peak("load")), lambda: 100e6 / (1 << 20), unit="MiB"
    )


def print_peak(function: str, path: str) -> None:
    """Prints the most anonymous memory, in MiB, that a function of `analysis` takes."""
    analysis.options()
    peak, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            text = Path("/proc/self/status").read_text()
            peak[0] = max(peak[0], int(text.partition("RssAnon:")[2].split()[0]))

    looking = threading.Thread(target=look)
    looking.start()
    kept = getattr(analysis, function)(Path(path))
    over.set()
    looking.join()
    del kept
    print(peak[0] / 1024)
