"""What a row says of its dtypes, compared with the dtypes that stand in it."""

from __future__ import annotations

from trtdbg.analysis.summary import is_retyped, nodes_that_matter
from trtdbg.records import Dtype, NodeRecord, Report


def outputs_of(dtype: Dtype) -> tuple[str | None, ...]:
    return dtype if isinstance(dtype, tuple) else (dtype,)


def differ(one: Dtype, other: Dtype) -> bool:
    """Says whether any output of both has two dtypes."""
    if one is None or other is None:
        return False
    return any(a != b for a, b in zip(outputs_of(one), outputs_of(other), strict=True))


def check_row(node: NodeRecord) -> None:
    """`original` has the form of the node's value, and only what differs is called retyped."""
    if node.op == "output":
        assert node.original is None
        return
    forms = {len(outputs_of(d)) for d in (node.original, node.inferred, node.truncated) if d}
    assert len(forms) <= 1, f"{node.name}: {node.original}, {node.inferred}, {node.truncated}"
    kinds = {type(d) for d in (node.original, node.inferred, node.truncated) if d}
    assert len(kinds) <= 1, f"{node.name}: {node.original}, {node.inferred}, {node.truncated}"
    changed = differ(node.original, node.inferred) or differ(node.inferred, node.truncated)
    changed |= differ(node.original, node.truncated)
    assert is_retyped(node) is changed, node.name


def check_rows(report: Report) -> None:
    """Every row says what its dtypes say."""
    for node in report.nodes:
        check_row(node)
    shown = {node.name for node in nodes_that_matter(report)}
    retyped = {n.name for n in report.nodes if is_retyped(n) and n.op != "get_attr"}
    assert retyped <= shown
