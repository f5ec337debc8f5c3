"""What one pass did to the graph: its snapshot beside the one before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from trtdbg.analysis.same_nodes import same_nodes
from trtdbg.records import Dtype, GraphNode, Report


class Mark(StrEnum):
    """What a pass did to a node; the value is the sign that stands before it."""

    SAME = " "
    ADDED = "+"
    REMOVED = "-"
    RETYPED = "~"
    CHANGED = "*"
    """Same dtype, but other arguments, shape or target."""


@dataclass(frozen=True)
class SnapshotRow:
    """One node after a pass, or one that the pass removed."""

    mark: Mark
    node: GraphNode
    before: Dtype
    """Recorded dtype before the pass; None for an added node."""
    after: Dtype
    """Recorded dtype after the pass; None for a removed node."""
    old: GraphNode | None = None
    """The node as it was, where it was there before."""
    place: str = ""
    """In whose place an added node came, or what came in the place of a removed one."""


def snapshot(
    report: Report, place: int, against: int | None = None
) -> tuple[SnapshotRow, ...]:
    """Returns the graph after the pass at `place`, its removed nodes where they used to stand.

    The first snapshot has nothing before it: all its nodes are `SAME`.

    Args:
        report: The report with the passes.
        place: Position of the pass in `Report.passes`.
        against: Position of the pass that it is compared with; None is the one before.
    """
    pool = report.graph_nodes
    after = report.passes[place].graph
    earlier = place - 1 if against is None else against
    if earlier < 0:
        return tuple(_row(Mark.SAME, pool[i], pool[i]) for i in after)
    before = report.passes[earlier].graph
    old = {pool[i].name: i for i in before}
    came_for, taken_by = _places([pool[i] for i in before], [pool[i] for i in after])
    present = {pool[i].name for i in after}
    gone_before: dict[str, list[GraphNode]] = {}
    gone: list[GraphNode] = []
    for index in before:
        node = pool[index]
        if node.name not in present:
            gone.append(node)
        elif gone:
            gone_before[node.name] = gone
            gone = []
    rows: list[SnapshotRow] = []
    for index in after:
        node = pool[index]
        rows.extend(
            _row(Mark.REMOVED, n, None, taken_by.get(n.name, ""))
            for n in gone_before.get(node.name, ())
        )
        previous = old.get(node.name)
        if previous is None:
            rows.append(_row(Mark.ADDED, None, node, came_for.get(node.name, "")))
        elif previous == index:
            rows.append(_row(Mark.SAME, node, node))
        else:
            mark = Mark.RETYPED if pool[previous].dtype != node.dtype else Mark.CHANGED
            rows.append(_row(mark, pool[previous], node))
    rows.extend(_row(Mark.REMOVED, node, None, taken_by.get(node.name, "")) for node in gone)
    return tuple(rows)


def _places(
    before: Sequence[GraphNode], after: Sequence[GraphNode]
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Returns in whose place the nodes with new names came, and the other way round."""
    same = same_nodes(before, after)
    new = {name: old for name, old in same.items() if name != old}
    return new, {old: name for name, old in new.items()}


def _row(
    mark: Mark, before: GraphNode | None, after: GraphNode | None, place: str = ""
) -> SnapshotRow:
    node = after or before
    assert node is not None
    return SnapshotRow(
        mark=mark,
        node=node,
        before=before.dtype if before else None,
        after=after.dtype if after else None,
        old=before,
        place=place,
    )


@dataclass(frozen=True)
class PassStep:
    """One moment in the life of a node: the pass that added, retyped or removed it."""

    place: int
    mark: Mark
    before: Dtype = None
    after: Dtype = None


def history(report: Report, name: str) -> tuple[PassStep, ...]:
    """Returns which passes added, retyped and removed the node `name`, in order."""
    steps: list[PassStep] = []
    for place, record in enumerate(report.passes):
        if name in record.added:
            steps.append(PassStep(place, Mark.ADDED))
        steps.extend(
            PassStep(place, Mark.RETYPED, change.before, change.after)
            for change in record.retyped
            if change.name == name
        )
        if name in record.removed:
            steps.append(PassStep(place, Mark.REMOVED))
    return tuple(steps)
