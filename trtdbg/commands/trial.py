"""Runs a reproducer in a fresh process, before anybody is told that it reproduces."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TRIAL_SECONDS = 180.0
"""Importing torch and torch_tensorrt takes seconds, a build of one operator less."""


@dataclass(frozen=True)
class Trial:
    """How a run of a script ended."""

    reproduced: bool
    printed: str
    why_not: str = ""
    """The last line it wrote to stderr; empty if it reproduced."""


def run(
    name: str,
    text: str,
    *,
    beside: Mapping[str, bytes] | None = None,
    seconds: float = TRIAL_SECONDS,
) -> Trial:
    """Runs a script that knows nothing of trtdbg; it is to end with exit code 0.

    Args:
        name: of its file.
        text: of the script.
        beside: files that it reads, by their names in its folder.
        seconds: after which it is ended.
    """
    with tempfile.TemporaryDirectory(prefix="trtdbg-") as folder:
        file = Path(folder, name)
        file.write_text(text, encoding="utf-8")
        for other, data in (beside or {}).items():
            Path(folder, other).write_bytes(data)
        # -P: a file beside it cannot stand in for a module that it imports.
        command = [sys.executable, "-P", str(file)]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                capture_output=True,
                timeout=seconds,
                check=False,
                encoding="utf-8",
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            return Trial(reproduced=False, printed="", why_not=f"it ran over {seconds:g} s")
    if done.returncode == 0:
        return Trial(reproduced=True, printed=done.stdout)
    if done.returncode < 0:
        return Trial(False, done.stdout, f"it was ended by signal {-done.returncode}")
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return Trial(False, done.stdout, lines[-1] if lines else "it says nothing")
