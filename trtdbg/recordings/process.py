"""Starts the process of a script that is recorded, and makes a recording of what it left."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trtdbg import __version__, beside
from trtdbg.errors import ModelError, OutputError
from trtdbg.recordings import folder
from trtdbg.whole_folder import whole_folder

_LOG: Final = "recorded.jsonl"
_END: Final = "ended.json"
_OWN_PATH: Final = str(Path(__file__).resolve().parents[2])

_CODE: Final = (
    "import sys; sys.path[:1] == [''] and sys.path.pop(0); "
    "added = sys.argv[2] not in sys.path; added and sys.path.append(sys.argv[2]); "
    "from trtdbg.recordings.child import main; main(sys.argv[1])"
)
"""What the process begins with: without the working directory as a place of modules."""

_PATIENCE: Final = 10.0
"""Seconds that an interrupted script has to end."""


@dataclass(frozen=True)
class Script:
    """What is run, and how."""

    argv: tuple[str, ...]
    """The script, unless a module is run, and its arguments."""
    module: str | None = None
    compiles: bool = False
    first: bool = False
    device: str | None = None

    @property
    def line(self) -> str:
        """The script as it stands on a command line."""
        words = ["-m", self.module, *self.argv] if self.module else [*self.argv]
        return shlex.join(str(word) for word in words)


@dataclass(frozen=True)
class RecordingOutcome:
    """How recording a script went."""

    status: int
    """Exit status of the script; negative if a signal ended it."""
    recording: folder.Recording | None
    """None if nothing was recorded; nothing is written then."""
    skipped: tuple[dict[str, Any], ...] = ()
    interrupted: bool = False
    ended: str = ""
    """How the script ended, in words: `by itself`, `by SIGKILL`."""
    sources: tuple[str, ...] = ()
    """Source files that the script ran, its own ones; empty if a signal ended it."""


def record(script: Script, target: Path) -> RecordingOutcome:
    """Runs a script in a process of its own and writes what it compiles into a folder.

    Raises:
        OutputError: the folder cannot be written.
    """
    old = _names_in(target)
    try:
        with whole_folder(target, last=beside.INDEX) as scratch:
            status, interrupted = _run(script, scratch)
            how, versions, sources = _ended(scratch, status)
            programs, skipped = collected(scratch, script.line, (how, versions))
            if not programs:
                raise NothingRecordedError
    except NothingRecordedError:
        return RecordingOutcome(status, None, tuple(skipped), interrupted, how, sources)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    _remove(target, old - _names_in(target))
    made = folder.read(target)
    return RecordingOutcome(status, made, tuple(skipped), interrupted, how, sources)


class NothingRecordedError(Exception):
    """There is no program, and so no folder is written."""


def collected(
    scratch: Path, line: str, ended: tuple[str, dict[str, str]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Writes the index of a folder of programs; returns the programs and the skipped calls.

    Args:
        scratch: the folder.
        line: what was run.
        ended: how that ended, and the versions of what ran.
    """
    entries: dict[str, list[dict[str, Any]]] = {"program": [], "skipped": []}
    log = scratch / _LOG
    if log.is_file():
        for text in log.read_text(encoding="utf-8").splitlines():
            # A script that was killed may have left half a line.
            with contextlib.suppress(ValueError):
                kind, entry = json.loads(text)
                entries[kind].append(entry)
    for name in (_LOG, _END):
        (scratch / name).unlink(missing_ok=True)
    programs = entries["program"]
    _remove_others(scratch, {entry["name"] for entry in programs})
    how, versions = ended
    text = folder.index_text(
        line, how, {"trtdbg": __version__} | versions, programs, entries["skipped"]
    )
    (scratch / beside.INDEX).write_text(text, encoding="utf-8")
    return programs, entries["skipped"]


def _remove_others(scratch: Path, names: set[str]) -> None:
    """Removes what a script was killed amid."""
    whole = {f"{n}{s}" for n in names for s in (beside.MODEL_SUFFIX, beside.SETTINGS_SUFFIX)}
    for file in scratch.iterdir():
        if file.name not in whole:
            file.unlink(missing_ok=True)


def _ended(scratch: Path, status: int) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """Returns how the script ended, the versions of what ran, and its source files."""
    how = f"by {signal_name(-status)}" if status < 0 else f"with status {status}"
    with contextlib.suppress(OSError, ValueError, KeyError):
        said = json.loads((scratch / _END).read_text(encoding="utf-8"))
        return said["how"] or how, said["versions"], tuple(said["sources"])
    return how, {}, ()


def signal_name(number: int) -> str:
    """Returns SIGKILL for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _run(script: Script, scratch: Path) -> tuple[int, bool]:
    """Returns the exit status of the script, and whether it was interrupted."""
    options = {
        "scratch": str(scratch),
        "compile": script.compiles,
        "first": script.first,
        "device": script.device,
        "module": script.module,
        "argv": script.argv,
    }
    command = [sys.executable, "-c", _CODE, json.dumps(options), _OWN_PATH]
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        raise OutputError(f"cannot run {sys.executable}: {error.strerror}") from error
    try:
        return process.wait(), False
    except KeyboardInterrupt:
        # Ctrl-C has reached the script by itself; what else interrupts us has not.
        return _ended_soon(process), True
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _ended_soon(process: subprocess.Popen[bytes]) -> int:
    for wait, number in ((1.0, None), (_PATIENCE, signal.SIGINT), (1.0, signal.SIGTERM)):
        if number is not None:
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(wait)
    process.kill()
    return process.wait()


def _names_in(target: Path) -> set[str]:
    with contextlib.suppress(ModelError):
        if (target / beside.INDEX).is_file():
            return {Path(each.path).stem for each in folder.read(target).programs}
    return set()


def _remove(target: Path, names: set[str]) -> None:
    """Removes programs of an older recording in the same folder."""
    for name in names:
        for suffix in (beside.MODEL_SUFFIX, beside.SETTINGS_SUFFIX):
            with contextlib.suppress(OSError):
                os.unlink(target / f"{name}{suffix}")
