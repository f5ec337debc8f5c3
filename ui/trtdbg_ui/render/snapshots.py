"""Rows of the node table for one pass: recorded dtype before and after, changes marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from trtdbg.analysis.summary import count, seconds_text
from trtdbg.records import GraphNode, PassRecord, dtype_text, shape_text
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.loaded import SnapshotRows
from trtdbg_ui.model.pass_rows import Mark
from trtdbg_ui.render.columns import Column, Extent, Layout, lay_out, row_line
from trtdbg_ui.render.dtypes import dtype_span
from trtdbg_ui.render.signs import MARK_TONE, MARK_WORD, counts, short_operator
from trtdbg_ui.render.view import columns, fold_span, view_line, with_arrow
from trtdbg_ui.text import Line, Tone, line, pack

COLUMNS = (
    Column("mark", ("",), least=9, most=9),
    Column("fold", ("",), least=5, most=5),
    Column("name", ("node",), least=12, most=34, middle=True),
    Column("operator", ("operator",), least=11, most=30),
    Column("before", ("before",), least=7, most=15),
    Column("after", ("after",), least=7, most=15),
    Column("shape", ("shape",), least=8, most=22, goes=10),
    Column("args", ("arguments",), least=10, most=10, goes=2, stretch=True),
    Column("module", ("module",), least=8, most=30, goes=7, middle=True),
    Column("source", ("source",), least=8, most=24, goes=11),
)
USUAL = tuple(column.key for column in COLUMNS if column.key not in ("fold", "module"))
"""Keys of the columns that are shown unless the user chooses others."""


def layout(rows: SnapshotRows, size: int) -> Layout:
    """Returns the columns for a table of `size` cells."""
    view = rows.view
    shown = columns(COLUMNS, view.pass_columns or USUAL, chosen=bool(view.pass_columns))
    if not view.fold:
        shown = tuple(column for column in shown if column.key != "fold")
    return lay_out(with_arrow(shown, view.sort, view.descending), natural_widths(rows), size)


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
        "module": Extent.of(len(n.source.module or "") for n in nodes if n.source),
        "source": Extent.of(len(str(node.source)) for node in nodes if node.source),
    }


def row(rows: SnapshotRows, index: int, shown: Layout) -> Line:
    """Returns one row of the table; what the pass left alone is dim."""
    item = rows.rows[index]
    same = item.mark is Mark.SAME
    tone = Tone.DIM if same else MARK_TONE[item.mark]
    before, after = dtype_span(item.before), dtype_span(item.after)
    if item.mark not in (Mark.RETYPED, Mark.ADDED, Mark.REMOVED):
        before, after = (before[0], Tone.DIM), (after[0], Tone.DIM)
    return row_line(
        shown,
        {
            "mark": ("" if same else f"{item.mark.value} {MARK_WORD[item.mark]}", tone),
            "fold": fold_span(rows.folding, item.node.name),
            "name": (item.node.name, tone),
            "operator": (_operator(item.node), Tone.DIM if same else Tone.PLAIN),
            "before": before,
            "after": after,
            "shape": (shape_text(item.node.shape), Tone.DIM),
            "args": (item.node.args, Tone.DIM),
            "module": (item.node.source.module or "" if item.node.source else "", Tone.DIM),
            "source": (str(item.node.source) if item.node.source else "", Tone.DIM),
        },
    )


def caption(rows: SnapshotRows, hide_unchanged: bool, size: int) -> Line:
    """Returns which pass the table shows and what that pass did, or what another compares."""
    record: PassRecord = rows.loaded.report.passes[rows.place]
    parts: list[tuple[int, Line]] = [
        (0, line((f"after pass {record.index} {record.name}", Tone.STRONG))),
    ]
    if rows.against is not None:
        other = rows.loaded.report.passes[rows.against]
        title = f"against pass {other.index} {other.name}"
        parts += [(0, line((title, Tone.WARN))), (1, _difference(rows))]
    else:
        parts += _did(rows, record)
    if hide_unchanged:
        parts.append((2, line((f"changes only ({key('hide-unchanged')})", Tone.WARN))))
    if not rows.view.whole or rows.view.sort:
        parts.append((1, view_line(rows, "", size)))
    parts.append((4, line((count(record.nodes, "node"), Tone.DIM))))
    if record.seconds and rows.against is None:
        parts.append((5, line((seconds_text(record.seconds), Tone.DIM))))
    return pack([part for part in parts if part[1]], size, ("  ", Tone.PLAIN))


def _did(rows: SnapshotRows, record: PassRecord) -> list[tuple[int, Line]]:
    parts = [(3, line((record.phase.value.replace("_", " "), Tone.DIM)))]
    did = counts(len(record.added), len(record.removed), len(record.retyped))
    if record.error is not None:
        parts.append((0, line((f"✖ raised: {record.error}", Tone.BAD))))
    elif did:
        parts.append((1, did))
    elif rows.place:
        parts.append((1, line(("rewired" if record.changed else "unchanged", Tone.DIM))))
    return parts


def _difference(rows: SnapshotRows) -> Line:
    """Returns how many nodes two passes do not have in common."""
    marks = Counter(row.mark for row in rows.rows)
    found = counts(marks[Mark.ADDED], marks[Mark.REMOVED], marks[Mark.RETYPED])
    if marks[Mark.CHANGED]:
        star = (f"{' ' if found else ''}*{marks[Mark.CHANGED]}", MARK_TONE[Mark.CHANGED])
        found = (*found, star)
    return found or line(("no difference", Tone.DIM))


def _operator(node: GraphNode) -> str:
    return short_operator(node.target) if node.op.startswith("call_") else node.op
