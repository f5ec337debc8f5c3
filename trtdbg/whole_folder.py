"""A folder of output files that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_folder(folder: Path, last: str) -> Iterator[Path]:
    """Yields a folder to write into, which takes the name of `folder` when all went well.

    It stands beside `folder` until then. Into a folder that holds files already the new ones
    are moved one by one, the file named `last` at the end, and without the old one meanwhile.
    What an earlier process left beside it, killed before it was done, is removed.

    Raises:
        OSError: it cannot be written; nothing is left then.
    """
    target = Path(os.path.realpath(folder))
    made = _make_parents(target)
    try:
        _remove_unfinished(target)
        scratch = _scratch(target)
        try:
            yield scratch
            _take_place(scratch, target, last)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except BaseException:
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def _make_parents(target: Path) -> list[Path]:
    """Makes what is missing above a folder; returns it, innermost first."""
    missing = [parent for parent in target.parents if not parent.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    return missing


def _scratch(target: Path) -> Path:
    beside = target.with_name(_prefix(target) + str(os.getpid()))
    try:
        beside.mkdir()
    except OSError:
        if not target.is_dir():
            raise
        # Its parent cannot be written, as that of a mounted folder may not.
        inside = target / beside.name
        inside.mkdir()
        return inside
    return beside


def _prefix(target: Path) -> str:
    return f".{target.name[:100]}.unfinished-{re.sub(r'[^A-Za-z0-9]', '_', platform.node())}-"


def _remove_unfinished(target: Path) -> None:
    prefix = _prefix(target)
    for place in (target.parent, target):
        with contextlib.suppress(OSError):
            for name in os.listdir(place):
                pid = name.removeprefix(prefix)
                if name.startswith(prefix) and pid.isdigit() and not _is_alive(int(pid)):
                    shutil.rmtree(place / name, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    return pid != os.getpid() and os.path.exists(f"/proc/{pid}")


def _take_place(scratch: Path, target: Path, last: str) -> None:
    with contextlib.suppress(OSError):
        # In the place of an empty folder too.
        os.rename(scratch, target)
        return
    target.mkdir(exist_ok=True)
    (target / last).unlink(missing_ok=True)
    for file in sorted(scratch.iterdir(), key=lambda each: (each.name == last, each.name)):
        os.replace(file, target / file.name)
