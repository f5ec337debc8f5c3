"""Keeps built engines on disk by content, so that the same engine is built once.

One file per engine, named by its fingerprint. A file appears whole or not at all, is checked
against its own digest when it is read, record included, and the engines longest unused make
room for new ones.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from trtdbg import sealed
from trtdbg.cache.folders import ENGINES, used
from trtdbg.records import BuildRecord, BuildStatus


class _EngineEntry(msgspec.Struct, frozen=True):
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
        self._limit = ENGINES.limit() or 0

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
            entry = msgspec.msgpack.decode(payload, type=_EngineEntry)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            sealed.refuse(path, f"is unreadable ({type(error).__name__})")
            return None
        if entry.fingerprint != fingerprint:
            sealed.refuse(path, "holds another engine")
            return None
        used(path)
        return msgspec.structs.replace(entry.build, cached=True), entry.serialized

    def keep(self, fingerprint: str, build: BuildRecord, serialized: bytes) -> None:
        """Writes an engine; a cache that cannot be written is no reason to stop."""
        if build.status is not BuildStatus.BUILT or len(serialized) > self._limit:
            return
        entry = _EngineEntry(fingerprint=fingerprint, build=build, serialized=serialized)
        with contextlib.suppress(OSError):
            sealed.write(self._path(fingerprint), msgspec.msgpack.encode(entry))
            ENGINES.make_room()

    def _path(self, fingerprint: str) -> Path:
        return ENGINES.folder / f"{fingerprint}{ENGINES.suffix}"
