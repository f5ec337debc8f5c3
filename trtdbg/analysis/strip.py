"""The graph as engines and gaps in order."""

from __future__ import annotations

from dataclasses import dataclass

from trtdbg.analysis.conclusions import is_call
from trtdbg.records import NodeRecord


@dataclass(frozen=True)
class Stretch:
    """Operators in a row that run in one engine, or in PyTorch."""

    engine: int | None
    """None is a gap: PyTorch runs these."""
    nodes: tuple[str, ...]


def stretches(nodes: tuple[NodeRecord, ...], left: frozenset[str]) -> tuple[Stretch, ...]:
    """Returns the stretches of a lowered graph, in graph order.

    An engine whose operators stand apart in the graph has several; what runs nowhere of its
    own, such as a constant, has none.
    """
    found: list[tuple[int | None, list[str]]] = []
    for node in nodes:
        if not is_call(node) or (node.engine is None and node.name not in left):
            continue
        if found and found[-1][0] == node.engine:
            found[-1][1].append(node.name)
        else:
            found.append((node.engine, [node.name]))
    return tuple(Stretch(engine, tuple(names)) for engine, names in found)
