"""The order of the node table by a column."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trtdbg.analysis.node_columns import NODE_COLUMN, SortKey, elements, natural
from trtdbg.records import (
    Finding,
    NodeError,
    NodeRecord,
    dtype_text,
)
from trtdbg_ui.model.pass_rows import SnapshotRow


def result_key(
    column: str,
    findings: Mapping[str, tuple[Finding, ...]],
    damage: Mapping[str, NodeError],
) -> Callable[[NodeRecord], SortKey] | None:
    """Returns what a column of the result orders by; None if there is no such column.

    Args:
        column: Key of the column.
        findings: Findings by node.
        damage: What truncation does to the numbers, by node.
    """
    own: dict[str, Callable[[NodeRecord], SortKey]] = {
        "mark": lambda node: (-len(findings.get(node.name, ())),),
        "findings": lambda node: (-len(findings.get(node.name, ())),),
        "error": lambda node: (_error(damage.get(node.name)),),
    }
    known = NODE_COLUMN.get(column)
    return known.order if known is not None else own.get(column)


def pass_key(column: str) -> Callable[[SnapshotRow], SortKey] | None:
    """Returns what a column of the graph after a pass orders by."""
    keys: dict[str, Callable[[SnapshotRow], SortKey]] = {
        "mark": lambda row: (row.mark.value == " ", row.mark.value),
        "name": lambda row: natural(row.node.name),
        "operator": lambda row: natural(row.node.target),
        "before": lambda row: natural(dtype_text(row.before)),
        "after": lambda row: natural(dtype_text(row.after)),
        "shape": lambda row: (elements(row.node.shape),),
        "args": lambda row: natural(row.node.args),
        "module": lambda row: natural(row.node.source.module or "" if row.node.source else ""),
        "source": lambda row: natural(str(row.node.source) if row.node.source else ""),
    }
    return keys.get(column)


def _error(error: NodeError | None) -> float:
    if error is None or error.max_rel_error is None:
        return -1.0
    return error.max_rel_error
