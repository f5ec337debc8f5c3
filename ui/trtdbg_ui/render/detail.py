"""Everything known about one node, as lines for the pane at the right."""

from __future__ import annotations

from collections.abc import Iterable

from trtdbg.analysis.causes import why
from trtdbg.analysis.conclusions import is_call, late_would_accept, saved_by_truncation
from trtdbg.analysis.summary import SUBGRAPHS, operator_text, subgraph_operators
from trtdbg.records import (
    Finding,
    GraphNode,
    NodeRecord,
    Source,
    ValidatorVerdict,
    Verdict,
    dtype_text,
    shape_text,
)
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.filters import wide
from trtdbg_ui.model.loaded import Loaded, ResultRows, RowSequence, SnapshotRows
from trtdbg_ui.model.pass_rows import Mark, history
from trtdbg_ui.render.damage import consequence, damage, numbers
from trtdbg_ui.render.dtypes import dtype_span, tensorrt_span
from trtdbg_ui.render.findings import code_and_name
from trtdbg_ui.render.signs import LEVEL_SIGN, MARK_TONE, MARK_WORD, VERDICT_SIGN
from trtdbg_ui.text import BLANK, Line, Span, Tone, join, line, wrap

VERDICT_SHORT = {
    Verdict.ACCEPT: ("✓ accept", Tone.GOOD),
    Verdict.REJECT: ("✗ reject", Tone.BAD),
    Verdict.CRASHED: ("! crash", Tone.BAD),
    Verdict.NOT_APPLICABLE: ("– none", Tone.WARN),
    Verdict.NOT_CHECKED: ("? -", Tone.DIM),
}
_NEIGHBOURS = 12
"""Operands or users that are listed one by one; more are only counted."""


def detail(rows: RowSequence, index: int, size: int) -> list[Line]:
    """Returns the lines about the row `index`, each at most `size` cells wide."""
    if not 0 <= index < len(rows.names):
        return [line(("nothing selected", Tone.DIM))]
    if isinstance(rows, SnapshotRows):
        return snapshot_detail(rows, index, size)
    assert isinstance(rows, ResultRows)
    return node_detail(rows.loaded, rows.nodes[index], size)


def node_detail(loaded: Loaded, node: NodeRecord, size: int) -> list[Line]:
    """Returns what the result says about a node of the lowered graph."""
    lines = head(node.name, node.op, node.target, size)
    lines += fate(loaded, node, size)
    lines += [
        BLANK,
        _dtype_line("original", dtype_span(node.original), "export promised"),
        *_recorded(node),
        _dtype_line("inferred", dtype_span(node.inferred), "nothing truncated"),
        _dtype_line("truncated", dtype_span(node.truncated), _change(node)),
        *_low(node, size),
        _dtype_line("TensorRT", tensorrt_span(node.tensorrt), ""),
        _dtype_line("shape", (shape_text(node.shape), Tone.PLAIN), ""),
        *_whence(node),
    ]
    lines += _findings(loaded.findings_of.get(node.name, ()), size)
    lines += _constant(loaded, node)
    lines += numbers(loaded, node.name, size)
    if node.verdicts:
        lines += [BLANK, *_verdict_table(node.verdicts, size)]
    lines += _subgraphs(loaded, node, size)
    lines += _source(node.source, size)
    lines += _neighbours(loaded, "operands", node.operands)
    lines += _neighbours(loaded, "users", node.users)
    if node.args:
        lines += [BLANK, line(("arguments", Tone.HEAD)), *indented(node.args, size)]
    lines += _history(loaded, node.name, node.from_node, size)
    return lines


def snapshot_detail(rows: SnapshotRows, index: int, size: int) -> list[Line]:
    """Returns what one pass did to a node."""
    row = rows.rows[index]
    node: GraphNode = row.node
    mark: Line = ()
    if row.mark.value.strip():
        tone = MARK_TONE[row.mark]
        record = rows.loaded.report.passes[rows.place]
        by = f" by pass {record.index} {record.name}"
        if rows.against is not None:
            other = rows.loaded.report.passes[rows.against]
            by = f" from pass {other.index} {other.name} to {record.index} {record.name}"
        if row.place:
            added = row.mark is Mark.ADDED
            by += f", {'in the place of' if added else 'replaced by'} {row.place}"
        mark = line((f"{row.mark.value} {MARK_WORD[row.mark]}", tone), (by, Tone.DIM))
    lines = head(node.name, node.op, node.target, size)
    lines += [
        *(wrap(mark, size, indent=2) if mark else []),
        BLANK,
        _dtype_line("before", dtype_span(row.before), "recorded"),
        _dtype_line("after", dtype_span(row.after), "recorded"),
        _dtype_line("shape", (shape_text(node.shape), Tone.PLAIN), ""),
    ]
    lines += _source(node.source, size)
    if node.operands:
        lines += [
            BLANK,
            line(("operands", Tone.HEAD)),
            *wrap(line("  ", *_links(node.operands)), size, indent=2),
        ]
    lines += _arguments(node, row.old, size)
    lines += _history(rows.loaded, node.name, node.from_node, size)
    return lines


def _arguments(node: GraphNode, old: GraphNode | None, size: int) -> list[Line]:
    """Returns the arguments after a pass, and before it where they were others."""
    if old is None or old is node or old.args == node.args:
        if not node.args:
            return []
        return [BLANK, line(("arguments", Tone.HEAD)), *indented(node.args, size)]
    return [
        BLANK,
        line(("arguments before", Tone.HEAD)),
        *indented(old.args or "none", size),
        line(("arguments after", Tone.HEAD)),
        *indented(node.args or "none", size),
    ]


def head(name: str, op: str, target: str, size: int) -> list[Line]:
    """Returns a node's name and operator."""
    operator = operator_text(target) if op.startswith("call_") else f"{op} {target}"
    return [
        *wrap(line((name, Tone.STRONG)), size),
        *wrap(line((operator, Tone.DIM)), size),
    ]


def fate(loaded: Loaded, node: NodeRecord, size: int) -> list[Line]:
    """Returns where the node runs, and why if that is not TensorRT."""
    if not is_call(node):
        return []
    verdict = VERDICT_SIGN[node.verdict]
    if node.engine is not None:
        runs = f", runs in engine E{node.engine}"
        if node.engine in loaded.failed_engines:
            sign, tone = verdict
            guilty = node.name in loaded.guilty
            verdict = sign, Tone.BAD if guilty else tone
            what = "and breaks it" if guilty else "which TensorRT refuses"
            comma = " " if guilty else ", "
            runs = f", in engine E{node.engine}{comma}{what}"
        lines = wrap(line(verdict, runs), size, indent=2)
        if saved_by_truncation(node):
            note = "refused on its original dtypes, accepted truncated"
            lines += wrap(line((note, Tone.GOOD)), size)
        return lines
    if node.name not in loaded.left:
        return wrap(line(verdict), size)
    lines = wrap(line(verdict, (", stays in PyTorch", Tone.BAD)), size, indent=2)
    refused = why(loaded.report, node)
    lines += wrap(line(refused), size, indent=2)
    lines += consequence(loaded, node, size)
    if late_would_accept(node, loaded.report.policy):
        note = "accepted on truncated dtypes: timing late would take it"
        lines += wrap(line((note, Tone.GOOD)), size, indent=2)
    return lines


def _dtype_line(title: str, value: Span, note: str) -> Line:
    noted = (f"  {note}", Tone.DIM) if note else ("", Tone.DIM)
    return line((f"{title:<10}", Tone.HEAD), value, noted)


def _whence(node: NodeRecord) -> list[Line]:
    """Returns the key that tells who made a value wide."""
    if not wide(node.inferred):
        return []
    words = (f" shows what made it {dtype_text(node.inferred)}", Tone.DIM)
    return [line((key("where-from"), Tone.KEY), words)]


def _recorded(node: NodeRecord) -> list[Line]:
    """Returns the recorded dtype where it is not what inference finds: it is stale then."""
    if node.recorded == node.inferred:
        return []
    return [_dtype_line("recorded", dtype_span(node.recorded), "▲ stale")]


def _low(node: NodeRecord, size: int) -> list[Line]:
    """Returns what the node computes in under a low precision, and why."""
    low = node.low
    if low is None:
        return []
    lines = [_dtype_line("low", dtype_span(low.dtype), low.rule.value.replace("_", " "))]
    lines += indented(low.reason, size)
    if low.upstream is not None:
        lines += indented(f"torch_tensorrt would say {low.upstream}", size)
    return lines


def _change(node: NodeRecord) -> str:
    return "same" if node.truncated == node.inferred else "◂ narrowed"


def _findings(findings: Iterable[Finding], size: int) -> list[Line]:
    lines: list[Line] = []
    for finding in findings:
        sign, tone = LEVEL_SIGN[finding.level]
        head = line((f"{sign} {code_and_name(finding.code)}", tone))
        lines += [BLANK, *wrap(head, size, indent=2), *indented(finding.message, size)]
    if lines:
        lines.append(
            line((f"  {key('explain')}", Tone.KEY), (" explains cause and cure", Tone.DIM))
        )
    return lines


def _constant(loaded: Loaded, node: NodeRecord) -> list[Line]:
    if node.constant is None:
        return []
    record = next((c for c in loaded.report.constants if c.name == node.constant), None)
    if record is None:
        return []
    return [BLANK, line(("constant", Tone.HEAD)), *damage(record)]


def _subgraphs(loaded: Loaded, node: NodeRecord, size: int) -> list[Line]:
    """Returns the operators of the graphs that a node runs, or that it stands for."""
    names = [g.name for g in loaded.report.subgraphs if node.name in (g.owner, g.name)]
    inside = [
        (path, each)
        for path, each in subgraph_operators(loaded.report)
        if any(path.startswith(f"{name}.") for name in names)
    ]
    if not names:
        return []
    lines: list[Line] = [BLANK, line(("inside", Tone.HEAD))]
    lines += wrap(line((f"  {SUBGRAPHS}", Tone.DIM)), size, indent=2)
    for path, each in inside:
        words = (f"  {path}  ", operator_text(each.target), "  ", dtype_span(each.dtype))
        lines += wrap(line(*words), size, indent=4)
    return lines


def who(record: ValidatorVerdict) -> str:
    """Returns the validator without its module, which the page of validators names."""
    name = record.validator.removeprefix("gate:")
    name = name.split(".", 1)[1] if "." in name else name
    if record.candidate is not None:
        return f"converter {record.candidate + 1}  {name}"
    return f"gate  {name}" if record.validator.startswith("gate:") else name


def _verdict_table(records: Iterable[ValidatorVerdict], size: int) -> list[Line]:
    """Returns one block per validator: who, three answers side by side, the reason beneath."""
    columns = ("original", "inferred", "truncated")
    head = "".join(f"{title:<10}" for title in columns)
    lines = [line(("verdicts", Tone.HEAD)), line((f"    {head}".rstrip(), Tone.DIM))]
    for record in records:
        scope = "" if record.scope.value == "graph" else f" ({record.scope.value})"
        lines += wrap(line((f"  {who(record)}{scope}", Tone.PLAIN)), size, indent=4)
        spans: list[Span] = [("    ", Tone.PLAIN)]
        for answer in (record.original, record.inferred, record.truncated):
            text, tone = VERDICT_SHORT[answer]
            spans.append((f"{text:<10}", tone))
        lines.append(tuple(spans))
        if record.reason:
            lines += wrap(line((f"    {record.reason}", Tone.DIM)), size, indent=4)
    lines.append(line((f"  {key('validators')}", Tone.KEY), (" shows them in full", Tone.DIM)))
    return lines


def _source(source: Source | None, size: int) -> list[Line]:
    if source is None:
        return []
    lines = [BLANK, line(("source", Tone.HEAD))]
    where = [
        part for part in (str(source) if source.file else "", source.module or "") if part
    ]
    lines += wrap(line("  " + "  ".join(where)), size, indent=2)
    if source.code:
        lines += wrap(line((f"  {source.code}", Tone.KEY)), size, indent=4)
    if source.file and str(source).rsplit(":", 1)[0] != source.file:
        lines += wrap(line((f"  {source.file}", Tone.DIM)), size, indent=2)
    return lines


def _neighbours(loaded: Loaded, title: str, names: tuple[str, ...]) -> list[Line]:
    """Returns operands or users, each with its truncated dtype and place."""
    if not names:
        return []
    lines = [BLANK, line((title, Tone.HEAD))]
    wide = max(len(name) for name in names[:_NEIGHBOURS])
    for name in names[:_NEIGHBOURS]:
        node = loaded.nodes.get(name)
        if node is None:
            lines.append(line("  ", (name, Tone.LINK)))
            continue
        place = f"E{node.engine}" if node.engine is not None else ""
        place = "PyTorch" if name in loaded.left else place
        text, tone = dtype_span(node.truncated)
        inferred = dtype_text(node.inferred)
        dtype = (text if text == inferred else f"{inferred}→{text}", tone)
        pad = " " * (wide - len(name) + 2)
        lines.append(line("  ", (name, Tone.LINK), pad, dtype, (f"  {place}", Tone.DIM)))
    if len(names) > _NEIGHBOURS:
        lines.append(line((f"  and {len(names) - _NEIGHBOURS} more", Tone.DIM)))
    return lines


def _links(names: tuple[str, ...]) -> Line:
    """Returns names to click, with commas between."""
    return join(((((name, Tone.LINK),)) for name in names), (", ", Tone.PLAIN))


def _history(loaded: Loaded, name: str, from_node: str | None, size: int) -> list[Line]:
    """Returns the passes that made and changed a node, and what it came from."""
    steps = history(loaded.report, name)
    origin = from_node if from_node and from_node != name else None
    if not steps and origin is None:
        return []
    lines = [BLANK, line(("history", Tone.HEAD))]
    if origin is not None:
        lines += wrap(line(("  came from ", Tone.DIM), origin), size, indent=4)
    for step in steps:
        record = loaded.report.passes[step.place]
        spans = [(f"  {step.mark.value} ", MARK_TONE[step.mark])]
        spans.append((f"{record.index} {record.name}", Tone.PLAIN))
        if step.before is not None or step.after is not None:
            spans += [(" ", Tone.PLAIN), dtype_span(step.before)]
            spans += [(" → ", Tone.PLAIN), dtype_span(step.after)]
        lines += wrap(tuple(spans), size, indent=4)
    return lines


def indented(text: str, size: int) -> list[Line]:
    """Returns a text two cells from the left."""
    return wrap(line(f"  {text}"), size, indent=2)
