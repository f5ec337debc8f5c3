"""Rows of the node table: the lowered graph with its dtypes, verdicts and engines."""

from __future__ import annotations

from collections.abc import Mapping

from trtdbg.records import NodeRecord, Verdict, dtype_text, shape_text
from trtdbg_ui.judged import judged, late_would_accept, saved_by_truncation
from trtdbg_ui.loaded import ResultRows
from trtdbg_ui.render.columns import Column, Extent, Layout, lay_out, row_line
from trtdbg_ui.render.dtypes import dtype_span, tensorrt_span
from trtdbg_ui.render.signs import LEVEL_SIGN, VERDICT_SIGN, short_operator
from trtdbg_ui.render.text import Line, Span, Tone

COLUMNS = (
    Column("mark", ("",), least=1, most=1),
    Column("name", ("node",), least=12, most=34, middle=True),
    Column("operator", ("operator",), least=11, most=30),
    Column("original", ("original", "orig."), least=7, most=15, goes=1),
    Column("inferred", ("inferred", "infer."), least=7, most=15, goes=3),
    Column("truncated", ("truncated", "trunc."), least=7, most=15),
    Column("tensorrt", ("TensorRT", "TRT"), least=5, most=10, goes=2),
    Column("verdict", ("verdict",), least=8, most=14),
    Column("engine", ("engine",), least=7, most=7),
    Column("shape", ("shape",), least=8, most=22, goes=11),
    Column("source", ("source",), least=8, most=24, goes=10),
)


def layout(rows: ResultRows, size: int) -> Layout:
    """Returns the columns for a table of `size` cells."""
    return lay_out(COLUMNS, natural_widths(rows), size)


def natural_widths(rows: ResultRows) -> Mapping[str, Extent]:
    """Returns how long the contents of each column are."""
    nodes = rows.nodes

    def dtypes(key: str) -> Extent:
        return Extent.whole(len(dtype_text(d)) for d in {getattr(n, key) for n in nodes})

    operators = Extent.of(len(node.name) for node in nodes if judged(node))
    targets = {(node.op, node.target) for node in nodes}
    tensorrt = {node.tensorrt for node in nodes}
    return {
        # Parameters have the longest names, and nobody looks for them first.
        "name": operators.beside(Extent.of(len(node.name) for node in nodes)),
        "operator": Extent.of(len(_operator(each)) for each in targets),
        "original": dtypes("original"),
        "inferred": dtypes("inferred"),
        "truncated": dtypes("truncated"),
        "tensorrt": Extent.whole(len(tensorrt_span(dtype)[0]) for dtype in tensorrt),
        "shape": Extent.of(len(shape_text(node.shape)) for node in nodes),
        "source": Extent.of(len(str(node.source)) for node in nodes if node.source),
    }


def row(rows: ResultRows, index: int, columns: Layout) -> Line:
    """Returns one row of the table."""
    node = rows.nodes[index]
    loaded = rows.loaded
    operator = judged(node)
    left = node.name in loaded.left
    original, inferred, truncated = (
        dtype_span(dtype) for dtype in (node.original, node.inferred, node.truncated)
    )
    return row_line(
        columns,
        {
            "mark": _mark(rows, node),
            "name": (node.name, Tone.PLAIN if operator else Tone.DIM),
            "operator": (
                _operator((node.op, node.target)),
                Tone.PLAIN if operator else Tone.DIM,
            ),
            "original": original,
            "inferred": _unless_same(inferred, original),
            "truncated": _unless_same(truncated, inferred),
            "tensorrt": tensorrt_span(node.tensorrt),
            "verdict": verdict_span(rows, node) if operator else ("", Tone.DIM),
            "engine": place_span(node, left),
            "shape": (shape_text(node.shape), Tone.DIM),
            "source": (str(node.source) if node.source else "", Tone.DIM),
        },
    )


def verdict_span(rows: ResultRows, node: NodeRecord) -> Span:
    """Returns the verdict in force, and what another typing says if that differs."""
    if saved_by_truncation(node):
        return "✓ was ✗", Tone.GOOD
    if late_would_accept(node, rows.loaded.report):
        return "✗ late ✓", Tone.BAD
    if node.verdict is Verdict.NOT_APPLICABLE:
        return "– none", Tone.WARN
    return VERDICT_SIGN[node.verdict]


def place_span(node: NodeRecord, left: bool) -> Span:
    """Returns where a node runs: an engine, PyTorch, or nowhere of its own."""
    if node.engine is not None:
        return f"E{node.engine}", Tone.PLAIN
    return ("PyTorch", Tone.BAD) if left else ("", Tone.DIM)


def _mark(rows: ResultRows, node: NodeRecord) -> Span:
    findings = rows.loaded.findings_of.get(node.name)
    return LEVEL_SIGN[findings[0].level] if findings else (" ", Tone.PLAIN)


def _operator(op_and_target: tuple[str, str]) -> str:
    op, target = op_and_target
    return short_operator(target) if op.startswith("call_") else op


def _unless_same(span: Span, left: Span) -> Span:
    """Dims a dtype that only repeats the column to its left, so that a change stands out."""
    return (span[0], Tone.DIM) if span[0] == left[0] else span
