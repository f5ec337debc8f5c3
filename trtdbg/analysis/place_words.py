"""Lines and modules of a model as rows of words, which all outputs show alike."""

from __future__ import annotations

from collections.abc import Sequence

from trtdbg.analysis.summary import count
from trtdbg.records import LineRow, ModuleRow, Sums

WITHOUT_LINE = "inputs, constants and what has no line"

SUM_COLUMNS = (
    "operators",
    "engines",
    "PyTorch",
    "refused",
    "casts",
    "dtypes",
    "error",
    "engine ms",
)
"""Titles of what `sums` returns."""


def sums(row: Sums) -> tuple[str, ...]:
    """Returns the sums of a row as cells, a blank one where there is nothing."""
    share = row.error_share
    return (
        str(row.operators or ""),
        ranges(row.engines),
        str(row.torch_ops or ""),
        str(row.refused or ""),
        str(row.casts or ""),
        ", ".join(f"{each.values} {each.dtype}" for each in row.dtypes),
        "" if not share else f"{share:.1%}" if share >= 0.001 else "<0.1%",
        "" if row.engine_ms is None else f"{row.engine_ms:.3g}",
    )


def line_name(row: LineRow) -> str:
    """Returns `model.py:41`, or that these nodes have no line."""
    if row.file is None:
        return WITHOUT_LINE
    name = row.file.replace("\\", "/").rsplit("/", 1)[-1]
    return name if row.line is None else f"{name}:{row.line}"


def module_name(row: ModuleRow) -> str:
    """Returns a module's path, or `24x layers.[0-23]` of blocks that are alike."""
    if not row.path:
        return "(model)"
    if len(row.stands_for) == 1:
        return row.path
    return f"{len(row.stands_for)}x {_common(row.stands_for)}"


def short_name(row: ModuleRow) -> str:
    """Returns the last part of a module's name, under a row that has the rest."""
    if not row.path:
        return module_name(row)
    last = _step([path.rpartition(".")[2] for path in row.stands_for])
    many = len(row.stands_for)
    return last if many == 1 else f"{many}x {last}"


def sentence(row: Sums) -> str:
    """Returns the sums of a row in one sentence, what costs first."""
    *_, dtypes, share, ms = sums(row)
    parts = [
        f"{row.torch_ops} in PyTorch" if row.torch_ops else "",
        f"{row.refused} refused" if row.refused else "",
        count(row.casts, "cast") if row.casts else "",
        f"{share} of the error" if share else "",
        count(row.operators, "operator") if row.operators else "",
        f"engine{'s' if len(row.engines) > 1 else ''} {ranges(row.engines)}"
        if row.engines
        else "",
        dtypes,
        f"engines of its own take {ms} ms" if ms else "",
    ]
    return ", ".join(filter(None, parts))


def _common(paths: Sequence[str]) -> str:
    """Returns one path for several, with what differs in them in brackets."""
    columns = list(zip(*(path.split(".") for path in paths), strict=True))
    return ".".join(_step(column) for column in columns)


def _step(names: Sequence[str]) -> str:
    different = sorted(set(names), key=lambda name: (len(name), name))
    if len(different) == 1:
        return different[0]
    numbers = all(name.isdecimal() for name in different)
    return f"[{ranges(list(map(int, different))) if numbers else ', '.join(different)}]"


def ranges(numbers: Sequence[int]) -> str:
    """Returns `0-3, 5` for 0, 1, 2, 3, 5."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)
