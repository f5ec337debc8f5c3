"""Says which numbered pass brought a node, its dtype, its rejection or its disappearance."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from trtdbg.analysis.names import no_such_node
from trtdbg.analysis.same_nodes import heirs
from trtdbg.analysis.summary import graph_after
from trtdbg.records import (
    Change,
    ChangePlace,
    Dtype,
    GraphNode,
    NodeRecord,
    PassRecord,
    Phase,
    Record,
    RefusalKind,
    Report,
    dtype_text,
)

_SPLIT: Final = frozenset({Phase.PARTITION, Phase.BOUNDARY})
"""Phases in which nodes move into submodules and names are given anew."""


class What(StrEnum):
    """What a pass did to a node."""

    APPEARED = "appeared"
    RETYPED = "retyped"
    REWRITTEN = "rewritten"
    """Another operator, or other arguments."""
    DISAPPEARED = "disappeared"
    MOVED = "moved"
    """Into an engine."""


class Event(Record, frozen=True, kw_only=True):
    """What one pass execution did to a node."""

    index: int
    """Number of the pass execution."""
    phase: Phase
    name: str
    """Name of the pass."""
    what: What
    detail: str

    def __str__(self) -> str:
        """Returns `pass 4 run_decompositions: appeared, float64`."""
        return f"pass {self.index} {self.name}: {self.what.value}, {self.detail}"


class Bisection(Record, frozen=True, kw_only=True):
    """The passes that matter for one node; None where nothing of the kind happened."""

    node: str
    events: tuple[Event, ...]
    dtype: Dtype = None
    """The dtype in force at the end, or when it disappeared."""
    dtype_since: Event | None = None
    rejection: str | None = None
    """Why it is refused."""
    rejection_since: Event | None = None
    """The pass that completed what it is refused for; only the lowered graph is judged."""
    gone_since: Event | None = None


def bisect(report: Report, name: str) -> Bisection:
    """Returns what each pass did to a node, and since when it is as it is.

    Raises:
        UsageError: no graph of the report ever had such a node.
    """
    history = _History(report)
    events = tuple(history.events(name))
    if not events:
        raise no_such_node(name, (node.name for node in report.graph_nodes))
    node = next((n for n in report.nodes if n.name == name), None)
    last = history.last(name)
    since = next(
        (e for e in reversed(events) if e.what in (What.RETYPED, What.APPEARED)), None
    )
    gone = events[-1] if events[-1].what is What.DISAPPEARED else None
    why = node.counterfactual if node is not None else None
    return Bisection(
        node=name,
        events=events,
        dtype=last.dtype if last is not None else None,
        dtype_since=since,
        rejection=why.text if why is not None else None,
        rejection_since=_rejected_since(history, node) if node is not None else None,
        gone_since=gone,
    )


def lines(report: Report, name: str) -> list[str]:
    """Returns a bisection as text: the conclusions, then every event.

    Raises:
        UsageError: no graph of the report ever had such a node.
    """
    found = bisect(report, name)
    text = []
    if found.dtype_since is not None and found.dtype is not None:
        text.append(
            f"{name} is {dtype_text(found.dtype)} since pass {_pass_text(found.dtype_since)}"
        )
    if found.rejection_since is not None:
        text.append(
            f"{name} {found.rejection}; so since pass {_pass_text(found.rejection_since)}"
        )
    if found.gone_since is not None:
        text.append(f"{name} is gone since pass {_pass_text(found.gone_since)}")
    return [*text, *map(str, found.events)]


def _pass_text(event: Event) -> str:
    return f"{event.index} {event.name}"


class _History:
    """The node of a name after each pass up to partitioning."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.passes = [p for p in report.passes if p.phase not in _SPLIT]
        self.graphs = [
            {node.name: node for node in graph_after(report, each)} for each in self.passes
        ]

    def last(self, name: str) -> GraphNode | None:
        """Returns the node as it stood last."""
        return next((graph[name] for graph in reversed(self.graphs) if name in graph), None)

    def events(self, name: str) -> Iterator[Event]:
        """Yields what happened to a node, in order."""
        before: GraphNode | None = None
        for execution, graph in zip(self.passes, self.graphs, strict=True):
            after = graph.get(name)
            yield from self._changes(execution, name, before, after)
            before = after
        node = next((n for n in self.report.nodes if n.name == name), None)
        cut = next((p for p in self.report.passes if p.phase is Phase.PARTITION), None)
        if node is not None and node.engine is not None and cut is not None:
            yield _event(cut, What.MOVED, f"into engine {node.engine}")

    def since(self, name: str, change: Change) -> Event | None:
        """Returns the pass since which a node is as a change found it."""
        found = None
        before: GraphNode | None = None
        for execution, graph in zip(self.passes, self.graphs, strict=True):
            if execution.phase is Phase.TRUNCATION:
                break
            after = graph.get(name)
            if after is None:
                found = None
            elif before is None or _aspect(before, change) != _aspect(after, change):
                found = next(iter(self._changes(execution, name, before, after)), None)
            before = after
        return found

    def _changes(
        self,
        execution: PassRecord,
        name: str,
        before: GraphNode | None,
        after: GraphNode | None,
    ) -> Iterator[Event]:
        if before is None and after is None:
            return
        if before is None:
            assert after is not None
            yield _event(execution, What.APPEARED, _description(execution, after))
        elif after is None:
            graph = self.graphs[self.passes.index(execution)]
            found = heirs(before, (graph[n] for n in execution.added if n in graph))
            detail = (
                f"replaced by {', '.join(found)}" if found else "nothing came in its place"
            )
            yield _event(execution, What.DISAPPEARED, detail)
        else:
            yield from _differences(execution, before, after)


def _differences(
    execution: PassRecord, before: GraphNode, after: GraphNode
) -> Iterator[Event]:
    if before.dtype != after.dtype:
        detail = f"{dtype_text(before.dtype)} to {dtype_text(after.dtype)}"
        yield _event(execution, What.RETYPED, detail)
    if (before.target, before.args) != (after.target, after.args):
        detail = f"{_call(before)} to {_call(after)}"
        yield _event(execution, What.REWRITTEN, detail)


def _rejected_since(history: _History, node: NodeRecord) -> Event | None:
    """Returns the latest of the passes that brought what a node is refused for."""
    why = node.counterfactual
    if why is None or why.kind is RefusalKind.EXCLUDED:
        return None
    events = [
        history.since(change.node, change)
        for change in why.changes
        if change.place is not ChangePlace.SETTING
    ]
    events.append(next(history.events(node.name), None))
    known = [event for event in events if event is not None]
    return max(known, key=lambda event: event.index, default=None)


def _aspect(node: GraphNode, change: Change) -> object:
    """Returns what a change is about: dtype, shape, or the one argument."""
    match change.place:
        case ChangePlace.OPERAND | ChangePlace.METADATA:
            return node.dtype
        case ChangePlace.SHAPE:
            return node.shape
        case ChangePlace.KEYWORD if change.before is not None:
            return f"{change.name}={change.before}" in node.args.split(", ")
        case _:
            return node.args


def _event(execution: PassRecord, what: What, detail: str) -> Event:
    return Event(
        index=execution.index,
        phase=execution.phase,
        name=execution.name,
        what=what,
        detail=detail,
    )


def _description(execution: PassRecord, node: GraphNode) -> str:
    parts = [dtype_text(node.dtype)] if node.dtype is not None else []
    parts.append(_call(node))
    if execution.phase is not Phase.LOAD and node.from_node not in (None, node.name):
        parts.append(f"from {node.from_node} of the exported program")
    return ", ".join(parts)


def _call(node: GraphNode) -> str:
    return f"{node.target}({node.args})" if node.op.startswith("call_") else node.op
