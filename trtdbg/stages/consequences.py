"""What the partition would be if one refused node alone were accepted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from torch.fx import Node

from trtdbg.graphs.graph import NODE_MARK, Emit, first_line
from trtdbg.records import Consequence

_FEW = 4
"""Nodes that are alike and are all tried."""


class Partition(Protocol):
    """What is read of a partitioned graph."""

    @property
    def engine_names(self) -> Sequence[str]:
        """One name an engine."""

    @property
    def torch_ops(self) -> Sequence[str]:
        """One target an operator left to PyTorch."""


def weigh(
    alike: Sequence[Sequence[str]], partition_without: Callable[[str], Partition], emit: Emit
) -> tuple[Consequence, ...]:
    """Returns the partition's size with each node accepted alone, the most useful first.

    The partitioner is the installed torch_tensorrt's own; only its answer on the one node is
    another. Results of a node that has several are accepted with it. Of many nodes that are
    alike the first, the middle and the last are tried, and the others only if these differ.

    Args:
        alike: refused nodes in graph order, those together that are refused for the same.
        partition_without: partitions the graph, without refusals of our own for the node.
        emit: progress.
    """
    found: dict[str, Consequence] = {}
    total = sum(len(_first_tried(names)) for names in alike)

    def tried(name: str) -> Consequence:
        if name not in found:
            emit("weigh", name, len(found), max(total, len(found) + 1))
            found[name] = _weigh_one(name, partition_without)
        return found[name]

    for names in alike:
        sizes = {_size(tried(name)) for name in _first_tried(names)}
        if len(sizes) > 1:
            for name in names:
                tried(name)
    return tuple(
        sorted(found.values(), key=lambda c: (c.error is not None, c.engines, c.torch_ops))
    )


def _first_tried(names: Sequence[str]) -> Sequence[str]:
    if len(names) <= _FEW:
        return names
    return names[0], names[len(names) // 2], names[-1]


def _size(one: Consequence) -> tuple[int, int, str | None]:
    return one.engines, one.torch_ops, one.error


def _weigh_one(name: str, partition_without: Callable[[str], Partition]) -> Consequence:
    try:
        with accepting(frozenset({name})):
            split = partition_without(name)
    except Exception as error:
        # Another node's validator may raise, which ends torch_tensorrt's partitioner.
        return Consequence(node=name, engines=0, torch_ops=0, error=first_line(error))
    return Consequence(
        node=name, engines=len(split.engine_names), torch_ops=len(split.torch_ops)
    )


@contextlib.contextmanager
def accepting(names: frozenset[str]) -> Iterator[None]:
    """Patches both partitioners and the registry to accept some nodes, inside the block.

    The registry too, because the validator of `getitem` asks it about the node it reads.

    Source: torch_tensorrt 2.13, `dynamo/partitioning/_global_partitioner.py`,
    `_adjacency_partitioner.py` and `dynamo/conversion/ops_evaluators.py`.
    """
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import ConverterRegistry
    from torch_tensorrt.dynamo.partitioning._adjacency_partitioner import OpSupportTester
    from torch_tensorrt.dynamo.partitioning._global_partitioner import (
        TorchTensorRTOperatorSupport,
    )

    def is_meant(node: Any) -> bool:
        return isinstance(node, Node) and node.meta.get(NODE_MARK) in names

    def supporting(is_supported: Callable[..., bool]) -> Callable[..., bool]:
        def is_node_supported(self: Any, submodules: Any, node: Node) -> bool:
            return is_meant(node) or is_supported(self, submodules, node)

        return is_node_supported

    contains = ConverterRegistry.__contains__

    def contains_meant(registry: Any, key: Any) -> bool:
        return is_meant(key) or bool(contains(registry, key))

    with contextlib.ExitStack() as undo:
        for owner, attribute, replacement in (
            (ConverterRegistry, "__contains__", contains_meant),
            *(
                (testers, "is_node_supported", supporting(testers.is_node_supported))
                for testers in (OpSupportTester, TorchTensorRTOperatorSupport)
            ),
        ):
            undo.callback(setattr, owner, attribute, getattr(owner, attribute))
            setattr(owner, attribute, replacement)
        yield
