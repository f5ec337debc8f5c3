"""The model's source on this machine, which may have moved or changed since the export."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from trtdbg.outputs.ci.checkout import place_in
from trtdbg.plain import one_line
from trtdbg.records import LineRow

_MOST_BYTES: Final = 4 << 20
"""A larger file is no source that anyone wrote."""


def find(file: str, root: Path | None = None) -> Path | None:
    """Returns the file of this machine that an export means, None if there is none.

    It is looked for as it was recorded, below `root`, and among installed packages.

    Args:
        file: the path that the export recorded.
        root: where the sources are; None is the current folder.
    """
    if not file.endswith((".py", ".pyi")):
        return None
    base = root or Path.cwd()
    candidates = [Path(file), base / place_in(file, base)]
    _, packages, inside = file.replace("\\", "/").rpartition("/site-packages/")
    if packages:
        candidates += [Path(folder) / inside for folder in sys.path if folder]
    return next((path for path in candidates if _is_source(path)), None)


def _is_source(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size <= _MOST_BYTES
    except (OSError, ValueError):
        return False


def text(file: str, root: Path | None = None) -> list[str] | None:
    """Returns the lines of a source file, None if it is not on this machine."""
    path = find(file, root)
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None


def remarks(rows: Iterable[LineRow], root: Path | None = None) -> list[str]:
    """Returns which files are not on this machine, and which have changed since the export."""
    by_file: dict[str, list[LineRow]] = {}
    for row in rows:
        if row.file is not None and row.code is not None:
            by_file.setdefault(row.file, []).append(row)
    found = []
    for file, lines in by_file.items():
        name = one_line(file)
        now = text(file, root)
        if now is None:
            found.append(
                f"{name} is not on this machine: its lines are as the export recorded"
            )
            continue
        other = [row.line for row in lines if row.line and _differs(row, now)]
        if other:
            first = ", ".join(map(str, sorted(other)[:5]))
            more = " and more" if len(other) > 5 else ""
            noun = "line" if len(other) == 1 else "lines"
            found.append(f"{name} has changed since the export: {noun} {first}{more}")
    return found


def _differs(row: LineRow, now: list[str]) -> bool:
    if row.code is None or row.line is None:
        return False
    there = now[row.line - 1] if row.line <= len(now) else ""
    return " ".join(there.split()) != " ".join(row.code.split())
