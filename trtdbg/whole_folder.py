"""A folder of output files that appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final


@contextlib.contextmanager
def whole_folder(folder: Path, last: str) -> Iterator[Path]:
    """Yields a folder to write into, which takes the name of `folder` when all went well.

    It stands beside `folder` until then. With a folder that holds files already it changes
    places in one step, and what only the old one holds is in both before. Where the file
    system cannot do that, the new files are moved in one by one, the file named `last` at the
    end, and without the old one meanwhile. What an earlier process left beside it, killed
    before it was done, is removed.

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
    if scratch.parent != target and _changed_places(scratch, target):
        return
    (target / last).unlink(missing_ok=True)
    for file in sorted(scratch.iterdir(), key=lambda each: (each.name == last, each.name)):
        os.replace(file, target / file.name)


def _changed_places(scratch: Path, target: Path) -> bool:
    """Returns whether `target` is now what `scratch` was, with all that it held besides."""
    if target.stat().st_uid != os.geteuid() or target.is_mount():
        return False
    added: list[Path] = []
    try:
        for each in target.iterdir():
            if not os.path.lexists(scratch / each.name):
                added.append(scratch / each.name)
                _give_second_name(each, added[-1])
        shutil.copystat(target, scratch)
        os.utime(scratch)
        _exchange(scratch, target)
    except OSError:
        for path in added:
            _remove_name(path)
        return False
    return True


def _give_second_name(source: Path, name: Path) -> None:
    """Gives what a path names, a folder with all in it, a second name.

    Raises:
        OSError: the file system has no such names, or not across this border.
    """
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, name, symlinks=True, copy_function=os.link)
    else:
        os.link(source, name, follow_symlinks=False)


def _remove_name(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


_FROM_HERE: Final = -100
_CHANGE_PLACES: Final = 2


def _exchange(one: Path, other: Path) -> None:
    """Lets two folders change places in one step, which only Linux can.

    Raises:
        OSError: the C library, the kernel or the file system cannot.

    Source: renameat2(2), AT_FDCWD and RENAME_EXCHANGE of linux/fcntl.h and linux/fs.h.
    """
    import ctypes

    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    here = ctypes.c_int(_FROM_HERE)
    if renameat2(here, os.fsencode(one), here, os.fsencode(other), _CHANGE_PLACES) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
