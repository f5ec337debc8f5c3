"""The graph as engines and gaps in the order in which they run."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trtdbg.analysis.conclusions import is_call
from trtdbg.records import NodeRecord

Part = int | str
"""An engine by its number, or an operator of PyTorch by its name."""


@dataclass(frozen=True)
class Stretch:
    """The operators of an engine, or operators in a row that run in PyTorch."""

    engine: int | None
    """None is a gap: PyTorch runs these."""
    nodes: tuple[str, ...]


def stretches(nodes: tuple[NodeRecord, ...], left: frozenset[str]) -> tuple[Stretch, ...]:
    """Returns engines and gaps in the order in which they run.

    Operators of one engine stand apart in the graph where others stand between them on which
    they do not depend. What runs nowhere of its own, such as a constant, has no stretch.
    """
    members: dict[Part, list[str]] = {}
    part_of: dict[str, Part] = {}
    for node in nodes:
        if not is_call(node) or (node.engine is None and node.name not in left):
            continue
        part = node.name if node.engine is None else node.engine
        part_of[node.name] = part
        members.setdefault(part, []).append(node.name)
    found: list[tuple[int | None, list[str]]] = []
    for part in _in_order(list(members), _needs(nodes, part_of)):
        engine = part if isinstance(part, int) else None
        if engine is None and found and found[-1][0] is None:
            found[-1][1].extend(members[part])
        else:
            found.append((engine, list(members[part])))
    return tuple(Stretch(engine, tuple(names)) for engine, names in found)


def _needs(nodes: Sequence[NodeRecord], part_of: Mapping[str, Part]) -> dict[Part, set[Part]]:
    """Returns by part which others it reads from."""
    needs: dict[Part, set[Part]] = {part: set() for part in part_of.values()}
    for node in nodes:
        part = part_of.get(node.name)
        if part is not None:
            needs[part].update(part_of[name] for name in node.operands if name in part_of)
    for part, others in needs.items():
        others.discard(part)
    return needs


def _in_order(parts: list[Part], needs: Mapping[Part, set[Part]]) -> list[Part]:
    """Returns parts so that each follows those that it reads from, else in graph order."""
    place = {part: index for index, part in enumerate(parts)}
    waiting = {part: len(needs[part]) for part in parts}
    readers: dict[Part, list[Part]] = {part: [] for part in parts}
    for part in parts:
        for other in needs[part]:
            readers[other].append(part)
    ready = [place[part] for part in parts if not waiting[part]]
    ordered: list[Part] = []
    while ready:
        part = parts[heapq.heappop(ready)]
        ordered.append(part)
        for reader in readers[part]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, place[reader])
    # A report that somebody wrote may have a circle.
    return [*ordered, *(part for part in parts if waiting[part])]
