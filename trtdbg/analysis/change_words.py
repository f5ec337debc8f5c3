"""What changed between two analyses, as plain lines."""

from __future__ import annotations

from collections.abc import Iterator

from trtdbg.analysis import cause_lines
from trtdbg.analysis.changes import is_same
from trtdbg.analysis.summary import VERDICT_WORDS, base_name, count, operator_text
from trtdbg.plain import one_line
from trtdbg.records import (
    Cause,
    NodeChange,
    NodeChangeKind,
    Verdict,
    WhatChanged,
    dtype_text,
    shape_text,
)

_NAMED = 3
"""Nodes that a line names before the rest is only counted."""

_COUNTS = (
    ("engines", "engine"),
    ("torch_ops", "operator left to PyTorch"),
    ("boundary_casts", "boundary cast"),
    ("failed_builds", "engine that does not build"),
)

_PLURALS = {
    "operator left to PyTorch": "operators left to PyTorch",
    "engine that does not build": "engines that do not build",
}


def lines(changed: WhatChanged) -> list[str]:
    """Returns what changed, what matters most first."""
    found = [*_partition(changed)]
    found += [f"{each.name}: {each.before} → {each.after}" for each in changed.versions]
    found += [f"{each.name}: {each.before} → {each.after}" for each in changed.policy]
    found += [_cause("cause gone", cause) for cause in changed.causes_gone]
    found += [_cause("cause new", cause) for cause in changed.causes_new]
    for each in changed.causes_changed:
        places = f"{each.before} → {each.after} places"
        found.append(_cause(f"cause, {places}", each.cause))
    for line in changed.lines:
        where = base_name(line.file) + (f":{line.line}" if line.line is not None else "")
        found.append(f"line {where}: {line.before.strip()} → {line.after.strip()}")
    found += _nodes(changed.nodes)
    if is_same(changed):
        found.insert(0, "nothing changed in engines, causes or nodes")
    return [one_line(text) for text in found]


def _partition(changed: WhatChanged) -> Iterator[str]:
    ended = changed.ended
    if ended is not None and ended.before != ended.after:
        yield (
            f"no engines any more: {ended.after}"
            if ended.after
            else f"analysed to the end again; before: {ended.before}"
        )
    parts = []
    for field, noun in _COUNTS:
        before, after = getattr(changed, field)
        if before != after:
            plural = _PLURALS.get(noun)
            many = f"{before} {plural}" if plural and before != 1 else count(before, noun)
            parts.append(f"{many.replace('no ', '0 ', 1)} → {after}")
    if parts:
        yield ", ".join(parts)


def _cause(what: str, cause: Cause) -> str:
    return f"{what}: {cause_lines.heading(cause)}: {cause.reason}"


def _nodes(nodes: tuple[NodeChange, ...]) -> Iterator[str]:
    """Yields a line for all nodes to which the same happened."""
    for kind in NodeChangeKind:
        groups: dict[str, list[NodeChange]] = {}
        for node in nodes:
            if kind in node.kinds:
                groups.setdefault(_happened(kind, node), []).append(node)
        for what, group in groups.items():
            yield f"{what}: {_places(group)}"


def _happened(kind: NodeChangeKind, node: NodeChange) -> str:
    called = node.op.startswith("call_")
    what = operator_text(node.target) if called else node.op.replace("_", " ")
    match kind:
        case NodeChangeKind.ADDED | NodeChangeKind.REMOVED:
            return f"{kind.value} {what}"
        case NodeChangeKind.RETYPED:
            return f"dtype {dtype_text(node.dtype_before)} → {dtype_text(node.dtype_after)}"
        case NodeChangeKind.RESHAPED:
            return f"shape {shape_text(node.shape_before)} → {shape_text(node.shape_after)}"
        case NodeChangeKind.NARROWED_OTHERWISE:
            dtypes = dtype_text(node.dtype_before), dtype_text(node.dtype_after)
            return f"truncated dtype {dtypes[0]} → {dtypes[1]}"
        case NodeChangeKind.TURNED:
            verdicts = node.verdict_before, node.verdict_after
            words = [VERDICT_WORDS[each or Verdict.NOT_CHECKED] for each in verdicts]
            return f"verdict {words[0]} → {words[1]}"
        case NodeChangeKind.MOVED_IN:
            return "now in an engine"
        case NodeChangeKind.MOVED_OUT:
            return "now in PyTorch"
        case NodeChangeKind.RENAMED_MODULE:
            return (
                f"module {node.module_before or '(model)'} → {node.module_after or '(model)'}"
            )


def _places(group: list[NodeChange]) -> str:
    named = [
        f"{node.name} ({node.source})" if str(node.source or "") else node.name
        for node in group[:_NAMED]
    ]
    rest = len(group) - len(named)
    many = f"{len(group)} nodes, " if len(group) > 1 else ""
    return f"{many}{', '.join(named)}{f' and {rest} more' if rest else ''}"
