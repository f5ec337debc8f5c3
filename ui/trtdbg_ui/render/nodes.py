"""Rows of the node table: the lowered graph with its dtypes, verdicts and engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from weakref import WeakKeyDictionary

from trtdbg.analysis.conclusions import (
    answer_on,
    is_call,
    late_would_accept,
    saved_by_truncation,
)
from trtdbg.analysis.node_columns import NODE_COLUMN
from trtdbg.analysis.summary import low_text
from trtdbg.records import (
    KEPT_RULES,
    Agreement,
    Level,
    NodeRecord,
    TypingKind,
    Verdict,
    dtype_text,
    shape_text,
)
from trtdbg_ui.model.loaded import ResultRows
from trtdbg_ui.render.columns import Column, Extent, Layout, lay_out, row_line
from trtdbg_ui.render.dtypes import dtype_span, tensorrt_span
from trtdbg_ui.render.signs import LEVEL_SIGN, VERDICT_SIGN, short_operator
from trtdbg_ui.render.view import columns, fold_span, view_line, with_arrow
from trtdbg_ui.text import Line, Span, Tone


def _column(
    key: str, *shorter: str, least: int, most: int, goes: int = 0, middle: bool = False
) -> Column:
    """Returns how a column that all outputs know behaves here."""
    titles = (NODE_COLUMN[key].title, *shorter)
    return Column(key, titles, least=least, most=most, goes=goes, middle=middle)


_PLACED = (
    Column("mark", ("",), least=1, most=1),
    Column("fold", ("",), least=5, most=5),
    _column("name", least=12, most=34, middle=True),
    _column("operator", least=11, most=30),
    _column("original", "orig.", least=7, most=15, goes=1),
    _column("recorded", "rec.", least=7, most=15, goes=4),
    _column("inferred", "infer.", least=7, most=15, goes=3),
    _column("truncated", "trunc.", least=7, most=15),
    _column("low", least=7, most=24),
    _column("dtype", least=7, most=26),
    _column("tensorrt", "TRT", least=5, most=10, goes=2),
    _column("verdict", least=11, most=14),
    _column("on_original", "on orig.", least=8, most=11),
    _column("on_truncated", "on trunc.", least=8, most=12),
    _column("engine", least=7, most=7),
    Column("error", ("rel. error", "error"), least=8, most=10, goes=5),
    Column("findings", ("findings",), least=8, most=17, goes=6),
    _column("shape", least=8, most=22, goes=11),
    _column("module", least=8, most=30, goes=7, middle=True),
    _column("source", least=8, most=24, goes=10),
)
_OTHERS = tuple(key for key in NODE_COLUMN if key not in {c.key for c in _PLACED})
"""Columns that need no more than what all outputs know of them."""

COLUMNS = (*_PLACED, *(_column(key, least=8, most=30, goes=7) for key in _OTHERS))
USUAL = (
    *("mark", "name", "operator", "original", "inferred", "truncated", "tensorrt"),
    *("verdict", "engine", "shape", "source"),
)
"""Keys of the columns that are shown unless the user chooses others."""


NARROW = tuple(
    "dtype" if key == "truncated" else key
    for key in USUAL
    if key not in ("original", "inferred")
)
"""The same for a narrow table: one cell that says what narrowing does, like `a → b`."""
WIDEST = tuple(
    each
    for key in USUAL
    for each in (("on_original", "on_truncated") if key == "verdict" else (key,))
)
"""The same for a wide table: the verdicts on both dtypes."""
_ROOM_FOR_VERDICTS = 100
"""Cells of a table from which on both verdicts are shown."""
_ROOM_FOR_THREE = 76
"""Cells of a table from which on the three dtypes have a column each."""


def usual(size: int) -> tuple[str, ...]:
    """Returns the columns of a table of `size` cells, unless the user chooses others."""
    if size < _ROOM_FOR_THREE:
        return NARROW
    return WIDEST if size >= _ROOM_FOR_VERDICTS else USUAL


def _usual(rows: ResultRows, size: int) -> tuple[str, ...]:
    """Returns the usual columns, with that of a low precision where there is one."""
    keys = usual(size)
    if not rows.loaded.report.policy.is_low:
        return keys
    before = "truncated" if "truncated" in keys else "dtype"
    place = keys.index(before) + 1
    return (*keys[:place], "low", *keys[place:])


def layout(rows: ResultRows, size: int) -> Layout:
    """Returns the columns for a table of `size` cells."""
    chosen = rows.view.columns
    shown = columns(COLUMNS, chosen or _usual(rows, size), chosen=bool(chosen))
    if not rows.view.fold:
        shown = tuple(column for column in shown if column.key != "fold")
    shown = with_arrow(shown, rows.view.sort, rows.view.descending)
    return lay_out(shown, natural_widths(rows, [column.key for column in shown]), size)


def natural_widths(rows: ResultRows, keys: Iterable[str]) -> Mapping[str, Extent]:
    """Returns how long the contents of these columns are; of each it is found out once."""
    known = _MEASURED.setdefault(rows, {})
    for key in keys:
        if key in _EXTENTS and key not in known:
            known[key] = _EXTENTS[key](rows)
    return known


_MEASURED: WeakKeyDictionary[ResultRows, dict[str, Extent]] = WeakKeyDictionary()
"""A large graph takes time to measure, and is laid out whenever the width changes."""


def _names(rows: ResultRows) -> Extent:
    # Parameters have the longest names, and nobody looks for them first.
    operators = Extent.of(len(node.name) for node in rows.nodes if is_call(node))
    return operators.beside(Extent.of(len(node.name) for node in rows.nodes))


def _dtypes(key: str) -> Callable[[ResultRows], Extent]:
    def extent(rows: ResultRows) -> Extent:
        found = {getattr(node, key) for node in rows.nodes}
        return Extent.whole(len(dtype_text(dtype)) for dtype in found)

    return extent


def _targets(rows: ResultRows) -> Extent:
    found = {(node.op, node.target) for node in rows.nodes}
    return Extent.of(len(_operator(each)) for each in found)


def _tensorrt(rows: ResultRows) -> Extent:
    found = {node.tensorrt for node in rows.nodes}
    return Extent.whole(len(tensorrt_span(dtype)[0]) for dtype in found)


def _shapes(rows: ResultRows) -> Extent:
    lengths = {shape: len(shape_text(shape)) for shape in {n.shape for n in rows.nodes}}
    return Extent.of(lengths[node.shape] for node in rows.nodes)


def _findings(rows: ResultRows) -> Extent:
    known = rows.loaded.findings_of
    found = [len(_codes(rows, node)) for node in rows.nodes if node.name in known]
    return Extent.of([0] * (len(rows.nodes) - len(found)) + found)


def _changes(rows: ResultRows) -> Extent:
    found = {(node.original, node.inferred, node.truncated): node for node in rows.nodes}
    return Extent.whole(len(NODE_COLUMN["dtype"].text(node)) for node in found.values())


def _texts(key: str) -> Callable[[ResultRows], Extent]:
    """Returns the extent of a column that says here what it says in every output."""
    return lambda rows: Extent.of(len(NODE_COLUMN[key].text(node)) for node in rows.nodes)


_EXTENTS: Mapping[str, Callable[[ResultRows], Extent]] = {
    "dtype": _changes,
    "low": _texts("low"),
    "name": _names,
    "operator": _targets,
    "original": _dtypes("original"),
    "recorded": _dtypes("recorded"),
    "inferred": _dtypes("inferred"),
    "truncated": _dtypes("truncated"),
    "tensorrt": _tensorrt,
    "findings": _findings,
    "shape": _shapes,
    "module": _texts("module"),
    "source": _texts("source"),
    **{key: _texts(key) for key in _OTHERS},
}


def row(
    rows: ResultRows, index: int, shown: Layout, switched: frozenset[str] = frozenset()
) -> Line:
    """Returns one row of the table.

    Args:
        rows: The rows.
        index: Number of the row.
        shown: The columns.
        switched: Nodes that the last switch of policy changed, which are marked.
    """
    node = rows.nodes[index]
    cells = {c.key: _CELLS[c.key](rows, node) for c, _ in shown}
    if node.name in switched and not _fails(rows, node) and "mark" in cells:
        cells["mark"] = "~", Tone.KEY
    return row_line(shown, cells)


def caption(rows: ResultRows, size: int) -> Line:
    """Returns which rows are left out and how they are ordered; nothing if all are there."""
    return view_line(rows, "", size) if not rows.view.whole or rows.view.sort else ()


def _name(rows: ResultRows, node: NodeRecord) -> Span:
    return node.name, Tone.PLAIN if is_call(node) else Tone.DIM


def _target(rows: ResultRows, node: NodeRecord) -> Span:
    return _operator((node.op, node.target)), Tone.PLAIN if is_call(node) else Tone.DIM


def _inferred(rows: ResultRows, node: NodeRecord) -> Span:
    if _agree(node):
        return _SAME
    return _unless_same(dtype_span(node.inferred), dtype_span(node.original))


def _agree(node: NodeRecord) -> bool:
    """Returns whether one cell says it all: no dtype is another one."""
    return node.original == node.inferred == node.truncated


_SAME: Span = ("=", Tone.DIM)


def _dtype(rows: ResultRows, node: NodeRecord) -> Span:
    return NODE_COLUMN["dtype"].text(node), dtype_span(node.original)[1]


def _low(rows: ResultRows, node: NodeRecord) -> Span:
    low = node.low
    kept = low is not None and low.rule in KEPT_RULES
    return low_text(node), Tone.WARN if kept else Tone.PLAIN


def _on(typing: TypingKind) -> Callable[[ResultRows, NodeRecord], Span]:
    def cell(rows: ResultRows, node: NodeRecord) -> Span:
        return _ANSWER[answer_on(node, typing)] if is_call(node) else ("", Tone.DIM)

    return cell


_ANSWER: Mapping[Verdict, Span] = {
    Verdict.ACCEPT: ("✓ yes", Tone.PLAIN),
    Verdict.REJECT: ("✗ no", Tone.BAD),
    Verdict.CRASHED: ("! crash", Tone.BAD),
    Verdict.NOT_APPLICABLE: ("– none", Tone.WARN),
    Verdict.NOT_CHECKED: ("? not asked", Tone.DIM),
}


def _recorded(rows: ResultRows, node: NodeRecord) -> Span:
    return _unless_same(dtype_span(node.recorded), dtype_span(node.original))


def _truncated(rows: ResultRows, node: NodeRecord) -> Span:
    if _agree(node):
        return _SAME
    return _unless_same(dtype_span(node.truncated), dtype_span(node.inferred))


def _verdict(rows: ResultRows, node: NodeRecord) -> Span:
    return verdict_span(rows, node) if is_call(node) else ("", Tone.DIM)


def _error(rows: ResultRows, node: NodeRecord) -> Span:
    damage = rows.loaded.damage_of.get(node.name)
    if damage is None or damage.max_rel_error is None:
        return "", Tone.DIM
    beyond = damage.agreement is Agreement.BEYOND
    return f"{damage.max_rel_error:.1e}", Tone.BAD if beyond else Tone.PLAIN


def _codes(rows: ResultRows, node: NodeRecord) -> str:
    found = rows.loaded.findings_of.get(node.name, ())
    return " ".join(dict.fromkeys(finding.code for finding in found))


def _dim(key: str) -> Callable[[ResultRows, NodeRecord], Span]:
    """Returns the cell of a column that says here what it says in every output."""
    return lambda rows, node: (NODE_COLUMN[key].text(node), Tone.DIM)


_CELLS: Mapping[str, Callable[[ResultRows, NodeRecord], Span]] = {
    "mark": lambda rows, node: _mark(rows, node),
    "fold": lambda rows, node: fold_span(rows.folding, node.name),
    "name": _name,
    "operator": _target,
    "original": lambda rows, node: dtype_span(node.original),
    "recorded": _recorded,
    "inferred": _inferred,
    "truncated": _truncated,
    "dtype": _dtype,
    "low": _low,
    "on_original": _on(TypingKind.ORIGINAL),
    "on_truncated": _on(TypingKind.TRUNCATED),
    "tensorrt": lambda rows, node: tensorrt_span(node.tensorrt),
    "verdict": _verdict,
    "engine": lambda rows, node: _engine(rows, node),
    "error": _error,
    "findings": lambda rows, node: (_codes(rows, node), Tone.WARN),
    **{key: _dim(key) for key in ("shape", "module", "source", *_OTHERS)},
}


def verdict_span(rows: ResultRows, node: NodeRecord) -> Span:
    """Returns the verdict in force, and what another typing says if that differs."""
    if node.verdict is Verdict.ACCEPT and _guilty(rows, node):
        return ("✓ but left", Tone.BAD) if node.engine is None else ("✓ but fails", Tone.BAD)
    if saved_by_truncation(node):
        return "✓ was ✗", Tone.GOOD
    if late_would_accept(node, rows.loaded.report.policy):
        return "✗ late: ✓", Tone.BAD
    if node.verdict is Verdict.NOT_APPLICABLE:
        return "– none", Tone.WARN
    return VERDICT_SIGN[node.verdict]


def _guilty(rows: ResultRows, node: NodeRecord) -> bool:
    """Returns whether a node breaks something although the validators accept it."""
    if node.name in rows.loaded.guilty:
        return True
    return _fails(rows, node)


def _fails(rows: ResultRows, node: NodeRecord) -> bool:
    found = rows.loaded.findings_of.get(node.name, ())
    return any(finding.level is Level.ERROR for finding in found)


def place_span(node: NodeRecord, left: bool, failed: frozenset[int] = frozenset()) -> Span:
    """Returns where a node runs: an engine, PyTorch, or nowhere of its own.

    Args:
        node: The node.
        left: Whether it is an operator left to PyTorch.
        failed: Engines that TensorRT refuses.
    """
    if node.engine is not None:
        fails = node.engine in failed
        return f"E{node.engine}{' ✖' if fails else ''}", Tone.BAD if fails else Tone.PLAIN
    return ("PyTorch", Tone.BAD) if left else ("", Tone.DIM)


def _engine(rows: ResultRows, node: NodeRecord) -> Span:
    """Returns where a node runs; of a folded row where all of those run that it stands for."""
    names = rows.folding.stands_for.get(node.name, ())
    nodes = [rows.loaded.nodes[name] for name in names]
    engines = [each.engine for each in nodes if each.engine is not None]
    if node.engine is None or len({node.engine, *engines}) == 1:
        loaded = rows.loaded
        return place_span(node, node.name in loaded.left, loaded.failed_engines)
    return f"{len(set(engines))} engines", Tone.PLAIN


def _mark(rows: ResultRows, node: NodeRecord) -> Span:
    findings = rows.loaded.findings_of.get(node.name)
    return LEVEL_SIGN[findings[0].level] if findings else (" ", Tone.PLAIN)


def _operator(op_and_target: tuple[str, str]) -> str:
    op, target = op_and_target
    return short_operator(target) if op.startswith("call_") else op


def _unless_same(span: Span, left: Span) -> Span:
    """Dims a dtype that only repeats the column to its left, so that a change stands out."""
    return (span[0], Tone.DIM) if span[0] == left[0] else span
