"""`record --watch`: a line is edited, and what is said to have changed is exactly that."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import trtdbg
from tests.unit.commands.fake_shell import FakeShell
from trtdbg.commands import record
from trtdbg.commands.watching import Watcher
from trtdbg.recordings import folder, process

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

BEFORE = """
import torch
import torch_tensorrt


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(4, 4)

    def forward(self, x):
        x = self.first(x)
        x = torch.relu(x)
        return x * 2


torch_tensorrt.compile(Net().eval(), inputs=[torch.ones(2, 4)], min_block_size=1)
"""


class Session:
    """Analyses in this process what a shell is asked for."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def submit(self, request: Any) -> Future[Any]:
        from trtdbg.session.session import Session

        future: Future[Any] = Future()
        state = os.stat(request.job.model).st_mtime_ns
        key = request.job, state
        if key not in self._known:
            self._known[key] = Session(request.job, lambda event: None)
        future.set_result(self._known[key].analyze(request.policy))
        return future


class Edited:
    """A script that is edited once at each look, and then nobody looks any more."""

    def __init__(self, path: Path, *edits: tuple[str, str]) -> None:
        self._path = path
        self._edits = iter(edits)

    def sleep(self, seconds: float) -> None:
        edit = next(self._edits, None)
        if edit is None:
            raise KeyboardInterrupt
        if edit == REST:
            return
        text = self._path.read_text()
        assert text.count(edit[0]) == 1
        self._path.write_text(text.replace(*edit))
        now = os.stat(self._path).st_mtime_ns
        os.utime(self._path, ns=(now, now + 10**9))


REST = ("", "")


def in_this_process(script: process.Script, target: Path) -> process.RecordingOutcome:
    """Records as `process.record` does, without a process that imports torch anew."""
    how, status = "by itself", 0
    try:
        with trtdbg.recording(target, force=True):
            runpy.run_path(script.argv[0], run_name="__main__")
    except Exception as error:
        how, status = f"by {type(error).__name__}: {' '.join(str(error).split())[:300]}", 1
    made = folder.read(target) if not status else None
    return process.RecordingOutcome(status, made, ended=how, sources=script.argv)


Told = Callable[..., tuple[list[list[str]], list[str]]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Returns the lines that are said after each edit, and the notes."""

    def watch(*edits: tuple[str, str]) -> tuple[list[list[str]], list[str]]:
        path = tmp_path / "net.py"
        path.write_text(BEFORE)
        looks = [each for edit in edits for each in (edit, REST, REST)]
        edited = Edited(path, *looks)
        shell = FakeShell()
        shell.submit = Session().submit  # type: ignore[method-assign]
        monkeypatch.setattr(process, "record", in_this_process)
        monkeypatch.setattr(record, "Watcher", lambda m: Watcher(m, sleep=edited.sleep))
        with pytest.raises(KeyboardInterrupt):
            record.run(
                shell,
                process.Script((str(path),)),
                str(tmp_path / "made"),
                force=False,
                watch=True,
            )
        _, *changes = shell.stdout.split("1-Net.pt2: what changed\n")
        return [each.strip().splitlines() for each in changes], shell.notes

    return watch


def test_an_operator_added_is_told_with_its_line_and_nothing_else(told: Told) -> None:
    ((line,),), _ = told(("torch.relu(x)", "torch.relu(x)\n        x = torch.tanh(x)"))
    assert line == "added aten.tanh.default: tanh (net.py:14)"


def test_a_dtype_changed_is_told_with_the_nodes_that_have_it(told: Told) -> None:
    (lines,), _ = told(("return x * 2", "return x.double() * 2"))
    assert lines == [
        "1 engine → 2, 0 operators left to PyTorch → 1",
        "cause new: aten._to_copy.default (net.py:14): rejects because dtype=float64; accepts "
        "with float32",
        "line net.py:14: return x * 2 → return x.double() * 2",
        "added aten._to_copy.default: _to_copy (net.py:14)",
        "dtype float32 → float64: mul (net.py:14)",
    ]


def test_a_shape_changed_is_told_once_for_all_nodes_that_have_it(told: Told) -> None:
    (lines,), _ = told(("torch.ones(2, 4)", "torch.ones(3, 4)"))
    assert lines == [
        "shape [2, 4] → [3, 4]: 4 nodes, x, linear (net.py:12), relu (net.py:13) and 1 more"
    ]


def test_a_module_renamed_is_told_as_that(told: Told) -> None:
    (lines,), _ = told(
        ("self.first = torch", "self.one = torch"), ("self.first(x)", "self.one(x)")
    )
    assert lines == [
        "line net.py:12: x = self.first(x) → x = self.one(x)",
        "module first → one: 3 nodes, one_weight, one_bias, linear (net.py:12)",
    ]


def test_an_error_that_does_not_export_keeps_the_last_good_analysis(told: Told) -> None:
    wrong = "x = torch.relu(x) if x.sum() > 0 else x"
    changes, notes = told(("x = torch.relu(x)", wrong), (wrong, "x = torch.relu(x)"))
    assert changes == [["nothing changed in engines, causes or nodes"]]
    _, watching, again, ended, nothing, kept, *_ = notes
    assert watching.startswith("watching")
    assert again == "net.py changed: recording again"
    assert ended.startswith("the script ended by GuardOnDataDependentSymNode: Could not guard")
    assert nothing.startswith("nothing is recorded: no program reached torch_tensorrt")
    assert "the last good analysis is kept: 1 engine holds every operator" in kept


@pytest.mark.slow
def test_the_scripts_own_process_is_run_again_after_an_edit_of_a_module_it_imports(
    tmp_path: Path,
) -> None:
    (tmp_path / "net.py").write_text(BEFORE.partition("\n\n\ntorch_tensorrt.compile")[0])
    _, _, call = BEFORE.partition("\n\n\ntorch_tensorrt")
    (tmp_path / "run.py").write_text(
        f"import torch\nimport torch_tensorrt\nfrom net import Net\ntorch_tensorrt{call}"
    )
    with open(tmp_path / "said", "w") as said:
        running = subprocess.Popen(
            [sys.executable, "-m", "trtdbg", "record", "--watch", "-o", "made", "run.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(tmp_path / "said", "watching the script's source")
        text = (tmp_path / "net.py").read_text()
        (tmp_path / "net.py").write_text(text.replace("x * 2", "torch.tanh(x * 2)"))
        wait_for(tmp_path / "said", "added aten.tanh.default: tanh (net.py:14)")
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(60)
    assert running.returncode == 130
    assert "net.py changed: recording again" in (tmp_path / "said").read_text()


def wait_for(file: Path, text: str) -> None:
    deadline = time.monotonic() + 240
    while text not in file.read_text():
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.3)
