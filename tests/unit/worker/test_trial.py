"""A reproducer's trial, awaited and beside an event loop."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from trtdbg.worker import trial


def both(name: str, text: str, seconds: float = trial.TRIAL_SECONDS) -> trial.Trial:
    """Returns how a script ends, which is the same in both ways to run it."""
    ended = trial.run(name, text, seconds=seconds)
    assert asyncio.run(trial.run_beside(name, text, seconds=seconds)) == ended
    return ended


def test_a_trial_says_how_a_script_ended() -> None:
    good = both("good.py", "print('seen')")
    assert (good.reproduced, good.printed) == (True, "seen\n")
    bad = both("bad.py", "assert 'reject' == 'accept', 'not so'")
    assert (bad.reproduced, bad.why_not) == (False, "AssertionError: not so")
    dead = both("dead.py", "import os; os.abort()")
    assert dead.why_not == "it was ended by signal 6"
    slow = both("slow.py", "import time; time.sleep(60)", seconds=1)
    assert slow.why_not == "it ran over 1 s"
    alien = both("alien.py", "import sys; assert sys.flags.safe_path")
    assert alien.reproduced


def test_a_cancelled_trial_leaves_no_process(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    text = (
        "import os, time\n"
        f"open({str(noted) + '.new'!r}, 'w').write(str(os.getpid()))\n"
        f"os.rename({str(noted) + '.new'!r}, {str(noted)!r})\n"
        "time.sleep(600)\n"
    )

    async def cancelled() -> int:
        task = asyncio.create_task(trial.run_beside("endless.py", text))
        while not noted.exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return int(noted.read_text())

    pid = asyncio.run(cancelled())
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and _alive(pid):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_trial_has_the_files_beside_the_script() -> None:
    text = "import pathlib; print(pathlib.Path(__file__).with_name('x.pt2').read_text())"
    assert trial.run("reads.py", text, beside={"x.pt2": b"held"}).printed == "held\n"


def _alive(pid: int) -> bool:
    """Tells whether a process still runs; one that ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
