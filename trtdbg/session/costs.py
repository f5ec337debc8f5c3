"""Weighs causes: the partition as it would be if all nodes of one were accepted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import torch
from torch.fx import GraphModule

from trtdbg.dtypes import SIZE_BYTES
from trtdbg.graphs.graph import Emit, dtype_name, engine_nodes, node_value
from trtdbg.records import Cause, CauseKind, Cost
from trtdbg.stages import consequences
from trtdbg.stages.partition import Split

_NOT_OF_NODES = frozenset(
    {
        CauseKind.LOWERING_FAILED,
        CauseKind.PARTITION_FAILED,
        CauseKind.ENGINE_FAILED,
        CauseKind.TENSORRT_REFUSES,
        CauseKind.INSIDE_ENGINE,
    }
)
"""Kinds whose nodes the partitioner accepts already, or of which there is no partition."""


def weigh(
    causes: Sequence[Cause],
    partitioned: Callable[[frozenset[str]], Split],
    emit: Emit,
    blocks: Callable[[], Split] | None = None,
    small: frozenset[str] = frozenset(),
) -> tuple[Cause, ...]:
    """Returns causes with what each costs, in their order.

    One partition a cause, and one for what is in force.

    The partitioner is the installed torch_tensorrt's own; only its answers on the nodes of the
    cause are others. What the partitioner accepts already is not weighed, and a cause without
    which it raises all the same keeps no cost.

    Args:
        causes: of one report.
        partitioned: partitions the graph, without refusals of our own for some nodes.
        emit: progress.
        blocks: partitions the graph with no minimum of operators in a block.
        small: nodes that are accepted and outside; what is weighed of them is the minimum.
    """
    try:
        now = partitioned(frozenset())
    except Exception:
        # There is no partition to compare with; why is a cause of its own.
        return tuple(causes)
    weighed = []
    for done, cause in enumerate(causes):
        if cause.cost is None and cause.nodes and cause.kind not in _NOT_OF_NODES:
            emit("weigh", cause.target or cause.reason, done, len(causes))
            made = partitioned
            if blocks is not None and small.issuperset(cause.nodes):
                made = _ignoring_names(blocks)
            cause = msgspec.structs.replace(cause, cost=_cost(cause, made, now))
        weighed.append(cause)
    return tuple(weighed)


def _ignoring_names(blocks: Callable[[], Split]) -> Callable[[frozenset[str]], Split]:
    return lambda names: blocks()


def _cost(
    cause: Cause, partitioned: Callable[[frozenset[str]], Split], now: Split
) -> Cost | None:
    names = frozenset(cause.nodes)
    try:
        with consequences.accepting(names):
            split = partitioned(names)
    except Exception:
        # Another node's validator may raise, which ends torch_tensorrt's partitioner.
        return None
    before, after = _crossing(now.module), _crossing(split.module)
    copied = None
    if None not in (*before.values(), *after.values()):
        copied = sum(n for n in before.values() if n) - sum(n for n in after.values() if n)
    return Cost(
        engines=len(now.engine_names) - len(split.engine_names),
        torch_ops=len(now.torch_ops) - len(split.torch_ops),
        casts=_casts(now.module) - _casts(split.module),
        bytes=copied,
    )


def _crossing(split: GraphModule) -> dict[str, int | None]:
    """Returns the values that engines read of others or of PyTorch, with their bytes."""
    read = {
        operand
        for call, _ in engine_nodes(split)
        for operand in call.all_input_nodes
        if operand.op not in ("placeholder", "get_attr")
    }
    return {node.name: _bytes(node_value(node)) for node in read}


def _casts(split: GraphModule) -> int:
    """Returns how many values that engines read or return TensorRT has no dtype for."""
    crossing = {
        operand
        for call, _ in engine_nodes(split)
        for operand in (*call.all_input_nodes, *call.users)
    }
    values = [node_value(node) for node in crossing]
    wide = [v for v in values if isinstance(v, torch.Tensor) and v.dtype is torch.float64]
    return len(wide)


def _bytes(value: object) -> int | None:
    values = value if isinstance(value, (tuple, list)) else (value,)
    total = 0
    for each in values:
        if not isinstance(each, torch.Tensor):
            continue
        if not all(isinstance(size, int) for size in each.shape):
            return None
        total += each.numel() * SIZE_BYTES[dtype_name(each.dtype)]
    return total
