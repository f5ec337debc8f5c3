"""Tells what kind of file a path names, before anything in it is deserialized. No torch."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from trtdbg import foreign
from trtdbg.archive.digest import LARGE, Beside
from trtdbg.errors import ModelError
from trtdbg.foreign import EXPORT, HEAD_BYTES

DAMAGED: Final = "copy or export the file again"

_LEGACY_PROGRAM: Final = "serialized_exported_program.json"
"""Written by torch up to 2.7, still read by torch 2.13."""

TRUST: Final = "--trust opens it all the same: only for files whose author you trust"

OBJECT_PREFIXES: Final = ("custom_obj_", "opaque_obj_")
"""Constants that are not tensors; torch unpickles them freely (2.13)."""

_MOST_ENTRIES: Final = 200_000

_LOCAL_HEADER_BYTES: Final = 30

_UNPACKED_FREELY: Final = 16 << 20
"""Bytes that an entry may take unpacked however small it is in the file."""

_DENSEST: Final = 20
"""Times that a larger entry may be smaller in the file. torch compresses nothing (2.13)."""

_KNOWN_ENTRIES: Final = re.compile(
    r"models/[A-Za-z_]\w*\.json"
    r"|data/(weights|constants)/(?P<owner>[A-Za-z_]\w*)_(weights|constants)_config\.json"
    r"|data/(weights|constants)/(weight|tensor|custom_obj|opaque_obj)_\d+"
    r"|data/(weights|constants|sample_inputs)/[A-Za-z_]\w*\.pt"
    r"|(extra|extra_files|executorch)/[^/].*"
    r"|\.data/(serialization_id|version)"
    r"|archive_format|archive_version|byteorder|version"
    r"|serialized_(exported_program|state_dict|constants)\.json"
    r"|serialized_(state_dict|constants|example_inputs)\.pt",
    re.ASCII,
)
"""What torch.export.save and package_pt2 write in 2.5 to 2.13, inside their folder.

torch itself reads every entry below models/, whatever it ends in (2.13).
"""

ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
)
"""What zipfile raises on an archive that is damaged, encrypted or compressed in a rare way."""


@dataclass(frozen=True)
class Archive:
    """A zip file that says of itself that it holds an exported program."""

    path: str
    sha256: str
    """Empty where `beside` reads it."""
    bytes: int
    legacy: bool
    """Written by torch 2.7 or earlier."""
    root: str
    """The folder that all entries are in, with its slash; empty in old archives."""
    entries: frozenset[str]
    """Names inside the root."""
    programs: tuple[str, ...]
    """Names of the programs in it, sorted; `model` is what torch.export.save calls its one."""
    compressed: frozenset[str]
    """Those of them that are not stored as they are."""
    beside: Beside | None = None
    """Reads the digest of a large file."""


def inspect(path: str | Path, *, trust: bool = False, digest: bool = True) -> Archive:
    """Reads a file through once and returns what is known of it without deserializing.

    Args:
        path: the file.
        trust: let pass what unpacks to far more than the file holds, and unknown entries.
        digest: whether its digest is needed; without it only a part of the file is read.

    Raises:
        ModelError: the file cannot be read, or is not what `torch.export.save` writes.
    """
    large = digest and _is_large(path)
    sha256, size, head = _read_through(path, digest=digest and not large)
    if not head:
        raise ModelError(f"{path} is empty", remedy=DAMAGED)
    if not head.startswith(b"PK"):
        raise foreign.of_head(path, head)
    root, entries, compressed = _entries(path, trust=trust)
    problem = foreign.of_entries(path, entries)
    if problem is not None:
        raise problem
    strange = sorted(name for name in entries if not _KNOWN_ENTRIES.fullmatch(name))
    if strange and not trust:
        raise ModelError(
            f"{path} is refused: it holds {strange[0]!r}, which torch.export.save does not "
            "write",
            remedy=TRUST,
        )
    _check_byte_order(path, root, entries)
    programs = tuple(
        sorted(name[len("models/") : -len(".json")] for name in entries if _is_program(name))
    )
    legacy = not programs
    if not legacy and _LEGACY_PROGRAM in entries and not trust:
        raise ModelError(
            f"{path} is refused: it holds programs of two formats, which torch.export.save "
            "does not write",
            remedy=TRUST,
        )
    return Archive(
        path=str(path),
        sha256=sha256,
        bytes=size,
        legacy=legacy,
        root=root,
        entries=entries,
        programs=programs,
        compressed=compressed,
        beside=Beside(path) if large else None,
    )


def _is_large(path: str | Path) -> bool:
    try:
        return os.stat(path).st_size >= LARGE
    except (OSError, ValueError):
        return False


def _check_byte_order(path: str | Path, root: str, entries: frozenset[str]) -> None:
    """Refuses numbers that torch would read backwards, without a word.

    Raises:
        ModelError: the archive says that it was written in another byte order.
    """
    if "byteorder" not in entries:
        return
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{root}byteorder") as file:
            order = file.read(16).decode(errors="replace").strip()
    except ZIP_ERRORS as cause:
        raise ModelError(
            f"{path} is a truncated or damaged archive ({cause})", remedy=DAMAGED
        ) from cause
    if order != sys.byteorder:
        raise ModelError(
            f"{path} was written in the byte order {order!r}, and this machine is "
            f"{sys.byteorder} endian",
            remedy="export the model again on a machine like this one",
        )


def choose_program(archive: Archive, wanted: str | None) -> str:
    """Returns the name of the program to open.

    Args:
        archive: the file.
        wanted: the user's choice; None is `model`, as torch.export.load takes it, or the only
            program.

    Raises:
        ModelError: there is no such program, or several to choose from.
    """
    names = archive.programs or ("model",)
    chosen = wanted or ("model" if "model" in names else names[0])
    if chosen not in names:
        listed = ", ".join(names)
        raise ModelError(
            f"{archive.path} holds no program {chosen!r}",
            remedy=f"name one of {listed} with --program",
        )
    if wanted is None and len(names) > 1 and chosen != "model":
        raise ModelError(
            f"{archive.path} holds several programs",
            remedy=f"name one of {', '.join(names)} with --program",
        )
    return chosen


def _is_program(name: str) -> bool:
    return name.startswith("models/") and name.endswith(".json")


def _read_through(path: str | Path, *, digest: bool) -> tuple[str, int, bytes]:
    """Returns sha256, size and the first bytes of a regular file, read as a stream."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise ModelError(f"{path} is a directory", remedy="name the .pt2 file itself")
        if not stat.S_ISREG(mode):
            raise ModelError(f"{path} is not a regular file", remedy="name a .pt2 file")
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
            if not digest:
                return "", os.fstat(file.fileno()).st_size, head
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell(), head
    except FileNotFoundError as cause:
        remedy = f"check the path, or {EXPORT}"
        raise ModelError(f"{path} does not exist", remedy=remedy) from cause
    except PermissionError as cause:
        remedy = "make it readable for this user"
        raise ModelError(f"{path} cannot be read: permission denied", remedy=remedy) from cause
    except OSError as cause:
        reason = cause.strerror or str(cause)
        raise ModelError(
            f"{path} cannot be read: {reason}", remedy="check the path"
        ) from cause
    except ValueError as cause:
        raise ModelError(f"{str(path)!r} is not a path", remedy="check the path") from cause


def _entries(path: str | Path, *, trust: bool) -> tuple[str, frozenset[str], frozenset[str]]:
    """Returns the folder that torch puts on top, if any, what is in it, what is compressed."""
    try:
        with zipfile.ZipFile(path) as opened:
            listed = opened.infolist()
            start = min((entry.header_offset for entry in listed), default=0)
            if start > 0:
                # zipfile found the directory of an archive inside this one (example inputs).
                raise zipfile.BadZipFile("its own directory is missing")
    except ZIP_ERRORS as cause:
        raise ModelError(
            f"{path} is a truncated or damaged archive ({cause})", remedy=DAMAGED
        ) from cause
    problem = structural_problem(listed)
    if problem is not None:
        raise ModelError(f"{path} is a malformed archive: {problem}", remedy=DAMAGED)
    bomb = None if trust else bomb_in(listed)
    if bomb is not None:
        raise ModelError(f"{path} is refused: {bomb}", remedy=TRUST)
    names = [entry.filename for entry in listed]
    root = foreign.root_of(names)
    compressed = {e.filename for e in listed if e.compress_type != zipfile.ZIP_STORED}
    return (
        root,
        frozenset(name.removeprefix(root) for name in names),
        frozenset(name.removeprefix(root) for name in compressed),
    )


def entries_of(archive: IO[bytes]) -> list[zipfile.ZipInfo]:
    """Returns the entries of an archive inside an archive.

    Raises:
        ValueError: it is none, or damaged.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.infolist()
    except ZIP_ERRORS as cause:
        raise ValueError(f"not a readable archive: {cause}") from cause


def structural_problem(entries: Sequence[zipfile.ZipInfo]) -> str | None:
    """Returns what no archive of torch has, and what readers may take in different ways."""
    if len(entries) > _MOST_ENTRIES:
        return f"it has {len(entries)} entries"
    seen: set[str] = set()
    for entry in entries:
        # As the file has it: zipfile cuts a name at a zero byte, and torch may not.
        name = entry.orig_filename
        if not name.isprintable() or "\\" in name:
            return f"the entry name {name!r} has characters that no entry of torch has"
        if name.startswith("/") or ".." in name.split("/"):
            return f"the entry name {name!r} leads out of the archive"
        if stat.S_ISLNK(entry.external_attr >> 16):
            return f"the entry {name!r} is a symbolic link"
        # torch finds entries without regard to case (2.13).
        if name.casefold() in seen:
            return f"two entries are called {name!r}"
        seen.add(name.casefold())
        if entry.flag_bits & 1:
            return f"the entry {name!r} is encrypted"
        if (
            entry.compress_type == zipfile.ZIP_STORED
            and entry.file_size != entry.compress_size
        ):
            return f"the entry {name!r} has two sizes"
    in_order = sorted(entries, key=lambda entry: entry.header_offset)
    for entry, following in itertools.pairwise(in_order):
        end = entry.header_offset + _LOCAL_HEADER_BYTES + entry.compress_size
        if end > following.header_offset:
            return f"the entries {entry.filename!r} and {following.filename!r} overlap"
    return None


def bomb_in(entries: Sequence[zipfile.ZipInfo]) -> str | None:
    """Returns which entry unpacks to far more than the file holds."""
    for entry in entries:
        if entry.file_size > _UNPACKED_FREELY + _DENSEST * entry.compress_size:
            return (
                f"the entry {entry.filename!r} unpacks {entry.compress_size:,} bytes to "
                f"{entry.file_size:,}"
            )
    return None
