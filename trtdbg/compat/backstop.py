"""Stops what an archive should not be able to do while torch reads it. A backstop, no sandbox.

Python tells an audit hook of processes, libraries, sockets, files, imports and compiled code
before they happen. The vetting of `trtdbg.archive` is what keeps a file from running code;
this is for what it may have missed. C++ code that opens a library by itself raises no event.

Source: Python 3.11, "Audit events table" of its library reference.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Collection, Iterator
from typing import Any, Final

_EVENTS: Final = (
    *("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile"),
    *("os.system", "pty.", "ctypes.", "socket.", "webbrowser.", "urllib.", "ftplib.", "http."),
    *("smtplib.", "imaplib.", "poplib.", "telnetlib.", "sqlite3.", "shutil.", "tempfile."),
    *("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod"),
    *("os.chown", "os.truncate", "os.setxattr", "os.removexattr", "os.utime", "os.chdir"),
    *("os.kill", "os.killpg", "os.putenv", "os.unsetenv", "signal.", "pickle.find_class"),
    *("sys.addaudithook", "sys.settrace", "sys.setprofile", "sys.unraisablehook"),
    *("cpython.run_", "_thread.start_new_thread", "code.__new__", "function.__new__"),
)
"""How the names of refused events begin, besides `import`, `open`, `compile` and `exec`."""

_PACKAGES: Final = (
    *("torch", "torchgen", "functorch", "torch_tensorrt", "tensorrt", "tensorrt_rtx"),
    *("sympy", "mpmath", "numpy", "z3", "trtdbg", "encodings"),
)
"""What torch may import late while it reads a healthy program (2.13)."""

_COMPILERS: Final = frozenset(
    (
        *("ast", "typing", "dataclasses", "collections", "enum", "torch.fx.graph_module"),
        *("torch.fx._lazy_graph_module", "torch.fx.operator_schemas"),
    )
)
"""Modules that compile text which they made themselves, some 400 times a healthy program."""

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class RefusedEventError(BaseException):
    """Reading a file began something that it should not. No Exception: torch catches those."""


class Watch:
    """What was refused while an archive was read."""

    def __init__(self, packages: Collection[str]) -> None:
        """Watches the thread that it is made in.

        Args:
            packages: packages that may be imported besides torch's.
        """
        self.refused: str | None = None
        """The first refused event, in words; it stays, whoever swallows the exception."""
        self._packages = frozenset((*_PACKAGES, *packages))
        self._thread = threading.get_ident()
        # Less this frame, and the two of the context manager.
        self._depth = len(_frames()) - 3

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuses an event of the watched thread.

        Raises:
            RefusedEventError: it should not happen.
        """
        if threading.get_ident() != self._thread:
            return
        said = self._refusal(event, arguments)
        if said is not None:
            self.refused = self.refused or said
            raise RefusedEventError(said)

    def _refusal(self, event: str, arguments: tuple[Any, ...]) -> str | None:
        said = self._odd(event, arguments)
        if said is None and event != "exec":
            return None
        # Installed code of an admitted package may do what it likes as it is imported.
        first = self._first_import()
        return said if first is None else self._importing(first)

    def _odd(self, event: str, arguments: tuple[Any, ...]) -> str | None:
        """Returns what an event is, in words, where torch does not do that by itself."""
        if event == "import":
            # A statement in the source of an admitted package names what it likes.
            by_torch = _caller().partition(".")[0] in self._packages
            return None if by_torch else self._importing(str(arguments[0]))
        if event == "open":
            return self._writing(*arguments[:3])
        if event in ("compile", "exec"):
            caller = _caller()
            known = caller in _COMPILERS
            return None if known else f"run code that {caller} made of a text"
        return f"call {event}" if event.startswith(_EVENTS) else None

    def _importing(self, name: str) -> str | None:
        """Refuses an import, unless it is of an admitted package; what that imports is too."""
        return None if name.partition(".")[0] in self._packages else f"import {name!r}"

    def _first_import(self) -> str | None:
        """Returns the module whose import began first of those that go on; None if none does.

        `importlib.import_module` raises no event `import`, but running the module does `exec`.
        An import that a statement began was heard before, and is called by torch's own name.
        """
        frames = _frames()
        by_name = False
        for frame in reversed(frames[: len(frames) - self._depth]):
            by_name = by_name or frame.f_code.co_name == "import_module"
            if frame.f_globals.get("__name__") == "importlib._bootstrap":
                if not by_name:
                    return "torch"
                spec = frame.f_locals.get("spec")
                if frame.f_code.co_name == "_load_unlocked" and spec is not None:
                    return str(spec.name)
        return None

    @staticmethod
    def _writing(path: object, mode: object, flags: object) -> str | None:
        writes = isinstance(flags, int) and flags & _WRITING
        if writes or (isinstance(mode, str) and set(mode) & set("wax+")):
            return f"open {str(path)[:80]!r} for writing"
        return None


def _caller() -> str:
    """Returns the module that compiles: the first frame above this file."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")) if frame is not None else "?"


def _frames() -> list[Any]:
    """Returns the frames of this thread, the innermost first."""
    frame: Any = sys._getframe(1)
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


_watches: Final[list[Watch]] = []
_installed: Final[list[bool]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for watch in _watches:
        watch.hear(event, arguments)


@contextlib.contextmanager
def refused_events(packages: Collection[str] = ()) -> Iterator[Watch]:
    """Watches what this thread does inside; the caller looks at `refused` afterwards.

    The hook stays for the life of the process, since Python removes none; outside of this it
    does nothing.
    """
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(True)
    watch = Watch(packages)
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    _watches.append(watch)
    try:
        yield watch
    except RefusedEventError:
        pass
    finally:
        _watches.remove(watch)
        sys.dont_write_bytecode = bytecode
