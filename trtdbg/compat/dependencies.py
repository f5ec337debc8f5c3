"""What torch's global partitioner asks of a graph again and again, answered without a walk.

Nothing here decides anything: torch's own partitioner runs, and is answered the same.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from torch.fx import GraphModule, Node


class Downstream:
    """Tells which of the growing partitions lie downstream of a node.

    The partitioner walks all nodes downstream of each user of a partition, to learn which
    partitions are among them; of two nodes of one partition the second tells it nothing. It is
    shown one node of each, of the latest partition first, which is the likeliest to settle the
    matter. Sets of nodes are the bits of an integer: torch's hold a reference for each pair of
    nodes, gigabytes at 10,000.

    It asks about a node when all that is downstream is settled, as it goes through the graph
    from the end. What changes later is that partitions are merged, and then two of the nodes
    that were shown stand for the same one: an answer stays true.

    Source: torch 2.13 and 2.14, `fx/passes/infra/partitioner.py` _DependencyViewer, of which
    CapabilityBasedPartitioner.propose_partitions calls only `downstreams_of`.
    """

    def __init__(self, graph_module: GraphModule) -> None:
        nodes = list(reversed(graph_module.graph.nodes))
        self.bits = {node: 1 << place for place, node in enumerate(nodes)}
        self.growing: list[GrowingNodes] = []
        self._below: dict[Node, int] = {}
        self._answers: dict[Node, list[Node]] = {}
        for node in nodes:
            below = 0
            for user in node.users:
                below |= self.bits[user] | self._below.get(user, 0)
            self._below[node] = below

    def downstreams_of(self, node: Node) -> list[Node]:
        """Returns one node of each partition of which some node is downstream of this one."""
        if node not in self._answers:
            below = self._below[node]
            latest_first = reversed(self.growing)
            self._answers[node] = [each.any_one for each in latest_first if each.held & below]
        return self._answers[node]


class GrowingNodes(dict[Node, "int | None"]):
    """The nodes of a partition, which knows them as bits too."""

    def __init__(self, nodes: Mapping[Node, int | None], downstream: Downstream) -> None:
        super().__init__()
        self.downstream = downstream
        self.held = 0
        downstream.growing.append(self)
        self.update(nodes)

    @property
    def any_one(self) -> Node:
        """One of the nodes; there is none before the first is added."""
        return next(iter(self))

    def update(self, nodes: Mapping[Node, int | None]) -> None:  # type: ignore[override]
        """Adds nodes; a partition whose nodes are added to this one is none of its own."""
        super().update(nodes)
        if isinstance(nodes, GrowingNodes):
            self.held |= nodes.held
            self.downstream.growing = [
                each for each in self.downstream.growing if each is not nodes
            ]
        else:
            for node in nodes:
                self.held |= self.downstream.bits[node]


_READ = "f383ea46f9ee0d90e688305832106961e81a351f0f8fbdac623376b768ac80f7"
"""Digest of the partitioner that `Downstream` was written for, in torch 2.13 and 2.14.

Torch's main branch adds sets to what it is told is downstream: another text gets torch's own
viewer.
"""


def _digest(text: str) -> str:
    """Returns a digest of a program's text, whatever its comments and margins."""
    lines = (line.strip() for line in text.splitlines())
    code = "\n".join(line for line in lines if line and not line.startswith("#"))
    return hashlib.sha256(code.encode()).hexdigest()


@functools.cache
def _is_the_one_read(module: ModuleType) -> bool:
    try:
        return _digest(inspect.getsource(module)) == _READ
    except OSError:
        # There is no text beside the compiled module.
        return False


@contextlib.contextmanager
def patched_dependency_viewer() -> Iterator[None]:
    """Lets torch's global partitioner ask `Downstream`, and list the modules of a graph once.

    It lists them for each node, and changes no module until all nodes are asked.

    Source: torch 2.13 and 2.14, `fx/passes/infra/partitioner.py` Partition, _DependencyViewer
    and CapabilityBasedPartitioner._is_node_supported.
    """
    from torch.fx.passes.infra import partitioner

    latest: list[Downstream] = []
    tables: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
    made_as_it_is = partitioner.Partition

    def make(*args: Any, **kwargs: Any) -> Any:
        made = made_as_it_is(*args, **kwargs)
        made.nodes = GrowingNodes(made.nodes, latest[-1])
        return made

    def view(graph_module: GraphModule) -> Downstream:
        latest[:] = [Downstream(graph_module)]
        return latest[-1]

    def is_node_supported(self: Any, node: Node) -> bool:
        if self not in tables:
            tables[self] = dict(self.graph_module.named_modules())
        return bool(self.operator_support.is_node_supported(tables[self], node))

    with contextlib.ExitStack() as stack:
        asks = partitioner.CapabilityBasedPartitioner
        _replace(stack, asks, "_is_node_supported", is_node_supported)
        if _is_the_one_read(partitioner):
            _replace(stack, partitioner, "_DependencyViewer", view)
            _replace(stack, partitioner, "Partition", make)
        yield


def _replace(stack: contextlib.ExitStack, owner: Any, name: str, replacement: Any) -> None:
    """Replaces an attribute until the stack is closed, if there is one."""
    if hasattr(owner, name):
        stack.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, replacement)
