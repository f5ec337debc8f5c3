"""Ctrl-C and kill -9 at any moment: nothing is left running, no file is left half written."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "boundary_mixed.pt2"
RUN = [sys.executable, "-m", "trtdbg"]
SECONDS = 60
STAGES = ("prepare", "load", "capture", "infer", "validate", "partition", "network", "build")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")]),
        "TMPDIR": str(temporary),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "TERM": "xterm-256color",
    }


@contextlib.contextmanager
def started(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [*RUN, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def children(pid: int) -> set[int]:
    """Returns the processes that a process and its children started."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    found = {pid}
    while more := {child for child, parent in pairs if parent in found} - found:
        found |= more
    return found - {pid}


def worker_of(pid: int) -> int:
    """Returns the worker, which alone among the children leads a session of its own."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for child in children(pid):
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(child) == child:
                    return child
        time.sleep(0.02)
    raise AssertionError("there is no worker")


def are_gone(pids: set[int]) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        alive = [pid for pid in pids if _is_alive(pid)]
        if not alive:
            return True
        time.sleep(0.05)
    return False


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(process: subprocess.Popen, stage: str) -> None:
    """Reads what -v prints up to the line of a stage."""
    assert process.stderr is not None
    for line in process.stderr:
        if f": {stage}".encode() in line and b"error" not in line:
            return
    raise AssertionError(f"{stage} never came")


def files_in(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file()]


def test_ctrl_c_while_the_program_itself_is_imported_exits_130(
    environment: dict[str, str],
) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    program = (
        "import sys, types\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'trtdbg.cli': exec({code!r})\n"
        "from trtdbg.__main__ import run\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "sys.exit(run())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (130, "trtdbg: interrupted\n")


@pytest.mark.parametrize("stage", ["prepare", "build"])
def test_ctrl_c_exits_130_within_a_second_and_leaves_nothing(
    stage: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    saved = tmp_path / "saved"
    with started(["build", str(SAMPLE), "--save", str(saved), "-v"], environment) as process:
        wait_for(process, stage)
        below = children(process.pid)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=SECONDS)
        assert time.monotonic() - began < 1
        assert process.returncode == 130
        assert b"interrupted" in said
        assert b"Traceback" not in said
    assert are_gone(below)
    assert files_in(saved) == files_in(Path(environment["TMPDIR"])) == []


@pytest.mark.parametrize(
    "stage",
    [
        stage if stage in ("capture", "build") else pytest.param(stage, marks=pytest.mark.slow)
        for stage in STAGES
    ],
)
def test_a_killed_worker_is_one_line_exit_4_and_no_file(
    stage: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    saved = tmp_path / "saved"
    command = ["build", str(SAMPLE), "--save", str(saved), "-v", "--probe-seconds", "0"]
    with started(command, environment) as process:
        if stage == "prepare":
            worker_of(process.pid)
        else:
            wait_for(process, stage)
        below = children(process.pid)
        os.kill(worker_of(process.pid), signal.SIGKILL)
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 4
        assert b"was killed by SIGKILL" in said
        assert b"Traceback" not in said
    assert are_gone(below)
    assert files_in(saved) == []


def test_a_killed_ui_leaves_no_worker_behind(environment: dict[str, str]) -> None:
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(RUN[0], [*RUN, str(SAMPLE), "--probe-seconds", "0"], environment)
    try:
        worker = _shown_until_worker(pid, screen)
        below = children(pid)
        assert worker in below
        os.write(screen, b"b")
        os.kill(pid, signal.SIGKILL)
        assert are_gone(below)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(screen)


def test_ctrl_c_in_the_ui_exits_130_within_a_second(environment: dict[str, str]) -> None:
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(RUN[0], [*RUN, str(SAMPLE), "--probe-seconds", "0"], environment)
    _shown_until_worker(pid, screen)
    below = children(pid)
    began = time.monotonic()
    os.write(screen, b"\x03")
    ended = (0, 0)
    while ended[0] == 0 and time.monotonic() - began < SECONDS:
        _drain(screen)
        ended = os.waitpid(pid, os.WNOHANG)
    assert time.monotonic() - began < 1.5
    assert os.waitstatus_to_exitcode(ended[1]) == 130
    os.close(screen)
    assert are_gone(below)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_picture_that_is_ended_is_not_written(
    number: signal.Signals, code: int, tmp_path: Path, environment: dict[str, str]
) -> None:
    picture = tmp_path / "screen.svg"
    with started([str(SAMPLE), "--screenshot", str(picture)], environment) as process:
        worker_of(process.pid)
        # The app has set its own handlers of signals before it starts the worker.
        below = children(process.pid)
        process.send_signal(number)
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == code
        expected = b"ended by SIGTERM" if code == 143 else b"interrupted"
        assert said == b"trtdbg: " + expected + b"\n"
    assert are_gone(below)
    assert not picture.exists()


def _leads_a_session(pid: int) -> bool:
    """Returns whether a process leads a session; one that has ended meanwhile leads none."""
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _shown_until_worker(pid: int, screen: int) -> int:
    """Reads the screen until there is a worker, and a second more."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        _drain(screen)
        leaders = [child for child in children(pid) if _leads_a_session(child)]
        if leaders:
            until = time.monotonic() + 1
            while time.monotonic() < until:
                _drain(screen)
            return leaders[0]
    raise AssertionError("there is no worker")


def _drain(screen: int) -> None:
    ready, _, _ = select.select([screen], [], [], 0.05)
    with contextlib.suppress(OSError):
        if ready:
            os.read(screen, 65536)


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL],
)
def test_a_comparison_ends_with_its_pool_and_keeps_its_rows(
    number: signal.Signals, tmp_path: Path, environment: dict[str, str]
) -> None:
    kept = tmp_path / "rows"
    command = ["compare", str(SAMPLE), "--no-build", "--jobs", "2", "--resume", str(kept)]
    with subprocess.Popen(
        [*RUN, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"[1/7]" in line:
                break
        below = children(process.pid)
        began = time.monotonic()
        if number is signal.SIGINT:
            # As a terminal does: to the program and all that it started.
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        out, said = process.communicate(timeout=SECONDS)
        assert time.monotonic() - began < 2
    expected = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
    assert process.returncode == expected[number]
    assert out == b""
    assert b"Traceback" not in said
    assert are_gone(below)
    lines = kept.read_bytes().splitlines(keepends=True)
    assert len(lines) >= 2
    again = subprocess.run([*RUN, *command], env=environment, capture_output=True)
    assert again.returncode == 0, again.stderr
    resumed = f"{len(lines) - 1} of 7 rows are taken from {kept}"
    assert resumed in again.stderr.decode()
    assert len(kept.read_bytes().splitlines()) == 8
