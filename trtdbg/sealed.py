"""Files of the caches: written whole, sealed with a digest, read only if they are ours."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from trtdbg import files

_logger = logging.getLogger(__name__)

_MARK: Final = b"trtdbg-cache/2\n"
_DIGEST_BYTES: Final = 32


def write(path: Path, payload: bytes) -> None:
    """Writes a file with its digest, in the place of one that exists; makes its folder.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, _MARK + hashlib.sha256(payload).digest() + payload)


def _log(text: str) -> None:
    _logger.warning("%s", text)


Say = Callable[[str], object]
"""Takes the line that says why a file is not used."""


def read(path: Path, *, say: bool = True, tell: Say = _log) -> bytes | None:
    """Returns what `write` was given; None if there is no such file, or it is not whole.

    A file that is damaged, of another version, of another user or no plain file is not used,
    and one line in the log says so.

    Args:
        path: of the file.
        say: whether anybody is told; not where the same file was just read.
        tell: takes the line; by default it goes to the log.
    """
    payload, why = _opened(path)
    if why is not None and say:
        refuse(path, why, tell)
    return payload


def refuse(path: Path, why: str, tell: Say = _log) -> None:
    """Says that a file of the cache is not used, and removes it if it is ours."""
    tell(f"{path} {why}: it is made anew")
    with contextlib.suppress(OSError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            path.unlink()


def _opened(path: Path) -> tuple[bytes | None, str | None]:
    """Returns what is in a sealed file, or why it cannot be used; neither if there is none."""
    try:
        data = _read_own(path)
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, f"cannot be read ({error.strerror or error})"
    if data is None:
        return None, "is no plain file of this user"
    head = len(_MARK) + _DIGEST_BYTES
    payload = data[head:]
    digest = hashlib.sha256(payload).digest()
    if not data.startswith(_MARK) or data[len(_MARK) : head] != digest:
        return None, "is damaged or of another version"
    return payload, None


def _read_own(path: Path) -> bytes | None:
    """Returns a file's bytes; None if it is no plain file of the user of this process."""
    # Without O_NONBLOCK a pipe in the place of the file would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return None
        return file.read()
