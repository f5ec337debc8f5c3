"""Digests of files, remembered by what the file system says of them.

A file of some gigabytes is read once. It is taken for unchanged while device, inode, size and
both times (of its content, and of its status, which nobody can set back) are the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from pathlib import Path
from typing import Final

import msgspec

from trtdbg import sealed
from trtdbg.cache import folders

MOST: Final = 4000
"""Files whose digest is remembered; the oldest are forgotten first."""

_TICK_NS: Final = 2_000_000_000
"""Longest step of a file system's clock. A file that changed less than a step ago can change
again and keep its times, so its digest is not remembered."""


class FileState(msgspec.Struct, frozen=True, array_like=True):
    """What the file system says of a file."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class _Known(msgspec.Struct, frozen=True, array_like=True):
    state: FileState
    sha256: str


def state_of(path: str) -> FileState | None:
    """Returns the state of a regular file; None if it is none, or cannot be seen."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return _state(status) if stat.S_ISREG(status.st_mode) else None


def sha256(path: str, state: FileState) -> str | None:
    """Returns the digest of a file in a state, read if it is not known; None if it changed."""
    known = known_sha256(state)
    if known is not None:
        return known
    began = time.time_ns()
    try:
        with open(path, "rb", buffering=0) as file:
            if _state(os.fstat(file.fileno())) != state:
                return None
            made = hashlib.file_digest(file, "sha256").hexdigest()
            if _state(os.fstat(file.fileno())) != state:
                return None
    except OSError:
        return None
    remember(state, made, began)
    return made


def known_sha256(state: FileState) -> str | None:
    """Returns the digest of a file in a state, if it is remembered."""
    return next((each.sha256 for each in _read() if each.state == state), None)


def remember(state: FileState, digest: str, seen_ns: int) -> None:
    """Remembers the digest of a file.

    Args:
        state: of the file, when it was read and still afterwards.
        digest: SHA-256 as hexadecimal digits.
        seen_ns: when reading began, in nanoseconds since 1970.
    """
    if max(state.mtime_ns, state.ctime_ns) + _TICK_NS > seen_ns:
        return
    same = (state.device, state.inode)
    known = [each for each in _read() if (each.state.device, each.state.inode) != same]
    known.append(_Known(state, digest))
    with contextlib.suppress(OSError):
        sealed.write(_path(), msgspec.msgpack.encode(known[-MOST:]))


def _read() -> list[_Known]:
    payload = sealed.read(_path(), say=False)
    if payload is not None:
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.msgpack.decode(payload, type=list[_Known])
    return []


def _state(status: os.stat_result) -> FileState:
    return FileState(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def _path() -> Path:
    return folders.root() / "contents.msgpack"
