"""Where a source file is seen from: exported on one machine, checked out on another."""

from __future__ import annotations

from pathlib import Path, PurePosixPath


def place_in(file: str, root: Path) -> str:
    """Returns a source file relative to `root` and with slashes, as it is if it is not there.

    An export records the path on the machine that made it. Of such a path the longest end that
    is a file under `root` is the same file in this checkout.
    """
    path = PurePosixPath(file.replace("\\", "/"))
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    if not _is_absolute(str(inside)):
        return str(inside)
    parts = inside.parts[1:]
    for first in range(len(parts)):
        end = PurePosixPath(*parts[first:])
        if Path(root, end).is_file():
            return str(end)
    return str(path)


def is_outside(file: str, root: Path) -> bool:
    """Returns whether a file is not in the checkout at `root`."""
    return _is_absolute(place_in(file, root))


def _is_absolute(path: str) -> bool:
    """Tells so for Windows too, `C:/model.py`."""
    return path.startswith("/") or path[1:3] == ":/"
