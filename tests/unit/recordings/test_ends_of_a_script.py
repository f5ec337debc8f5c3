"""However a script ends, what was recorded before is kept, and one line says how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.unit.commands.fake_shell import FakeShell
from trtdbg.commands import record
from trtdbg.recordings import folder, process

ROOT = Path(__file__).parents[3]

RECORDS = """
import json, os, signal, sys, time
from pathlib import Path
from trtdbg.recordings.folder import settings_text
from trtdbg.recordings.recorder import ScriptCall, ScriptRecorder
from trtdbg.records import Recorded

call = ScriptCall("torch_tensorrt.compile", __file__, 3, model="Net")
recorder = ScriptRecorder(Path(json.loads(sys.orig_argv[-2])["scratch"]), print)

def save(path):
    path.write_bytes(b"PK")
    said = Recorded(name="1-Net", call=call.name, file=call.file, line=call.line, nodes=7)
    return 7, settings_text(said, {})

recorder.take(call, save)
"""
"""Records a program as a replaced function of torch_tensorrt does, without torch."""


def script(place: Path, end: str) -> str:
    path = place / "ends.py"
    path.write_text(RECORDS + textwrap.dedent(end))
    return str(path)


ENDS = [
    ("os.kill(os.getpid(), signal.SIGTERM)", 143, "by SIGTERM"),
    ("os.kill(os.getpid(), signal.SIGKILL)", 137, "by SIGKILL"),
    ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", 130, "by KeyboardInterrupt: "),
    ("os.abort()", 134, "by SIGABRT"),
    ("sys.exit(7)", 7, "with sys.exit(7)"),
    ("sys.exit('no data')", 1, "with sys.exit('no data')"),
    ("raise KeyError('x')", 1, "by KeyError: 'x'"),
    ("os._exit(3)", 3, "with status 3"),
    # Amid the next program.
    (
        "recorder._next_name = lambda model: '2-Half'\n"
        "recorder.take(call, lambda path: path.write_bytes(b'P') and os.abort())",
        134,
        "by SIGABRT",
    ),
]


@pytest.mark.parametrize(("end", "code", "how"), ENDS)
def test_what_was_recorded_is_kept_and_the_end_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    end: str,
    code: int,
    how: str,
) -> None:
    monkeypatch.setattr(record, "_check", lambda script: None)
    shell = FakeShell()
    made = tmp_path / "made"
    asked = process.Script((script(tmp_path, end),))
    assert record.run(shell, asked, str(made), force=False) == code
    recording = folder.read(made)
    assert recording.ended == how
    assert [each.recorded.name for each in recording.programs] == ["1-Net"]
    files = ["1-Net.pt2", "1-Net.settings.toml", "recording.toml"]
    assert sorted(each.name for each in made.iterdir()) == files
    assert shell.notes[0] == f"the script ended {how}"
    assert shell.notes[1].startswith(f"recorded 1 program in {made}: ")
    assert len(shell.notes) == 2
    assert "trtdbg/recordings" not in capfd.readouterr().err


def test_a_script_that_ends_well_says_nothing_of_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_check", lambda script: None)
    shell = FakeShell()
    asked = process.Script((script(tmp_path, ""),))
    assert record.run(shell, asked, str(tmp_path / "made"), force=False) == 0
    assert [note.partition(" ")[0] for note in shell.notes] == ["recorded"]


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [
        (signal.SIGINT, 130, "trtdbg: interrupted"),
        (signal.SIGTERM, 143, "trtdbg: ended by SIGTERM"),
    ],
)
def test_record_that_is_ended_ends_the_script_and_keeps_what_was_recorded(
    tmp_path: Path, number: int, code: int, says: str
) -> None:
    end = "open('recorded', 'w').close(); time.sleep(300)"
    command = [sys.executable, "-m", "trtdbg", "record", "-o", "made", script(tmp_path, end)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "ui")])
    running = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "recorded").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(number)
    _, said = running.communicate(timeout=120)
    assert running.returncode == code, said
    assert said.splitlines()[-1] == says
    assert len(folder.read(tmp_path / "made").programs) == 1
