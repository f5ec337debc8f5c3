"""Takes what reaches torch_tensorrt and writes it into a folder, program by program."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from trtdbg import beside
from trtdbg.errors import UsageError
from trtdbg.plain import message_line
from trtdbg.recordings import folder

LOG: Final = "recorded.jsonl"
"""In the folder while it is being written: a line for each program or skipped call."""

_OWN: Final = Path(__file__).resolve().parents[1]

_PASSED_OVER: Final = frozenset(
    ("torch", "torch_tensorrt", "contextlib", "functools", "importlib", "runpy", "unittest")
)
"""Packages whose frames are not the script's."""


class EndOfRecording(SystemExit):
    """Ends the script: what was wanted is recorded, or it cannot go on without an engine."""

    def __init__(self) -> None:
        super().__init__(0)


@dataclass(frozen=True)
class ScriptCall:
    """A call of the script into torch_tensorrt that has not returned."""

    name: str
    """As the script would write it: `torch_tensorrt.compile`."""
    file: str
    line: int
    model: str = "program"
    """Class of the module that was handed over."""
    noted: tuple[tuple[str, str], ...] = ()
    """Arguments that are no settings of torch_tensorrt, as text."""
    inputs: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where the script calls, as an editor takes it."""
        return f"{self.file}:{self.line}"


@dataclass
class ScriptRecorder:
    """Writes programs into a folder that nothing reads before the recording ends."""

    scratch: Path
    say: Callable[[str], None]
    """Tells the user a line."""
    compiles: bool = False
    """Whether torch_tensorrt goes on to compile what was recorded."""
    first: bool = False
    """Whether the script ends after the first program."""
    ends_script: bool = True
    """Whether a script runs that can be ended; a `with` block in Python cannot."""
    count: int = 0
    unwritten: dict[str, Any] = field(default_factory=dict)
    """Models that the script wanted to save uncompiled, by the absolute path."""
    ended_by: str | None = None
    """Why the script was ended by the recording."""
    _lock: Any = field(default_factory=threading.RLock)
    _calls: threading.local = field(default_factory=threading.local)

    @property
    def call(self) -> ScriptCall | None:
        """The outermost call that has not returned."""
        return getattr(self._calls, "outermost", None)

    @contextlib.contextmanager
    def calling(self, make: Callable[[str, int], ScriptCall]) -> Iterator[ScriptCall]:
        """Remembers a call while it lasts; one inside another changes nothing.

        Args:
            make: returns the call, given the file and line that it stands in.
        """
        if self.call is not None:
            yield self.call
            return
        self._calls.outermost = call = make(*place_in_script())
        try:
            yield call
        finally:
            self._calls.outermost = None

    def take(
        self, call: ScriptCall, save: Callable[[Path], tuple[int, str]], settings: str = ""
    ) -> None:
        """Records a program, or notes why it cannot be.

        Args:
            call: where it comes from.
            save: writes the program to a path; returns its number of nodes and the text of
                its settings file.
            settings: unused where `save` makes the text.
        """
        with self._lock:
            name = self._next_name(call.model)
            model = self.scratch / f"{name}{beside.MODEL_SUFFIX}"
            try:
                nodes, text = save(model)
                path = self.scratch / f"{name}{beside.SETTINGS_SUFFIX}"
                path.write_text(text, encoding="utf-8")
            except Exception as error:
                model.unlink(missing_ok=True)
                self.skip(call, f"{type(error).__name__}: {message_line(error, 'no message')}")
                return
            self._log(
                "program",
                name=name,
                call=call.name,
                file=call.file,
                line=call.line,
                nodes=nodes,
            )
            self.count += 1
        self.say(f"{call.place}: {call.name}: recorded {name}, {nodes} nodes")
        if self.first:
            self.end("the first program is recorded (--first)")

    def skip(self, call: ScriptCall, reason: str) -> None:
        """Notes a call that is not recorded."""
        self._log("skipped", call=call.name, file=call.file, line=call.line, reason=reason)
        self.say(f"{call.place}: {call.name}: not recorded: {reason}")

    def end(self, why: str) -> None:
        """Ends the script, which is the only way on.

        Raises:
            EndOfRecording: always where a script runs.
            UsageError: in a `with` block, where there is none to end.
        """
        if not self.ends_script:
            raise UsageError(f"{why}: the block ends here", remedy="pass compile=True")
        self.ended_by = why
        self.say(f"the script is ended: {why}")
        raise EndOfRecording

    def _next_name(self, model: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", model).strip("_")[:60] or "program"
        return f"{self.count + 1}-{plain}"

    def _log(self, kind: str, **entry: Any) -> None:
        entry = {n: folder.cut(v) if isinstance(v, str) else v for n, v in entry.items()}
        with open(self.scratch / LOG, "a", encoding="utf-8") as file:
            file.write(json.dumps([kind, entry]) + "\n")
            file.flush()


def place_in_script() -> tuple[str, int]:
    """Returns file and line of the innermost frame that is the script's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        file = frame.f_code.co_filename
        ours = _OWN in Path(file).parents or file.startswith("<frozen")
        if not ours and name.partition(".")[0] not in _PASSED_OVER:
            return os.path.abspath(file) if os.path.exists(file) else file, frame.f_lineno
        frame = frame.f_back
    return "?", 0
