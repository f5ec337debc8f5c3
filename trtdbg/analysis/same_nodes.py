"""Which nodes of a graph are the same node after a pass, or under another policy.

For two graphs of one program. Of two exports of a program that was edited, `changes.py` says
which nodes are the same, by the place in the code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Final, Protocol


class GraphPart(Protocol):
    """A node, whatever else is known of it."""

    @property
    def name(self) -> str:
        """Its name in the graph."""

    @property
    def op(self) -> str:
        """Its kind: `placeholder`, `get_attr`, `call_function`, `output`."""

    @property
    def target(self) -> str:
        """What it calls or reads."""

    @property
    def from_node(self) -> str | None:
        """The node of the exported program that it comes from."""


def same_nodes(earlier: Iterable[GraphPart], later: Iterable[GraphPart]) -> dict[str, str]:
    """Returns the earlier name of each later node that is the same node.

    By name first; then another name from the same node of the export; then what a pass put in
    the place of a node (`_to_copy` for `to`), which says that it comes from it.
    """
    before = {node.name: node for node in earlier}
    after = {node.name: node for node in later}
    same = {
        name: name
        for name, node in after.items()
        if name in before and _kind(node) == _kind(before[name])
    }
    for of_earlier, of_later in _KEYS:
        waiting: dict[Hashable, deque[str]] = {}
        taken = set(same.values())
        for name, node in before.items():
            if name not in taken:
                waiting.setdefault(of_earlier(node), deque()).append(name)
        for name, node in after.items():
            key = of_later(node)
            if name not in same and key is not None and waiting.get(key):
                same[name] = waiting[key].popleft()
    return same


def heirs(node: GraphPart, added: Iterable[GraphPart]) -> list[str]:
    """Returns which of the nodes that a pass added come from the same node of the export."""
    origin = node.from_node or node.name
    return [each.name for each in added if each.from_node == origin]


def _kind(node: GraphPart) -> str:
    """Returns what two nodes of one name have to share to be the same node."""
    return node.target if node.op.startswith("call_") else node.op


def _origin(node: GraphPart) -> Hashable:
    return _kind(node), node.from_node or node.name


def _constant(node: GraphPart) -> Hashable:
    """Returns by what a parameter is known, lifted to an input (`p_weight`) or not."""
    if node.op == "placeholder" and node.name[:2] in _LIFTED:
        return "constant", node.name.split("_", 1)[1]
    return ("constant", node.name) if node.op == "get_attr" else None


_LIFTED: Final = ("p_", "b_", "c_")
"""How torch.export begins the names of lifted parameters, buffers and constants."""


def _replaced(node: GraphPart) -> Hashable:
    return "replaced", node.name


def _replaces(node: GraphPart) -> Hashable:
    if node.op != "call_function" or node.target == "operator.getitem":
        return None
    return ("replaced", node.from_node) if node.from_node is not None else None


_Key = Callable[[GraphPart], Hashable]
_KEYS: Final[tuple[tuple[_Key, _Key], ...]] = (
    (_origin, _origin),
    (_constant, _constant),
    (_replaced, _replaces),
)
"""What an earlier and a later node have to share, after their name."""
