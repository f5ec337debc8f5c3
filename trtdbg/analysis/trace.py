"""Follows a value's dtype back to the input, constant, keyword or number that made it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from trtdbg.analysis.names import find_node
from trtdbg.dtypes import is_wide, policy_dtype
from trtdbg.errors import UsageError
from trtdbg.records import Dtype, NodeRecord, Record, Report, Source

_MAKES_INT64: Final = frozenset(
    {
        "argmax",
        "argmin",
        "argsort",
        "bincount",
        "bucketize",
        "count_nonzero",
        "nonzero",
        "one_hot",
        "searchsorted",
    }
)
"""Operators whose integers are int64 whatever they read."""

_SECOND_IS_INDICES: Final = frozenset(
    {
        "cummax",
        "cummin",
        "kthvalue",
        "max",
        "max_pool2d_with_indices",
        "median",
        "min",
        "mode",
        "sort",
        "topk",
    }
)
"""Operators whose second result holds int64 indices, whatever the first one is."""

_FIRST_DECIDES: Final = frozenset(
    {
        "embedding",
        "gather",
        "index",
        "index_add",
        "index_put",
        "index_select",
        "masked_fill",
        "scatter",
        "scatter_add",
        "slice_scatter",
        "select_scatter",
        "take",
        "take_along_dim",
    }
)
"""Operators whose result has the dtype of their first operand; the others are indices."""

_FLOAT: Final = re.compile(r"(?<![\w.])-?(\d+\.\d*(e[+-]?\d+)?|\d+e[+-]?\d+|inf|nan)(?![\w.])")


class OriginKind(StrEnum):
    """What gave a value its dtype."""

    INPUT = "input"
    CONSTANT = "constant"
    KEYWORD = "keyword"
    """A dtype that is written in a call, by keyword or position."""
    SCALAR = "scalar"
    """A Python number, which takes the default dtype."""
    OPERATOR = "operator"
    """An operator that makes the dtype by itself."""


class TraceStep(Record, frozen=True, kw_only=True):
    """One node on the way back."""

    node: str
    target: str
    dtype: str
    """The dtype that is followed."""
    truncated: Dtype
    """What the policy makes of the node."""
    source: Source | None


class Trace(Record, frozen=True, kw_only=True):
    """The shortest way from a value back to what gave it its dtype."""

    steps: tuple[TraceStep, ...]
    """From the value asked about to the node where the dtype begins."""
    kind: OriginKind
    cause: str
    """`dtype=float64 is written in _to_copy (model.py:41)`."""
    others: tuple[str, ...] = ()
    """Causes on other ways, each of which would give the value the same dtype."""


_Visit = tuple[NodeRecord, str, int | None, tuple[TraceStep, ...]]
"""A node, its dtype, which of its results is meant, and the way to it."""


def trace(report: Report, name: str) -> Trace | None:
    """Returns where a value's dtype comes from, None if it holds no tensor.

    The dtypes are those without any truncation. Of several results the first wide one is
    followed, else the first. Where a value has several operands of its dtype the nearest cause
    is followed and the others are named.

    Raises:
        UsageError: the lowered graph has no such node.
    """
    nodes = {node.name: node for node in report.nodes}
    start = find_node(report, name)
    own = [d for d in _dtypes(start) if d is not None]
    if not own:
        return None
    found = list(_origins(nodes, start, next(filter(is_wide, own), own[0])))
    steps, kind, cause = found[0]
    others = dict.fromkeys(other for _, _, other in found[1:] if other != cause)
    return Trace(steps=steps, kind=kind, cause=cause, others=tuple(others))


def lines(report: Report, name: str) -> list[str]:
    """Returns a trace as text, the value first and its cause last.

    Raises:
        UsageError: there is no such node, or it holds no tensor.
    """
    found = trace(report, name)
    if found is None:
        raise UsageError(
            f"{name} holds no tensor, and so has no dtype", remedy="name another node"
        )
    rows = [
        (step.node, step.target, step.dtype, str(step.source or "")) for step in found.steps
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    text.append(f"because {found.cause}")
    text += [f"also because {other}" for other in found.others]
    return text


def _origins(
    nodes: dict[str, NodeRecord], start: NodeRecord, dtype: str
) -> Iterator[tuple[tuple[TraceStep, ...], OriginKind, str]]:
    """Yields every origin with the shortest way to it, the nearest first."""
    first: _Visit = (start, dtype, None, (_step(start, dtype),))
    waiting = deque([first])
    seen: set[tuple[str, int | None]] = {(start.name, None)}
    while waiting:
        node, dtype, index, steps = waiting.popleft()
        origin = _own_cause(node, dtype, index)
        carriers = [] if origin else list(_carriers(nodes, node, dtype))
        if not carriers:
            kind, cause = origin or _made_here(nodes, node, dtype)
            yield steps, kind, f"{cause}{_place(node)}"
            continue
        for operand, carried in carriers:
            place = _index_taken(node)
            if (operand.name, place) not in seen:
                seen.add((operand.name, place))
                waiting.append((operand, carried, place, (*steps, _step(operand, carried))))


def _own_cause(
    node: NodeRecord, dtype: str, index: int | None
) -> tuple[OriginKind, str] | None:
    """Returns why a node has a dtype whatever it reads, None if that depends on that."""
    if node.op == "placeholder":
        return OriginKind.INPUT, f"program input {node.name} is {dtype}"
    if node.op == "get_attr":
        return OriginKind.CONSTANT, f"constant {node.constant or node.target} is {dtype}"
    written = node.dtype_argument
    if written is not None and policy_dtype(written) == policy_dtype(dtype):
        return OriginKind.KEYWORD, f"dtype={written} is written in {node.name}"
    if dtype == "int64" and (
        _base(node) in _MAKES_INT64 or (index == 1 and _base(node) in _SECOND_IS_INDICES)
    ):
        return OriginKind.OPERATOR, f"{node.target} always makes {dtype}"
    return None


def _made_here(
    nodes: dict[str, NodeRecord], node: NodeRecord, dtype: str
) -> tuple[OriginKind, str]:
    """Returns what gives a node a dtype that nothing it reads has."""
    reads = [d for o in node.operands if o in nodes for d in _dtypes(nodes[o]) if d]
    number = _FLOAT.search(node.args)
    if number is not None and _is_default(dtype, reads):
        return (
            OriginKind.SCALAR,
            f"the number {number[0]} in {node.name} takes the default dtype {dtype}",
        )
    if not reads:
        return OriginKind.SCALAR, f"{node.name} makes {dtype} by default ({node.target})"
    return (
        OriginKind.OPERATOR,
        f"{node.target} makes {dtype} from {', '.join(dict.fromkeys(reads))} in {node.name}",
    )


def _is_default(dtype: str, reads: list[str]) -> bool:
    """Returns whether a number written in a call can have given its result a dtype."""
    if policy_dtype(dtype) == "float64":
        return True
    return dtype == "float32" and not any(re.search("float|complex", each) for each in reads)


def _carriers(
    nodes: dict[str, NodeRecord], node: NodeRecord, dtype: str
) -> Iterator[tuple[NodeRecord, str]]:
    """Yields the operands that a node has its dtype from, with theirs."""
    operands = [nodes[name] for name in node.operands if name in nodes]
    if _base(node) in _FIRST_DECIDES:
        operands = operands[:1]
    for operand in operands:
        for own in _dtypes(operand):
            if own is not None and policy_dtype(own) == policy_dtype(dtype):
                yield operand, own
                break


def _index_taken(node: NodeRecord) -> int | None:
    """Returns which result of its operand a `getitem` takes."""
    last = node.args.rsplit(", ", 1)[-1]
    return int(last) if node.target == "operator.getitem" and last.isdigit() else None


def _base(node: NodeRecord) -> str:
    """Returns an operator's name without namespace and overload."""
    parts = node.target.split(".")
    return parts[1] if len(parts) > 1 else node.target


def _dtypes(node: NodeRecord) -> tuple[str | None, ...]:
    dtype = node.inferred or node.original or node.recorded
    return dtype if isinstance(dtype, tuple) else (dtype,) if dtype is not None else ()


def _step(node: NodeRecord, dtype: str) -> TraceStep:
    return TraceStep(
        node=node.name,
        target=node.target if node.op.startswith("call_") else node.op,
        dtype=dtype,
        truncated=node.truncated,
        source=node.source,
    )


def _place(node: NodeRecord) -> str:
    place = str(node.source or "")
    return f" ({place})" if place and node.op == "call_function" else ""
