"""Where engines are cut apart although no operator that stays in PyTorch is between them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from trtdbg.analysis.summary import is_operator
from trtdbg.records import NodeRecord, Report, Source

Part = int | str
"""An engine by its index, or a node outside by its name."""


@dataclass(frozen=True)
class Cut:
    """Two engines of which no value goes through an operator on its way from one to the other.

    Nor through a third engine: but for the partitioner they could be one.
    """

    before: int
    after: int
    reader: str | None
    """The first operator of the later engine that reads a value of the earlier one; None if
    none does."""
    source: Source | None
    """The line of that operator, or else of the first of the later engine."""
    sizes: tuple[str, ...] = ()
    """What computes sizes in PyTorch between the two, which is no operator and keeps them
    apart."""


def cuts(report: Report) -> tuple[Cut, ...]:
    """Returns the engines that only the partitioner keeps apart, each with the one before it.

    An engine is named with at most one that runs before it, so that there are as many cuts as
    engines would be fewer, as far as pairs of engines show it.
    """
    if len(report.engines) < 2 or not any(node.operands for node in report.nodes):
        # An old report may not say what reads what.
        return ()
    graph = _Parts(report)
    order = [engine.index for engine in report.engines]
    found = []
    for place, after in enumerate(order):
        for before in reversed(order[:place]):
            between = graph.between(before, after)
            if all(isinstance(part, str) for part in between):
                found.append(graph.cut(before, after, between))
                break
    return tuple(found)


class _Parts:
    """Engines and the nodes outside them, with what reads what."""

    def __init__(self, report: Report) -> None:
        self.rows = {node.name: node for node in report.nodes}
        self.readers: dict[Part, set[Part]] = defaultdict(set)
        self.givers: dict[Part, set[Part]] = defaultdict(set)
        for node in report.nodes:
            for name in node.operands:
                giver = self.rows.get(name)
                if giver is None or giver.op != "call_function":
                    continue
                if _part(giver) != _part(node):
                    self.readers[_part(giver)].add(_part(node))
                    self.givers[_part(node)].add(_part(giver))

    def between(self, before: int, after: int) -> set[Part | None]:
        """Returns what values go through on their way from one of two engines to the other.

        Names are those of what computes sizes; of operators there is None.
        """
        both = {before, after}
        found = _reached(both, self.readers) & _reached(both, self.givers)
        return {
            part if isinstance(part, str) and not is_operator(self.rows[part]) else None
            for part in found
        }

    def cut(self, before: int, after: int, between: set[Part | None]) -> Cut:
        """Returns where two engines are cut apart."""
        rows = self.rows.values()
        inside = [n for n in rows if n.engine == after and n.op == "call_function"]
        reader = next((n for n in inside if self._reads(n, before)), None)
        sizes = [node for node in rows if node.name in between]
        shown = next(iter(sizes), None) or reader or next(iter(inside), None)
        return Cut(
            before=before,
            after=after,
            reader=reader.name if reader is not None else None,
            source=shown.source if shown is not None else None,
            sizes=tuple(node.name for node in sizes),
        )

    def _reads(self, node: NodeRecord, engine: int) -> bool:
        operands = (self.rows[name] for name in node.operands if name in self.rows)
        return any(operand.engine == engine for operand in operands)


def _part(node: NodeRecord) -> Part:
    return node.name if node.engine is None else node.engine


def _reached(start: set[int], edges: dict[Part, set[Part]]) -> set[Part]:
    """Returns what is reached from parts over edges, themselves left out."""
    seen: set[Part] = set(start)
    waiting: list[Part] = list(start)
    while waiting:
        new = edges.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return seen - start
