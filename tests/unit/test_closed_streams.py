"""A closed or full stdout or stderr is no traceback, and the exit code says what happened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests import canned

ROOT = Path(__file__).parents[2]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_bytes(msgspec.json.encode(canned.LATE))
    return path


def shell(line: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")]),
        "XDG_STATE_HOME": str(tmp_path),
        "RUN": f"{sys.executable} -m trtdbg",
    }
    return subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("$RUN report report.json >&-", 2, "cannot write to stdout: it is closed"),
        ("$RUN report report.json >/dev/full", 2, "No space left on device"),
        ("$RUN report nosuch.pt2 2>&-", 2, ""),
        ("$RUN report nosuch.pt2 2>/dev/full", 2, ""),
        ("$RUN report nosuch.pt2 >&- 2>&- <&-", 2, ""),
        ("$RUN report report.json 2>&-", 0, ""),
        ("$RUN check --format github report.json >&-", 2, "it is closed"),
        ("$RUN 2>&-", 2, ""),
        ("$RUN report 2>&-", 2, ""),
        ("$RUN --help >&-", 0, ""),
        ("mkfifo x.pt2; timeout 20 $RUN report x.pt2", 2, "is not a regular file"),
    ],
)
def test_the_exit_code_says_what_happened(
    line: str, code: int, said: str, saved: Path, tmp_path: Path
) -> None:
    done = shell(line, tmp_path)
    assert done.returncode == code, done
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "trtdbg").exists(), "a crash was written"
