"""The user's editor, at a line of the model's source."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from trtdbg.errors import UnavailableError, UsageError
from trtdbg.outputs.ci.checkout import place_in
from trtdbg.records import Source

_PLUS: Final = frozenset(
    (
        *("ed", "emacs", "emacsclient", "gedit", "gvim", "jed", "joe", "kak", "mcedit"),
        *("micro", "mvim", "nano", "ne", "nvim", "pico", "vi", "view", "vim", "vim.basic"),
        *("vim.tiny",),
    )
)
"""Take the line as `+LINE FILE`."""
_GO: Final = frozenset(["code", "code-insiders", "codium", "cursor", "vscodium", "windsurf"])
"""Take it as `-g FILE:LINE`."""
_COLON: Final = frozenset(["helix", "hx", "subl", "zed", "zeditor"])
"""Take it as `FILE:LINE`."""

_USUAL: Final = ("sensible-editor", "nano", "vim", "vi")
"""Tried in this order without $VISUAL and $EDITOR."""


def source_file(source: Source | None, root: Path) -> Path:
    """Returns the file on this machine that a source names, as an absolute path.

    Args:
        source: What the export recorded.
        root: Where a file is looked for that was exported on another machine.

    Raises:
        UsageError: there is none.
    """
    if source is None or source.file is None:
        raise UsageError("The export recorded no source file for this node.")
    for path in (Path(source.file), root / place_in(source.file, root)):
        if path.is_file():
            # Absolute, so that no name can pass for a flag or a command of the editor.
            return Path(os.path.abspath(path))
    raise UsageError(
        f"{source.file} is not on this machine.",
        remedy="start trtdbg in the folder that holds the sources",
    )


def editor_command(file: Path, line: int | None, environment: Mapping[str, str]) -> list[str]:
    """Returns the command that opens a file at a line in the user's editor.

    Raises:
        UsageError: $VISUAL or $EDITOR is no command line.
        UnavailableError: there is no editor.
    """
    name = next((name for name in ("VISUAL", "EDITOR") if environment.get(name)), None)
    if name is None:
        found = next((each for each in _USUAL if shutil.which(each)), None)
        if found is None:
            raise UnavailableError("There is no editor here.", remedy="set $EDITOR")
        words = [found]
    else:
        try:
            words = shlex.split(environment[name])
        except ValueError as error:
            raise UsageError(f"${name} is no command line: {error}") from error
    if not words:
        raise UsageError(f"${name} is blank.", remedy="set it to your editor")
    if shutil.which(words[0]) is None:
        raise UnavailableError(f"${name} is {words[0]}, which is not installed.")
    program = os.path.basename(words[0])
    if program == "sensible-editor":
        program = os.path.basename(os.path.realpath(shutil.which("editor") or ""))
    return [*words, *_at_line(program, str(file), line)]


def _at_line(program: str, file: str, line: int | None) -> list[str]:
    if line is None or line < 1:
        return [file]
    if program in _PLUS:
        return [f"+{line}", file]
    if program in _GO:
        return ["-g", f"{file}:{line}"]
    if program in _COLON:
        return [f"{file}:{line}"]
    return [file]


def run_editor(command: list[str]) -> int:
    """Runs an editor in the terminal until it ends; returns its exit code.

    Raises:
        OSError: it cannot be started.
    """
    # ctrl+c is only the editor's; a handler, unlike SIG_IGN, is not inherited.
    previous = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, previous)
