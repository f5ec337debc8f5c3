"""Folders of the caches, and how large they may get. Free of torch.

A bound is that of an environment variable, or else the one that `trtdbg cache --bound` wrote,
or else the usual one. A bound of 0 turns a cache off.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import platformdirs

from trtdbg import sealed
from trtdbg.errors import OutputError, UsageError


@dataclass(frozen=True)
class Place:
    """One cache."""

    name: str
    """Of its folder, as the command line calls it."""
    suffix: str
    """How its files end."""
    holds: str
    """What stands in it, in a few words."""
    variable: str | None = None
    """Environment variable that bounds it, in MiB; None if it has a bound of its own."""
    usual_mib: int = 0

    @property
    def folder(self) -> Path:
        """Where its files stand, if there are any."""
        return root() / self.name

    def limit(self) -> int | None:
        """Returns the most bytes that it may hold; None if it is not bounded by size.

        Raises:
            UsageError: the variable that bounds it holds no number.
        """
        if self.variable is None:
            return None
        said = os.environ.get(self.variable, "").strip()
        if not said:
            return _written().get(self.name, self.usual_mib << 20)
        if not said.isdecimal():
            raise UsageError(
                f"{self.variable}={said} is no whole number of MiB",
                remedy=f"unset it for {self.usual_mib}, or set 0 to keep no {self.name}",
            )
        return int(said) << 20

    def files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yields its files with their status; those that vanish meanwhile are left out."""
        for path in self.folder.glob(f"*{self.suffix}"):
            with contextlib.suppress(OSError):
                yield path, path.lstat()

    def make_room(self) -> None:
        """Removes the files longest unused until the rest fits the bound."""
        limit = self.limit()
        if limit is None:
            return
        kept = sorted(
            (status.st_mtime_ns, status.st_size, path) for path, status in self.files()
        )
        held = sum(size for _, size, _ in kept)
        for _, size, path in kept[: None if limit == 0 else -1]:
            if held <= limit:
                return
            remove(path)
            held -= size

    def clear(self) -> int:
        """Removes every file and returns how many there were."""
        return sum(remove(path) for path, _ in list(self.files()))


ANALYSES: Final = Place(
    "analyses", ".report", "reports of models", "TRTDBG_ANALYSIS_CACHE_MIB", 512
)
ENGINES: Final = Place("engines", ".engine", "built engines", "TRTDBG_ENGINE_CACHE_MIB", 2048)
ANSWERS: Final = Place("probe", ".msgpack", "TensorRT's answers about single nodes")
PLACES: Final = (ANALYSES, ENGINES, ANSWERS)


def root() -> Path:
    """Returns the folder that holds all caches."""
    return Path(platformdirs.user_cache_dir("trtdbg"))


def used(path: Path) -> None:
    """Notes that a file was used: what was used last is dropped last."""
    with contextlib.suppress(OSError):
        os.utime(path)


def remove(path: Path) -> bool:
    """Returns whether a file was there and is gone."""
    try:
        path.unlink()
    except OSError:
        return False
    return True


def write_bound(place: Place, limit: int) -> None:
    """Bounds a cache from now on, and makes room in it.

    Raises:
        OutputError: the bound cannot be written.
    """
    try:
        sealed.write(_bounds(), msgspec.json.encode(_written() | {place.name: limit}))
    except OSError as error:
        raise OutputError(f"cannot write {_bounds()}: {error.strerror or error}") from error
    place.make_room()


def _bounds() -> Path:
    return root() / "bounds.json"


def _written() -> dict[str, int]:
    payload = sealed.read(_bounds(), say=False)
    if payload is None:
        return {}
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(payload, type=dict[str, int])
    return {}
