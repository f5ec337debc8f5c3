"""Whatever ends the tool while TensorRT is asked, the next run says what a clean one says."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "trtdbg"]
SECONDS = 300
"""A busy machine may take minutes for what takes seconds."""
QUESTIONS = 4
"""What is asked about the model: three operators, then all together; `clean` checks it."""

SIGNALS = ("SIGINT", "SIGTERM", "SIGKILL")
WAYS = tuple(f"{who} {name}" for who in ("command", "worker", "ui") for name in SIGNALS)
LIMITS = ("--time-limit", "--memory-limit")
OFTEN = {("command SIGINT", 0), ("worker SIGKILL", QUESTIONS - 1), ("--time-limit", 1)}


class Stage:
    """A cache of its own, and a place where a worker is held."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.model = str(model)
        self.hold = folder / "hold"
        self.hold.mkdir()
        (folder / "tmp").mkdir()
        path = [ROOT, ROOT / "ui"]
        self.plain = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_STATE_HOME": str(folder / "state"),
            "TMPDIR": str(folder / "tmp"),
            "TERM": "xterm-256color",
        }
        self.holding = self.plain | {
            "PYTHONPATH": os.pathsep.join(map(str, [Path(__file__).parent / "held", *path])),
            "TRTDBG_TEST_HOLD": str(self.hold),
        }

    def hold_at(self, question: int) -> None:
        (self.hold / "at").write_text(str(question))

    def held_worker(self, screen: int | None = None) -> int:
        """Waits until a worker is held; returns its pid."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if screen is not None:
                _drain(screen)
            with contextlib.suppress(FileNotFoundError):
                return int((self.hold / "held").read_text())
            time.sleep(0.02)
        raise AssertionError("no worker came to the question")

    def report(self, *, hold: bool = False) -> tuple[Any, str]:
        """Returns what a run says that nothing disturbs, and what it says on stderr."""
        file = self.folder / "report.json"
        done = subprocess.run(
            [*RUN, "report", self.model, "--json", str(file), "--force"],
            env=self.holding if hold else self.plain,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return without_seconds(json.loads(file.read_bytes())), done.stderr


def without_seconds(value: Any) -> Any:
    if isinstance(value, list):
        return [without_seconds(each) for each in value]
    if isinstance(value, dict):
        return {k: without_seconds(v) for k, v in value.items() if not k.endswith("seconds")}
    return value


def _drain(screen: int) -> None:
    ready, _, _ = select.select([screen], [], [], 0.02)
    with contextlib.suppress(OSError):
        if ready:
            os.read(screen, 65536)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, torch_tensorrt_ready: None) -> Path:
    import torch

    class Model(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.relu(x).softmax(-1) * 2

    path = tmp_path_factory.mktemp("model") / "small.pt2"
    torch.export.save(torch.export.export(Model().eval(), (torch.ones(2, 4),)), str(path))
    return path


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Any:
    stage = Stage(tmp_path_factory.mktemp("clean"), model)
    report, said = stage.report(hold=True)
    assert "error" not in said
    asked = (stage.hold / "asked").stat().st_size
    assert asked == QUESTIONS, "the tests below stop at each question"
    return report


def cases() -> Iterator[Any]:
    for way in (*WAYS, *LIMITS):
        for question in range(QUESTIONS):
            marks = () if (way, question) in OFTEN else (pytest.mark.deep,)
            yield pytest.param(way, question, marks=marks, id=f"{way} at {question}")


@pytest.mark.parametrize(("way", "question"), cases())
def test_the_next_report_is_that_of_a_clean_cache(
    way: str, question: int, tmp_path: Path, model: Path, clean: Any
) -> None:
    stage = Stage(tmp_path, model)
    stage.hold_at(question)
    if way in LIMITS:
        _reach_limit(stage, way)
    elif way.startswith("ui"):
        _end_ui(stage, signal.Signals[way.split()[1]])
    else:
        _end_command(stage, way)
    report, said = stage.report()
    assert report == clean
    assert "crash" not in said


def _end_command(stage: Stage, way: str) -> None:
    who, name = way.split()
    number = signal.Signals[name]
    with subprocess.Popen(
        [*RUN, "report", stage.model],
        env=stage.holding,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        worker = stage.held_worker()
        if who == "worker" and number is signal.SIGINT:
            # The worker is deaf to it: the parent decides.
            os.kill(worker, number)
            time.sleep(0.2)
            process.kill()
            process.communicate()
            return
        os.kill(worker if who == "worker" else process.pid, number)
        out, said = process.communicate(timeout=SECONDS)
    assert "Traceback" not in said
    if who == "worker":
        assert process.returncode == 0, said
        assert f"the worker died of {name} while TensorRT was asked about" in said
        assert "ended the process" not in out
        return
    expected = {"SIGINT": 130, "SIGTERM": 143, "SIGKILL": -9}[name]
    assert process.returncode == expected


def _reach_limit(stage: Stage, limit: str) -> None:
    value = "20"
    if limit == "--memory-limit":
        (stage.hold / "eat").write_text(str(3 << 30))
        value = "3GiB"
    done = subprocess.run(
        [*RUN, "report", stage.model, limit, value],
        env=stage.holding,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 4
    assert f"{limit}" in done.stderr


def _end_ui(stage: Stage, number: signal.Signals) -> None:
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(RUN[0], [*RUN, stage.model], stage.holding)
    ended = None
    try:
        worker = stage.held_worker(screen)
        os.kill(pid, number)
        deadline = time.monotonic() + 30
        # A process that ends is alive until its memory is given back.
        while time.monotonic() < deadline and (ended is None or _is_alive(worker)):
            _drain(screen)
            if ended is None:
                found, status = os.waitpid(pid, os.WNOHANG)
                ended = os.waitstatus_to_exitcode(status) if found else None
        assert not _is_alive(worker)
        assert ended == {"SIGINT": 130, "SIGTERM": 143, "SIGKILL": -9}[number.name]
    finally:
        if ended is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(screen)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
