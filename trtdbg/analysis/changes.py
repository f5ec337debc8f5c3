"""What changed between two analyses: versions, partition, causes, nodes, lines.

Nodes are the same node where they stand in the same place of the graph, by operator, module
and source line; else by name; else by the node of the export that they come from; else by
their line in a module that was renamed. Lowering numbers names anew when an operator is put in
front of them, so a name alone does not say that two nodes are the same.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from difflib import SequenceMatcher

import msgspec

from trtdbg.analysis.causes import derive
from trtdbg.analysis.summary import broken_end
from trtdbg.policy import changed_settings
from trtdbg.records import (
    Before,
    BuildStatus,
    Cause,
    CauseChange,
    LineChange,
    NodeChange,
    NodeChangeKind,
    NodeRecord,
    Report,
    Shape,
    WhatChanged,
    dtype_text,
)


def what_changed(
    before: Report, after: Report, names: tuple[str, str] | None = None
) -> WhatChanged:
    """Returns what is not the same in two analyses.

    Args:
        before: the earlier analysis.
        after: the later one.
        names: what to call them; None takes the paths of their models.
    """
    called = names or (before.model.path, after.model.path)
    pairs = matches(before.nodes, after.nodes)
    gone, new, changed = _causes(before, after)
    ends = broken_end(before) or "", broken_end(after) or ""
    return WhatChanged(
        before=called[0],
        after=called[1],
        versions=tuple(_versions(before, after)),
        policy=tuple(_policy(before, after)),
        ended=Before(name="ended", before=ends[0], after=ends[1]) if any(ends) else None,
        engines=(len(before.engines), len(after.engines)),
        torch_ops=(len(before.torch_ops), len(after.torch_ops)),
        boundary_casts=(len(before.boundary_casts), len(after.boundary_casts)),
        failed_builds=(_failed(before), _failed(after)),
        causes_gone=gone,
        causes_new=new,
        causes_changed=changed,
        nodes=tuple(_nodes(before, after, pairs)),
        lines=tuple(_lines(pairs)),
        matched=len(pairs),
    )


def is_same(changed: WhatChanged) -> bool:
    """Returns whether two analyses say the same, versions and policy aside."""
    pairs = (
        changed.engines,
        changed.torch_ops,
        changed.boundary_casts,
        changed.failed_builds,
    )
    return (
        all(one == other for one, other in pairs)
        and not (changed.causes_gone or changed.causes_new or changed.causes_changed)
        and not changed.nodes
        and (changed.ended is None or changed.ended.before == changed.ended.after)
    )


def _versions(before: Report, after: Report) -> Iterator[Before]:
    one, other = before.environment, after.environment
    fields = ("trtdbg", "torch", "torch_tensorrt", "tensorrt", "flavour", "python")
    for name in fields:
        yield from _differing(name, getattr(one, name), getattr(other, name))
    gpus = [each.gpu.name if each.gpu else None for each in (one, other)]
    yield from _differing("gpu", *gpus)


def _policy(before: Report, after: Report) -> Iterator[Before]:
    for name in before.policy.__struct_fields__:
        pair = getattr(before.policy, name), getattr(after.policy, name)
        yield from _differing(name, *pair)
    fields = dict.fromkeys(
        (*changed_settings(before.settings), *changed_settings(after.settings))
    )
    plain = ("min_block_size", "partitioner", "torch_executed_ops")
    for name in dict.fromkeys((*plain, *fields)):
        pair = getattr(before.settings, name, None), getattr(after.settings, name, None)
        yield from _differing(name, *pair)


def _differing(name: str, before: object, after: object) -> Iterator[Before]:
    if before != after:
        yield Before(name=name, before=_word(before), after=_word(after))


def _word(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return " and ".join(map(_word, value)) or "none"
    return str(getattr(value, "value", value))


def _failed(report: Report) -> int:
    return sum(engine.build.status is BuildStatus.FAILED for engine in report.engines)


def _causes(
    before: Report, after: Report
) -> tuple[tuple[Cause, ...], tuple[Cause, ...], tuple[CauseChange, ...]]:
    earlier, later = _by_reason(before), _by_reason(after)
    gone = tuple(cause for key, cause in earlier.items() if key not in later)
    new = tuple(cause for key, cause in later.items() if key not in earlier)
    changed = []
    for key, cause in later.items():
        places = len(earlier[key].nodes) if key in earlier else len(cause.nodes)
        if places != len(cause.nodes):
            changed.append(CauseChange(cause=cause, before=places, after=len(cause.nodes)))
    return gone, new, tuple(changed)


def _by_reason(report: Report) -> dict[Hashable, Cause]:
    # A report of an older version holds no causes; they follow from what it holds.
    causes = report.causes or derive(report)
    return {
        (cause.kind, cause.target, re.sub(r"\b(engine) \d+", r"\1", cause.reason)): cause
        for cause in causes
    }


Pair = tuple[NodeRecord, NodeRecord]
Key = Callable[[NodeRecord], Hashable | None]


def matches(before: Sequence[NodeRecord], after: Sequence[NodeRecord]) -> list[Pair]:
    """Returns the nodes that are on both sides, in the order of `after`."""
    found: dict[str, NodeRecord] = {}
    taken: set[str] = set()

    def take(one: NodeRecord, other: NodeRecord) -> None:
        found[other.name] = one
        taken.add(one.name)

    for one, other in _aligned(before, after):
        take(one, other)
    keys: tuple[Key, ...] = (_by_name, _by_origin, _by_line, _by_file)
    for key in keys:
        waiting: dict[Hashable, deque[NodeRecord]] = {}
        for node in before:
            if node.name not in taken and (known := key(node)) is not None:
                waiting.setdefault(known, deque()).append(node)
        for node in after:
            queue = waiting.get(key(node)) if node.name not in found else None
            if queue:
                take(queue.popleft(), node)
    return [(found[node.name], node) for node in after if node.name in found]


_MOST_ALIGNED = 4000
"""Nodes between the first and the last change; of more only the names are looked at."""


def _aligned(
    before: Sequence[NodeRecord], after: Sequence[NodeRecord]
) -> Iterator[tuple[NodeRecord, NodeRecord]]:
    """Yields nodes at the same place of both graphs, in the order of both."""
    keys = [_look(node) for node in before], [_look(node) for node in after]
    start = 0
    while start < min(map(len, keys)) and keys[0][start] == keys[1][start]:
        yield before[start], after[start]
        start += 1
    end = 0
    while end < min(map(len, keys)) - start and keys[0][-1 - end] == keys[1][-1 - end]:
        yield before[-1 - end], after[-1 - end]
        end += 1
    middles = [side[start : len(side) - end] for side in keys]
    if max(map(len, middles)) > _MOST_ALIGNED:
        return
    matcher = SequenceMatcher(None, middles[0], middles[1], autojunk=False)
    for block in matcher.get_matching_blocks():
        for at in range(block.size):
            yield before[start + block.a + at], after[start + block.b + at]


def _look(node: NodeRecord) -> Hashable:
    source = node.source
    where = (source.module, source.file, source.code) if source is not None else None
    return node.op, node.target, where


def _what(node: NodeRecord) -> str:
    if node.op.startswith("call_"):
        return node.target
    return node.target.rpartition(".")[2] if node.op == "get_attr" else node.op


def _by_name(node: NodeRecord) -> Hashable:
    # `_to_copy_3` of another line is another node, whatever lowering calls it.
    return node.name, _what(node), _module(node)


def _by_origin(node: NodeRecord) -> Hashable | None:
    if node.from_node is None:
        return None
    return node.from_node, _what(node), _module(node)


def _by_line(node: NodeRecord) -> Hashable:
    source = node.source
    return node.op, _what(node), (source.file, source.code) if source is not None else None


def _by_file(node: NodeRecord) -> Hashable | None:
    """Returns what a node of an edited line, or of a renamed module, keeps."""
    source = node.source
    if source is None:
        return node.op, _what(node)
    depth = (source.module or "").count(".")
    return node.op, _what(node), source.file, depth


def _module(node: NodeRecord) -> str | None:
    if node.op == "get_attr":
        return node.target.rpartition(".")[0]
    return node.source.module if node.source is not None else None


def _nodes(before: Report, after: Report, pairs: Sequence[Pair]) -> Iterator[NodeChange]:
    earlier = {other.name: one for one, other in pairs}
    for node in after.nodes:
        if node.name not in earlier:
            yield _single(node, NodeChangeKind.ADDED)
        else:
            yield from _pair(earlier[node.name], node)
    kept = {one.name for one, _ in pairs}
    for node in before.nodes:
        if node.name not in kept:
            yield _single(node, NodeChangeKind.REMOVED)


def _single(node: NodeRecord, kind: NodeChangeKind) -> NodeChange:
    removed = kind is NodeChangeKind.REMOVED
    change = NodeChange(
        kinds=(kind,),
        name=node.name,
        before=node.name if removed else None,
        op=node.op,
        target=node.target,
        source=node.source,
    )
    dtype, verdict = _computed(node), node.verdict
    if removed:
        return msgspec.structs.replace(change, dtype_before=dtype, verdict_before=verdict)
    return msgspec.structs.replace(change, dtype_after=dtype, verdict_after=verdict)


def _computed(node: NodeRecord) -> str | tuple[str | None, ...] | None:
    return node.inferred if node.inferred is not None else node.original


def _pair(one: NodeRecord, other: NodeRecord) -> Iterator[NodeChange]:
    dtypes = _computed(one), _computed(other)
    kinds = []
    if dtype_text(dtypes[0]) != dtype_text(dtypes[1]):
        kinds.append(NodeChangeKind.RETYPED)
    elif dtype_text(one.truncated) != dtype_text(other.truncated):
        kinds.append(NodeChangeKind.NARROWED_OTHERWISE)
        dtypes = one.truncated, other.truncated
    reshaped = _sizes(one.shape) != _sizes(other.shape)
    if reshaped:
        kinds.append(NodeChangeKind.RESHAPED)
    if one.verdict is not other.verdict:
        kinds.append(NodeChangeKind.TURNED)
    if one.op.startswith("call_") and (one.engine is None) != (other.engine is None):
        moved_in = one.engine is None
        kinds.append(NodeChangeKind.MOVED_IN if moved_in else NodeChangeKind.MOVED_OUT)
    modules = _module(one), _module(other)
    if modules[0] != modules[1]:
        kinds.append(NodeChangeKind.RENAMED_MODULE)
    if kinds:
        yield NodeChange(
            kinds=tuple(kinds),
            name=other.name,
            before=one.name,
            op=other.op,
            target=other.target,
            source=other.source,
            dtype_before=dtypes[0],
            dtype_after=dtypes[1],
            shape_before=one.shape if reshaped else None,
            shape_after=other.shape if reshaped else None,
            verdict_before=one.verdict,
            verdict_after=other.verdict,
            module_before=modules[0],
            module_after=modules[1],
        )


def _sizes(shape: Shape) -> object:
    """Returns a shape in which each dynamic size is the same: an export names them anew."""
    return shape and [
        _sizes(part) if isinstance(part, tuple) else None if isinstance(part, str) else part
        for part in shape
    ]


def _lines(pairs: Sequence[Pair]) -> Iterator[LineChange]:
    seen: set[Hashable] = set()
    for one, other in pairs:
        before, after = one.source, other.source
        if before is None or after is None or not before.code or not after.code:
            continue
        if before.file != after.file or before.code.split() == after.code.split():
            continue
        change = LineChange(
            file=after.file or "", line=after.line, before=before.code, after=after.code
        )
        if change not in seen:
            seen.add(change)
            yield change
