"""Rows of a comparison kept in a file as they finish, for a run that was interrupted.

One line of JSON a row, after a line that says what the file is. A row is known by what it was
made of, so that a file of another run, another version or a changed model gives nothing wrong.
Free of torch.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from trtdbg import __version__
from trtdbg.errors import OutputError
from trtdbg.outputs.comparison import Row
from trtdbg.session.compared import Task
from trtdbg.session.messages import native_path

SCHEMA: Final = "trtdbg.compare.journal/1"

_HEADER: Final = msgspec.json.encode({"schema": SCHEMA}) + b"\n"
_PACKAGES: Final = (
    "torch",
    "torch-tensorrt",
    "torch-tensorrt-rtx",
    "tensorrt",
    "tensorrt-rtx",
)


class _Line(msgspec.Struct, frozen=True):
    key: str
    row: Row


class Journal:
    """An open file of finished rows, as a context manager."""

    def __init__(self, path: str) -> None:
        """Opens the file, which is made if there is none, and reads what it holds.

        A last line that was not finished is cut off. A row of another version is forgotten.

        Raises:
            OutputError: it cannot be opened, is in use, or is something else.
        """
        try:
            self._file = open(path, "a+b")  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        self._keys: dict[Task, str] = {}
        try:
            self._rows = self._read(path)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def find(self, task: Task) -> Row | None:
        """Returns the row of the same task, called as the task calls it; None if unknown."""
        # Before it runs: what a file holds afterwards may be something else.
        self._keys[task] = key(task)
        row = self._rows.get(self._keys[task])
        if row is None:
            return None
        return msgspec.structs.replace(row, model=task.model, name=task.name)

    def keep(self, task: Task, row: Row) -> None:
        """Writes the finished row of a task that `find` was asked for and did not have.

        One that ended in an error is not written, and so tried again the next time.

        Raises:
            OutputError: it cannot be written.
        """
        if row.error is not None:
            return
        line = msgspec.json.encode(_Line(self._keys[task], row)) + b"\n"
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            name = self._file.name
            raise OutputError(f"cannot write {name}: {error.strerror or error}") from error

    def _read(self, path: str) -> dict[str, Row]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"{path} is in use by another run", remedy="name another file"
            ) from error
        try:
            self._file.seek(0)
            data = self._file.read()
            whole = data[: data.rfind(b"\n") + 1]
            if data and not (whole or data).startswith(_HEADER[: len(data)]):
                raise OutputError(
                    f"{path} is no file of `compare --resume` and is kept",
                    remedy="name another file",
                )
            self._file.truncate(len(whole))
            if not whole:
                self._file.write(_HEADER)
                self._file.flush()
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        rows = {}
        for line in whole.splitlines()[1:]:
            with contextlib.suppress(msgspec.MsgspecError):
                kept = msgspec.json.decode(line, type=_Line)
                rows[kept.key] = kept.row
        return rows


def key(task: Task) -> str:
    """Returns a hash of all that a row is made of: files by content, versions, options."""
    access = task.job.access
    unlimited = msgspec.structs.replace(access, memory_limit=None, time_limit=None)
    job = msgspec.structs.replace(task.job, model="", access=unlimited)
    numbers = task.numbers
    files = [native_path(task.job.model), *filter(os.path.isfile, access.imports)]
    if numbers is not None and numbers.inputs is not None:
        files.append(numbers.inputs)
        numbers = msgspec.structs.replace(numbers, inputs="")
    made_of = (
        *(__version__, [_version(name) for name in _PACKAGES]),
        *(task.policy, job, task.build, task.cache, numbers),
        [_digest(file) for file in files],
    )
    return hashlib.sha256(msgspec.msgpack.encode(made_of)).hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _digest(path: str) -> str | None:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        # The row will say that the file cannot be read, and such a row is not kept.
        return None
