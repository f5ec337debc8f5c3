"""A file of what is done so far, a line of JSON each, for a run that was interrupted.

Its first line says what the file is. Free of torch.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from io import BufferedRandom
from typing import Final, TypeVar

import msgspec

from trtdbg.closing import Closing
from trtdbg.errors import OutputError

Kept = TypeVar("Kept", bound=msgspec.Struct)


_MOST_BYTES: Final = 256 << 20


class KeptLines(Closing):
    """An open file of lines, which no other run has open, as a context manager."""

    def __init__(self, path: str | None, schema: str, maker: str) -> None:
        """Opens the file, which is made if there is none, and reads what it holds.

        A last line that was not finished is cut off.

        Args:
            path: where it is; None keeps nothing.
            schema: what its first line says that it is.
            maker: what writes such files, for the message about another one.

        Raises:
            OutputError: it cannot be opened, is in use, or is something else.
        """
        self._file: BufferedRandom | None = None
        self._lines: list[bytes] = []
        if path is None:
            return
        try:
            _refuse_special(path)
            self._file = open(path, "a+b")  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        try:
            self._lines = _read(self._file, path, schema, maker)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Closes the file, which another run may open then."""
        if self._file is not None:
            self._file.close()

    def read(self, kind: type[Kept]) -> Iterator[Kept]:
        """Yields what the file held when it was opened; a damaged line is passed over."""
        for line in self._lines:
            with contextlib.suppress(msgspec.MsgspecError):
                yield msgspec.json.decode(line, type=kind)

    def add(self, line: msgspec.Struct) -> None:
        """Writes a line to the disk before it returns.

        Raises:
            OutputError: it cannot be written.
        """
        if self._file is None:
            return
        try:
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            name = self._file.name
            raise OutputError(f"cannot write {name}: {error.strerror or error}") from error


def _read(file: BufferedRandom, path: str, schema: str, maker: str) -> list[bytes]:
    header = msgspec.json.encode({"schema": schema}) + b"\n"
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(
            f"{path} is in use by another run", remedy="name another file"
        ) from error
    try:
        file.seek(0)
        data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise OSError(errno.EFBIG, f"it holds more than {_MOST_BYTES >> 20} MiB")
        whole = data[: data.rfind(b"\n") + 1]
        if data and not (whole or data).startswith(header[: len(data)]):
            raise OutputError(
                f"{path} is no file of `{maker}` and is kept", remedy="name another file"
            )
        file.truncate(len(whole))
        if not whole:
            file.write(header)
            file.flush()
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    return whole.splitlines()[1:]


def _refuse_special(path: str) -> None:
    """Raises OSError for a pipe or a device, which holds no lines and may never end."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise OSError(errno.EINVAL, "it is not a regular file")
