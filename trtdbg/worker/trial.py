"""Runs a reproducer in a fresh process, before anybody is told that it reproduces."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trtdbg.worker.safe_path import SAFE

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
        for other, data in (beside or {}).items():
            Path(folder, other).write_bytes(data)
        try:
            done = subprocess.run(
                _command(folder, name, text),
                cwd=folder,
                capture_output=True,
                timeout=seconds,
                check=False,
                encoding="utf-8",
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            return _too_slow(seconds)
    return _ended(done.returncode, done.stdout, done.stderr)


async def run_beside(name: str, text: str, *, seconds: float = TRIAL_SECONDS) -> Trial:
    """Does the same beside an event loop; the script ends with the task, if that is cancelled.

    A thread could not be ended, and whoever quits would have to wait for it.
    """
    with tempfile.TemporaryDirectory(prefix="trtdbg-") as folder:
        process = await asyncio.create_subprocess_exec(
            *_command(folder, name, text),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), seconds)
        except TimeoutError:
            return _too_slow(seconds)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
    code = process.returncode
    return _ended(1 if code is None else code, _text(out), _text(err))


def _command(folder: str, name: str, text: str) -> list[str]:
    file = Path(folder, name)
    file.write_text(text, encoding="utf-8")
    # -P: a file beside it cannot stand in for a module that it imports.
    return [sys.executable, SAFE, str(file)]


def _ended(code: int, out: str, err: str) -> Trial:
    if code == 0:
        return Trial(reproduced=True, printed=out)
    if code < 0:
        return Trial(False, out, f"it was ended by signal {-code}")
    lines = [line for line in (err + out).splitlines() if line.strip()]
    return Trial(False, out, lines[-1] if lines else "it says nothing")


def _too_slow(seconds: float) -> Trial:
    return Trial(reproduced=False, printed="", why_not=f"it ran over {seconds:g} s")


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
