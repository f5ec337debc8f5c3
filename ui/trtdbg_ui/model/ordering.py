"""The order of the node table by a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import prod

from trtdbg.analysis.conclusions import answer_on, is_call
from trtdbg.analysis.summary import low_text
from trtdbg.records import (
    Finding,
    NodeError,
    NodeRecord,
    Shape,
    TypingKind,
    dtype_text,
)
from trtdbg_ui.model.compare import SnapshotRow

Key = tuple[object, ...]


def result_key(
    column: str,
    findings: Mapping[str, tuple[Finding, ...]],
    damage: Mapping[str, NodeError],
) -> Callable[[NodeRecord], Key] | None:
    """Returns what a column of the result orders by; None if there is no such column.

    Args:
        column: Key of the column.
        findings: Findings by node.
        damage: What truncation does to the numbers, by node.
    """
    keys: dict[str, Callable[[NodeRecord], Key]] = {
        "mark": lambda node: (-len(findings.get(node.name, ())),),
        "findings": lambda node: (-len(findings.get(node.name, ())),),
        "name": lambda node: natural(node.name),
        "operator": lambda node: (not is_call(node), *natural(node.target)),
        "original": lambda node: natural(dtype_text(node.original)),
        "recorded": lambda node: natural(dtype_text(node.recorded)),
        "inferred": lambda node: natural(dtype_text(node.inferred)),
        "truncated": lambda node: natural(dtype_text(node.truncated)),
        "dtype": lambda node: natural(dtype_text(node.original)),
        "low": lambda node: (node.low is None, low_text(node)),
        "on_original": _answer(TypingKind.ORIGINAL),
        "on_truncated": _answer(TypingKind.TRUNCATED),
        "tensorrt": lambda node: natural(dtype_text(node.tensorrt)),
        "verdict": lambda node: (not is_call(node), node.verdict.value),
        "engine": lambda node: (node.engine is None, node.engine or 0),
        "shape": lambda node: (_size(node.shape),),
        "module": lambda node: natural(node.source.module or "" if node.source else ""),
        "source": lambda node: natural(str(node.source) if node.source else ""),
        "error": lambda node: (_error(damage.get(node.name)),),
    }
    return keys.get(column)


def pass_key(column: str) -> Callable[[SnapshotRow], Key] | None:
    """Returns what a column of the graph after a pass orders by."""
    keys: dict[str, Callable[[SnapshotRow], Key]] = {
        "mark": lambda row: (row.mark.value == " ", row.mark.value),
        "name": lambda row: natural(row.node.name),
        "operator": lambda row: natural(row.node.target),
        "before": lambda row: natural(dtype_text(row.before)),
        "after": lambda row: natural(dtype_text(row.after)),
        "shape": lambda row: (_size(row.node.shape),),
        "args": lambda row: natural(row.node.args),
        "module": lambda row: natural(row.node.source.module or "" if row.node.source else ""),
        "source": lambda row: natural(str(row.node.source) if row.node.source else ""),
    }
    return keys.get(column)


def _answer(typing: TypingKind) -> Callable[[NodeRecord], Key]:
    return lambda node: (not is_call(node), answer_on(node, typing).value)


def natural(text: str) -> Key:
    """Returns a key that orders `add_2` before `add_10`."""
    pieces = re.split(r"(\d+)", text)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces)


def _size(shape: Shape) -> int:
    """Returns the number of elements, symbolic sizes counted as one; of several the first."""
    if shape is None:
        return -1
    if shape and isinstance(shape[0], tuple):
        return _size(shape[0])
    return prod(size for size in shape if isinstance(size, int))


def _error(error: NodeError | None) -> float:
    if error is None or error.max_rel_error is None:
        return -1.0
    return error.max_rel_error
