"""Keeps built engines on disk by content, so that the same engine is built once.

One file per engine, named by its fingerprint. A file appears whole or not at all, is checked
against its own digest when it is read, record included, and the engines longest unused make
room for new ones.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec
import platformdirs

from trtdbg.errors import UsageError
from trtdbg.records import BuildRecord, BuildStatus
from trtdbg.session import sealed

LIMIT_VARIABLE: Final = "TRTDBG_ENGINE_CACHE_MIB"
"""Names the environment variable that bounds the cache; 0 turns it off."""

_USUAL_MIB: Final = 2048
_SUFFIX: Final = ".engine"


class _Entry(msgspec.Struct, frozen=True):
    fingerprint: str
    build: BuildRecord
    serialized: bytes


class EngineCache:
    """Serialized engines with the record of their build, bounded in size."""

    def __init__(self) -> None:
        """Reads the bound.

        Raises:
            UsageError: the variable that bounds the cache holds no number.
        """
        self._limit = _limit()
        self._folder = Path(platformdirs.user_cache_dir("trtdbg")) / "engines"

    def find(self, fingerprint: str) -> tuple[BuildRecord, bytes] | None:
        """Returns the record and the engine built of the same; None if there is none.

        A damaged file is not used and replaced when the engine is built. The seconds in the
        record are those of the real build.
        """
        if self._limit == 0:
            return None
        path = self._path(fingerprint)
        payload = sealed.read(path)
        if payload is None:
            return None
        try:
            entry = msgspec.msgpack.decode(payload, type=_Entry)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            sealed.refuse(path, f"is unreadable ({type(error).__name__})")
            return None
        if entry.fingerprint != fingerprint:
            sealed.refuse(path, "holds another engine")
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # What was used last is dropped last.
        return msgspec.structs.replace(entry.build, cached=True), entry.serialized

    def keep(self, fingerprint: str, build: BuildRecord, serialized: bytes) -> None:
        """Writes an engine; a cache that cannot be written is no reason to stop."""
        if build.status is not BuildStatus.BUILT or len(serialized) > self._limit:
            return
        entry = _Entry(fingerprint=fingerprint, build=build, serialized=serialized)
        with contextlib.suppress(OSError):
            sealed.write(self._path(fingerprint), msgspec.msgpack.encode(entry))
            self._make_room()

    def _path(self, fingerprint: str) -> Path:
        return self._folder / f"{fingerprint}{_SUFFIX}"

    def _make_room(self) -> None:
        """Removes the engines longest unused until the rest fits the bound."""
        kept = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                kept.append((status.st_mtime_ns, status.st_size, path))
        held = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept)[:-1]:
            if held <= self._limit:
                return
            _remove(path)
            held -= size


def _limit() -> int:
    """Returns the most bytes that the cache may hold."""
    said = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not said:
        return _USUAL_MIB << 20
    if not said.isdecimal():
        raise UsageError(
            f"{LIMIT_VARIABLE}={said} is no whole number of MiB",
            remedy=f"unset it for {_USUAL_MIB}, or set 0 to keep no engines",
        )
    return int(said) << 20


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
