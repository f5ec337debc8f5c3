"""Rows of the node table for one pass: recorded dtype before and after, changes marked."""

from __future__ import annotations

from collections.abc import Mapping

from trtdbg.outputs.summary import count, seconds_text
from trtdbg.records import GraphNode, PassRecord, dtype_text, shape_text
from trtdbg_ui.compare import Mark
from trtdbg_ui.loaded import SnapshotRows
from trtdbg_ui.render.columns import Column, Extent, Layout, lay_out, row_line
from trtdbg_ui.render.dtypes import dtype_span
from trtdbg_ui.render.signs import MARK_TONE, MARK_WORD, counts, short_operator
from trtdbg_ui.render.text import Line, Tone, line, pack

COLUMNS = (
    Column("mark", ("",), least=9, most=9),
    Column("name", ("node",), least=12, most=34, middle=True),
    Column("operator", ("operator",), least=11, most=30),
    Column("before", ("before",), least=7, most=15),
    Column("after", ("after",), least=7, most=15),
    Column("shape", ("shape",), least=8, most=22, goes=10),
    Column("args", ("arguments",), least=10, most=10, goes=2, stretch=True),
    Column("source", ("source",), least=8, most=24, goes=11),
)


def layout(rows: SnapshotRows, size: int) -> Layout:
    """Returns the columns for a table of `size` cells."""
    return lay_out(COLUMNS, natural_widths(rows), size)


def natural_widths(rows: SnapshotRows) -> Mapping[str, Extent]:
    """Returns how long the contents of each column are."""
    nodes = [r.node for r in rows.rows]
    dtypes = {d for r in rows.rows for d in (r.before, r.after)}
    dtype = Extent.whole(len(dtype_text(each)) for each in dtypes)
    return {
        "name": Extent.of(len(node.name) for node in nodes),
        "operator": Extent.of({node.target: len(_operator(node)) for node in nodes}.values()),
        "before": dtype,
        "after": dtype,
        "shape": Extent.of(len(shape_text(node.shape)) for node in nodes),
        "args": Extent.of(len(node.args) for node in nodes),
        "source": Extent.of(len(str(node.source)) for node in nodes if node.source),
    }


def row(rows: SnapshotRows, index: int, columns: Layout) -> Line:
    """Returns one row of the table; what the pass left alone is dim."""
    item = rows.rows[index]
    same = item.mark is Mark.SAME
    tone = Tone.DIM if same else MARK_TONE[item.mark]
    before, after = dtype_span(item.before), dtype_span(item.after)
    if item.mark not in (Mark.RETYPED, Mark.ADDED, Mark.REMOVED):
        before, after = (before[0], Tone.DIM), (after[0], Tone.DIM)
    return row_line(
        columns,
        {
            "mark": ("" if same else f"{item.mark.value} {MARK_WORD[item.mark]}", tone),
            "name": (item.node.name, tone),
            "operator": (_operator(item.node), Tone.DIM if same else Tone.PLAIN),
            "before": before,
            "after": after,
            "shape": (shape_text(item.node.shape), Tone.DIM),
            "args": (item.node.args, Tone.DIM),
            "source": (str(item.node.source) if item.node.source else "", Tone.DIM),
        },
    )


def caption(rows: SnapshotRows, hide_unchanged: bool, size: int) -> Line:
    """Returns which pass the table shows and what that pass did."""
    record: PassRecord = rows.loaded.report.passes[rows.place]
    did = counts(len(record.added), len(record.removed), len(record.retyped))
    parts: list[tuple[int, Line]] = [
        (0, line((f"after pass {record.index} {record.name}", Tone.STRONG))),
        (3, line((record.phase.value.replace("_", " "), Tone.DIM))),
    ]
    if record.error is not None:
        parts.append((0, line((f"✖ raised: {record.error}", Tone.BAD))))
    elif did:
        parts.append((1, did))
    elif rows.place:
        parts.append((1, line(("rewired" if record.changed else "unchanged", Tone.DIM))))
    if hide_unchanged:
        parts.append((2, line(("changes only (u)", Tone.WARN))))
    parts.append((4, line((count(record.nodes, "node"), Tone.DIM))))
    if record.seconds:
        parts.append((5, line((seconds_text(record.seconds), Tone.DIM))))
    return pack(parts, size, ("  ", Tone.PLAIN))


def _operator(node: GraphNode) -> str:
    return short_operator(node.target) if node.op.startswith("call_") else node.op
