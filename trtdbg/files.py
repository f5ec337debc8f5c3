"""Files of the user: outputs kept unless forced and written whole, inputs of bounded size."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from trtdbg.errors import OutputError

MIB: Final = 1 << 20
_PATIENCE: Final = 10.0
"""Seconds until something must come from a pipe."""


def read_bounded(path: str | Path, most: int) -> bytes:
    """Returns what a file holds, or a pipe or device, as `<(git show main:file)` gives.

    Args:
        path: what to read.
        most: MiB that it may hold.

    Raises:
        OSError: it cannot be read, holds more, or nothing came from it in ten seconds.
    """
    # Else a pipe that nobody writes to would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            if not select.select([descriptor], [], [], _PATIENCE)[0]:
                raise OSError(errno.ETIMEDOUT, "nothing comes from it")
            os.set_blocking(descriptor, True)
        data = file.read(most * MIB + 1)
    if len(data) > most * MIB:
        raise OSError(errno.EFBIG, f"it holds more than {most} MiB")
    return data


def refuse_existing(path: str | Path, *, force: bool) -> None:
    """Checks before any work is done that `write_atomically` may write `path`.

    Raises:
        OutputError: it is a folder, its folder is missing, or it exists and `force` is off.
    """
    target = Path(path)
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise OutputError(
                f"cannot write {path}: there is no folder {target.parent}",
                remedy="create it first",
            ) from None
        return
    except OSError as error:
        raise _cannot_write(path, error) from error
    if stat.S_ISDIR(mode):
        raise OutputError(f"cannot write {path}: it is a folder", remedy="name a file in it")
    if stat.S_ISREG(mode) and not force:
        raise OutputError(f"{path} exists and is kept", remedy="pass --force to replace it")


def refuse_filled_folder(path: str | Path, *, force: bool) -> None:
    """Checks before any work is done that `path` can take files without replacing any.

    Raises:
        OutputError: it is a file, or a folder that holds something and `force` is off.
    """
    folder = Path(path)
    try:
        filled = any(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_write(path, error) from error
    if filled and not force:
        raise OutputError(
            f"the folder {path} is not empty and is kept",
            remedy="name another folder, or pass --force to replace files in it",
        )


def write_atomically(path: str | Path, data: bytes, *, force: bool = False) -> None:
    """Writes `data` to `path` through a temporary file beside it, so never a part of it.

    A device or a pipe (/dev/stdout, /dev/null) is written to, never replaced; of a symbolic
    link the file that it points to is replaced.

    Raises:
        OutputError: it exists and `force` is off, or it cannot be written.
    """
    refuse_existing(path, force=force)
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        replace(target, data)
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_into(
    folder: str | Path, files: Mapping[str, bytes], *, force: bool = False
) -> list[Path]:
    """Writes files into a folder, which is made if it is missing; returns their paths.

    Raises:
        OutputError: the folder cannot be made, or a file as in `write_atomically`.
    """
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    for name, data in files.items():
        write_atomically(place / name, data, force=force)
    return [place / name for name in files]


def replace(target: Path, data: bytes) -> None:
    """Writes a file whole or not at all, in the place of one that exists.

    Raises:
        OSError: it cannot be written.
    """
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
    # Imports OpenSSL, for which the UI's first frame should not wait.
    import secrets

    temporary = target.parent / f".trtdbg-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        with os.fdopen(_open_new(temporary), "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if not temporary.exists():
                _give_name(file.fileno(), temporary)
        os.replace(temporary, target)
    except BaseException:
        # Ctrl-C included: a temporary file is never left behind.
        temporary.unlink(missing_ok=True)
        raise


def _open_new(path: Path) -> int:
    """Opens a file to write that has no name yet, so that even kill -9 leaves nothing of it.

    Where the file system or the operating system has no such files, it gets its name at once.
    """
    nameless = getattr(os, "O_TMPFILE", None)
    if nameless is not None and os.path.isdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            return os.open(path.parent, nameless | os.O_WRONLY, 0o600)
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)


def _give_name(descriptor: int, path: Path) -> None:
    # Beside an absolute path src_dir_fd only makes Python call linkat, which follows links.
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)


def _umask() -> int:
    # The only portable way to read it is to set it.
    current = os.umask(0o022)
    os.umask(current)
    return current


def _cannot_write(path: str | Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}")
