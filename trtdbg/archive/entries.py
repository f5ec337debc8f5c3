"""Reads the entries of a vetted zip archive. Nobody else reads the file.

Two readers of one archive can see two things, so what trtdbg looked at is what it hands on.
"""

from __future__ import annotations

import contextlib
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from trtdbg.archive.container import DAMAGED, ZIP_ERRORS, Archive
from trtdbg.errors import ModelError

_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
_LOCAL_MAGIC: Final = b"PK\x03\x04"


@dataclass(frozen=True)
class Entries:
    """The open archive."""

    archive: Archive
    _zip: zipfile.ZipFile

    def __contains__(self, name: str) -> bool:
        """Returns whether there is an entry with a name inside the archive's folder."""
        return name in self.archive.entries

    def read(self, name: str) -> bytes:
        """Returns the bytes of an entry, whose checksum is right.

        Raises:
            ModelError: it is damaged.
        """
        with _intact(self.archive):
            return self._zip.read(self.archive.root + name)

    def size(self, name: str) -> int:
        """Returns how many bytes an entry holds, unpacked."""
        return self._zip.getinfo(self.archive.root + name).file_size

    def size_of(self, name: str) -> int:
        """Returns how many bytes an entry holds; 0 where there is none."""
        return self.size(name) if name in self else 0

    def offset(self, name: str) -> int | None:
        """Returns where in the file an entry's bytes begin; None if they are compressed.

        Raises:
            ModelError: the entry's own header is damaged.
        """
        if name in self.archive.compressed:
            return None
        info = self._zip.getinfo(self.archive.root + name)
        with _intact(self.archive), open(self.archive.path, "rb") as file:
            file.seek(info.header_offset)
            header = file.read(_LOCAL_HEADER.size)
            magic, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
            if magic != _LOCAL_MAGIC:
                raise ValueError(f"the entry {name!r} has no header")
            start = info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
            if start + info.file_size > self.archive.bytes:
                raise ValueError(f"the entry {name!r} is longer than the file")
        return int(start)


@contextlib.contextmanager
def opened(archive: Archive) -> Iterator[Entries]:
    """Opens an archive for reading.

    Raises:
        ModelError: it cannot be read any more.
    """
    with _intact(archive):
        reader = zipfile.ZipFile(archive.path)
    with reader:
        yield Entries(archive, reader)


@contextlib.contextmanager
def _intact(archive: Archive) -> Iterator[None]:
    """Says that an archive is damaged, whatever its reader raises inside."""
    try:
        yield
    except (*ZIP_ERRORS, KeyError) as cause:
        raise ModelError(
            f"{archive.path} is a truncated or damaged archive ({_sentence(cause)})",
            remedy=DAMAGED,
        ) from cause


def _sentence(cause: Exception) -> str:
    lines = str(cause).splitlines() or [type(cause).__name__]
    return lines[0].partition(". ")[0]
