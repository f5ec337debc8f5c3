"""The rows about what is sent to a terminal: bytes of a move, a page, a page of help."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from pathlib import Path

from benchmarks.measure import Sides
from benchmarks.models import FOLDER, ROOT

COLUMNS, LINES = 120, 35
_KEYS = {"a move": b"j", "a page": b"\x1b[6~", "help": b"?"}
_QUIET_SECONDS = 1.5
"""Without a byte for so long, the screen is as it stays."""


def bytes_sent(subject: str) -> Sides:
    """Bytes that a key makes the UI send, against a kilobyte."""
    path = FOLDER / "terminal.json"
    if not path.exists():
        sys.path.insert(0, str(ROOT))
        from tests.ui.canned import large
        from trtdbg.outputs.report import encode

        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode([large(300)]))
    return Sides(lambda: _sent(path, _KEYS[subject]), lambda: 1000.0, unit="bytes")


def _sent(path: Path, key: bytes) -> float:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "COLUMNS": str(COLUMNS),
            "LINES": str(LINES),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")]),
        }
        os.execv(sys.executable, [sys.executable, "-m", "trtdbg", str(path), "--fresh"])
    try:
        _read(terminal, 60.0)
        # The graph has more rows than the screen.
        os.write(terminal, b"2")
        _read(terminal, 20.0)
        os.write(terminal, key)
        return float(_read(terminal, 20.0))
    finally:
        os.write(terminal, b"\x1bq")
        os.close(terminal)
        os.waitpid(pid, 0)


def _read(terminal: int, most_seconds: float) -> int:
    """Returns how many bytes come until none does; the first is waited for."""
    count, end = 0, time.monotonic() + most_seconds
    while time.monotonic() < end:
        ready, _, _ = select.select([terminal], [], [], _QUIET_SECONDS)
        if not ready and count:
            break
        if ready:
            count += len(os.read(terminal, 1 << 16))
    return count
