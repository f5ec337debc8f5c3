"""What torch_tensorrt's own low precision decided, told of the nodes of the lowered graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import torch
from torch.fx import Node

from trtdbg.graphs.graph import dtype_name, origin_name
from trtdbg.records import LowDecision, LowRule
from trtdbg.session.lowered import Lowered


def decisions(lowered: Lowered) -> dict[str, LowDecision]:
    """Returns what each operator of a lowering with autocast computes in, and why.

    The rules see the exported graph: a lowered node has the decision of the node it came from.
    """
    ruled = lowered.captured.autocast
    if not ruled:
        return {}
    found: dict[str, LowDecision] = {}
    for node in lowered.module.graph.nodes:
        if node.op == "call_function":
            found[node.name] = _decision(node, ruled)
    return found


def raised(lowered: Lowered, message: str) -> dict[str, LowDecision]:
    """Returns that nothing is low, because torch_tensorrt's pass raised."""
    return {
        node.name: LowDecision(dtype=_floating(node), rule=LowRule.PASS_RAISED, reason=message)
        for node in lowered.module.graph.nodes
        if node.op == "call_function"
    }


def beside(
    ours: Mapping[str, LowDecision], lowered: Lowered, theirs: Mapping[str, LowDecision]
) -> dict[str, LowDecision]:
    """Returns our decisions with what torch_tensorrt's rules say of the exported nodes."""
    origins = {node.name: origin_name(node) for node in lowered.module.graph.nodes}
    told: dict[str, LowDecision] = {}
    for name, decision in ours.items():
        other = theirs.get(origins.get(name) or "")
        says = None if other is None else f"{other.dtype}: {other.reason}"
        told[name] = msgspec.structs.replace(decision, upstream=says)
    return told


def _decision(node: Node, ruled: Mapping[str, LowDecision]) -> LowDecision:
    dtype, found = _floating(node), ruled.get(origin_name(node) or "")
    if dtype is None:
        return LowDecision(
            dtype=None, rule=LowRule.NOT_FLOATING, reason="its value is not floating"
        )
    if found is None:
        return LowDecision(
            dtype=dtype, rule=LowRule.FOLLOWS, reason="torch_tensorrt's rules were not asked"
        )
    return msgspec.structs.replace(found, dtype=dtype)


def _floating(node: Node) -> str | None:
    value: Any = node.meta.get("val")
    items = value if isinstance(value, (tuple, list)) else (value,)
    floats = [i.dtype for i in items if isinstance(i, torch.Tensor) and i.is_floating_point()]
    return dtype_name(floats[0]) if floats else None
