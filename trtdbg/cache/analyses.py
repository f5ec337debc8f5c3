"""Keeps answers on disk by content: one sealed file an answer, bounded in size.

A file is named by the digest of all that its answer depends on. It appears whole or not at
all, is read only if it is this user's and holds exactly what was written, and what was used
longest ago makes room for what is new.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from trtdbg import sealed
from trtdbg.cache import contents
from trtdbg.cache.folders import ANALYSES, used
from trtdbg.cache.keys import Key, key_of
from trtdbg.plain import readable_path
from trtdbg.records import Report
from trtdbg.worker.messages import Ask, Log

_NAMED = 32
"""Hexadecimal digits of the key in the name of a file; the file holds all of them."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    rest: str
    sha256: str
    made: float
    logs: tuple[Log, ...]
    report: bytes
    """As msgpack, which keeps what JSON has no number for."""


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that was made before."""

    report: Report
    made: float
    """When, in seconds since 1970."""
    logs: tuple[Log, ...]
    """What was said of this machine when it was made, and would be said again."""


def may_hold(key: Key) -> bool:
    """Returns whether there is an answer for a file of that size; the file is not read."""
    return ANALYSES.limit() != 0 and any(True for _ in ANALYSES.folder.glob(_name(key, "*")))


def known(request: Ask) -> Report | None:
    """Returns the answer that is kept for a request, silently None if there is none."""
    try:
        key = key_of(request)
        found = find(key, lambda text: None) if key is not None else None
    except OSError:
        return None
    return found.report if found is not None else None


def find(key: Key, tell: Callable[[str], object]) -> KeptAnswer | None:
    """Returns the answer that is kept under a key; None if there is none.

    Args:
        key: what is asked, of which file.
        tell: takes the line that says why a file of the cache is not used.
    """
    if not may_hold(key):
        return None
    sha256 = contents.sha256(key.path, key.file)
    if sha256 is None:
        return None
    path = file_of(key, sha256)
    payload = sealed.read(path, tell=tell)
    if payload is None:
        return None
    try:
        entry = msgspec.msgpack.decode(payload, type=_Entry)
        report = msgspec.msgpack.decode(entry.report, type=Report)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        sealed.refuse(path, f"is unreadable ({type(error).__name__})", tell)
        return None
    if (entry.rest, entry.sha256, report.model.sha256) != (key.rest, sha256, sha256):
        sealed.refuse(path, "holds another analysis", tell)
        return None
    used(path)
    model = msgspec.structs.replace(report.model, path=readable_path(key.path))
    report = msgspec.structs.replace(report, model=model)
    return KeptAnswer(report=report, made=entry.made, logs=entry.logs)


def keep(key: Key, report: Report, logs: tuple[Log, ...], asked_ns: int) -> None:
    """Writes an answer; a cache that cannot be written is no reason to stop.

    Args:
        key: of what was asked, which must hold still.
        report: the answer; whatever in it the key does not decide must not be there.
        logs: what was said of this machine.
        asked_ns: when it was asked, in nanoseconds since 1970.
    """
    limit = ANALYSES.limit() or 0
    entry = _Entry(
        rest=key.rest,
        sha256=report.model.sha256,
        made=time.time(),
        logs=logs,
        report=msgspec.msgpack.encode(report),
    )
    if len(entry.report) > limit:
        return
    contents.remember(key.file, report.model.sha256, asked_ns)
    with contextlib.suppress(OSError):
        path = file_of(key, report.model.sha256)
        sealed.write(path, msgspec.msgpack.encode(entry))
        ANALYSES.make_room()


def file_of(key: Key, sha256: str) -> Path:
    """Returns the file that holds the answer of a key, for an archive with a digest."""
    return ANALYSES.folder / _name(key, sha256)


def _name(key: Key, sha256: str) -> str:
    return f"{key.rest[:_NAMED]}-{key.file.size:x}-{sha256}{ANALYSES.suffix}"
