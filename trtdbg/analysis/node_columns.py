"""The columns of the node table: what each is called, what its cells say, what it orders by.

The terminal, pages and the UI take them from here, and add only how they look there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from trtdbg.analysis.conclusions import answer_on, is_call
from trtdbg.analysis.summary import VERDICT_WORDS, low_text, operator_text
from trtdbg.records import Dtype, NodeRecord, Shape, TypingKind, dtype_text, shape_text

SortKey = tuple[object, ...]


@dataclass(frozen=True)
class NodeColumn:
    """A column that needs only the node's own record."""

    key: str
    title: str
    text: Callable[[NodeRecord], str]
    """What a cell says; empty where there is nothing to say."""
    order: Callable[[NodeRecord], SortKey]
    """What rows are ordered by."""


def natural(text: str) -> SortKey:
    """Returns a key that orders `add_2` before `add_10`."""
    pieces = re.split(r"(\d+)", text)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces)


def used_dtypes(dtype: Dtype) -> Dtype:
    """Returns TensorRT's dtypes without those of outputs that nothing uses."""
    if isinstance(dtype, tuple):
        return tuple(name for name in dtype if name is not None) or None
    return dtype


def elements(shape: Shape) -> int:
    """Returns the number of elements, symbolic sizes counted as one; of several the first."""
    if shape is None:
        return -1
    if shape and isinstance(shape[0], tuple):
        return elements(shape[0])
    return prod(size for size in shape if isinstance(size, int))


def _in_words(
    key: str, title: str, text: Callable[[NodeRecord], str], *, of_calls: bool = False
) -> NodeColumn:
    """Returns a column that orders by what it says; if `of_calls`, other nodes come last."""
    if of_calls:
        return NodeColumn(key, title, text, lambda n: (not is_call(n), *natural(text(n))))
    return NodeColumn(key, title, text, lambda node: natural(text(node)))


def _dtype(key: str, get: Callable[[NodeRecord], Dtype], title: str = "") -> NodeColumn:
    def text(node: NodeRecord) -> str:
        dtype = get(node)
        return "" if dtype is None else dtype_text(dtype)

    return _in_words(key, title or key, text)


def _verdict(key: str, title: str, typing: TypingKind) -> NodeColumn:
    def text(node: NodeRecord) -> str:
        return VERDICT_WORDS[answer_on(node, typing)] if is_call(node) else ""

    return NodeColumn(
        key, title, text, lambda node: (not is_call(node), answer_on(node, typing).value)
    )


def _change(node: NodeRecord) -> str:
    """Returns the dtype, and what inference and truncation make of it where they differ."""
    steps = [node.original]
    for dtype in (node.inferred, node.truncated):
        if dtype != steps[-1]:
            steps.append(dtype)
    return " → ".join(dtype_text(dtype) for dtype in steps)


NODE_COLUMNS: Final = (
    _in_words("name", "node", lambda node: node.name),
    _in_words(
        "operator",
        "operator",
        lambda node: operator_text(node.target) if is_call(node) else node.op,
        of_calls=True,
    ),
    _dtype("original", lambda node: node.original),
    _dtype("recorded", lambda node: node.recorded),
    _dtype("inferred", lambda node: node.inferred),
    _dtype("truncated", lambda node: node.truncated),
    NodeColumn("low", "low", low_text, lambda node: (node.low is None, low_text(node))),
    _in_words("why", "why", lambda node: node.low.reason if node.low is not None else ""),
    NodeColumn("dtype", "dtype", _change, lambda node: natural(dtype_text(node.original))),
    _dtype("tensorrt", lambda node: used_dtypes(node.tensorrt), "TensorRT"),
    NodeColumn(
        "verdict",
        "verdict",
        lambda node: VERDICT_WORDS[node.verdict] if is_call(node) else "",
        lambda node: (not is_call(node), node.verdict.value),
    ),
    _verdict("on_original", "on original", TypingKind.ORIGINAL),
    _verdict("on_truncated", "on truncated", TypingKind.TRUNCATED),
    NodeColumn(
        "engine",
        "engine",
        lambda node: "" if node.engine is None else str(node.engine),
        lambda node: (node.engine is None, node.engine or 0),
    ),
    NodeColumn(
        "shape",
        "shape",
        lambda node: shape_text(node.shape),
        lambda node: (elements(node.shape),),
    ),
    _in_words(
        "module", "module", lambda node: node.source.module or "" if node.source else ""
    ),
    _in_words("source", "source", lambda node: str(node.source or "")),
)
"""Every column, in the order of the UI."""

NODE_COLUMN: Final = {column.key: column for column in NODE_COLUMNS}

IN_TERMINAL: Final = (
    *("name", "operator", "original", "inferred", "truncated"),
    *("low", "tensorrt", "verdict", "engine"),
)
"""Columns of `report` in a terminal; `low` only where there is a low precision."""

ON_PAGES: Final = (
    *("name", "operator", "shape", "original", "inferred", "truncated", "tensorrt"),
    *("verdict", "engine", "source", "low", "why"),
)
"""Columns of HTML and Markdown; `low` and `why` only where there is a low precision."""

_OF_LOW: Final = ("low", "why")


def shown_columns(keys: Sequence[str], nodes: Sequence[NodeRecord]) -> tuple[NodeColumn, ...]:
    """Returns columns, without those of a low precision where no node has one."""
    low = any(node.low is not None for node in nodes)
    return tuple(NODE_COLUMN[key] for key in keys if low or key not in _OF_LOW)
