"""torch_tensorrt's own low precision: its settings, its calibration run, and its rules.

This is ground for the stage that captures lowering, not a stage.

Source: torch_tensorrt 2.13, `dynamo/lowering/passes/rule_based_autocast.py`,
`nodeclassifier.py` and `pass_utils.py`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from trtdbg.graphs.graph import torch_dtype
from trtdbg.policy import Settings
from trtdbg.records import LowDecision, LowRule

PASS = "rule_based_autocast"
"""The lowering pass that inserts the casts."""


def autocast_settings(settings: Settings) -> dict[str, Any]:
    """Returns the fields of torch_tensorrt's `CompilationSettings`; empty where it is off."""
    name = settings.autocast_low_precision_type
    if not settings.enable_autocast or name is None:
        return {}
    return {
        "enable_autocast": True,
        "autocast_low_precision_type": torch_dtype(name.removeprefix("torch.")),
        "autocast_excluded_nodes": set(settings.autocast_excluded_nodes),
        "autocast_excluded_ops": set(settings.autocast_excluded_ops),
        "autocast_max_output_threshold": settings.autocast_max_output_threshold,
        "autocast_max_depth_of_reduction": settings.autocast_max_depth_of_reduction,
    }


def traced_outputs(
    program: ExportedProgram, calibration: tuple[tuple[Any, ...], ...]
) -> dict[str, torch.Tensor]:
    """Returns what torch_tensorrt's own calibration sees: the results of calls, by name.

    Raises:
        Exception: whatever the program raises on the values.
    """
    from torch_tensorrt.dynamo.lowering.passes.pass_utils import (
        trace_intermediate_node_outputs,
    )

    excluded = [torch.ops.higher_order.wrap_with_autocast, operator.getitem]
    batches = list(calibration) or None
    with torch.no_grad():
        seen: dict[str, torch.Tensor] = trace_intermediate_node_outputs(
            program.module(), batches, excluded
        )
    return seen


def upstream_rules(
    nodes: Iterable[Node], settings: Settings, seen: Mapping[str, torch.Tensor]
) -> dict[str, LowDecision]:
    """Returns what torch_tensorrt's rules decide of exported nodes, by asking each alone.

    Args:
        nodes: of the exported graph as its pass meets it.
        settings: with `enable_autocast`.
        seen: what its calibration saw.
    """
    from torch_tensorrt.dynamo.lowering.passes.nodeclassifier import NodeClassifier

    fields = autocast_settings(settings)
    rules = NodeClassifier(
        nodes,
        excluded_nodes=fields["autocast_excluded_nodes"],
        excluded_ops=fields["autocast_excluded_ops"],
        max_output_threshold=fields["autocast_max_output_threshold"],
        max_depth_of_reduction=fields["autocast_max_depth_of_reduction"],
    )._gen_block_node_rules(dict(seen))
    low = settings.autocast_low_precision_type or ""
    found: dict[str, LowDecision] = {}
    for node in nodes:
        wrapped = node.target is torch.ops.higher_order.wrap_with_autocast
        if node.op == "call_function" and node.target is not operator.getitem and not wrapped:
            found[node.name] = _decision(node, rules, low.removeprefix("torch."))
    return found


def _decision(node: Node, rules: Iterable[Any], low: str) -> LowDecision:
    for rule in rules:
        try:
            holds = rule._check_inner(node)
        except Exception as error:
            # A rule raises on a node without a module stack; so does the pass.
            return LowDecision(dtype=None, rule=LowRule.PASS_RAISED, reason=str(error)[:200])
        if holds:
            kind, reason = _RULES.get(type(rule).__name__, (LowRule.LOW, ""))
            figure = getattr(rule, "reduction_depth", None)
            value = getattr(rule, "output_data", None)
            if value is not None:
                figure = float(value.abs().max())
            text = f"torch_tensorrt's {_words(type(rule).__name__)}: {reason}"
            number = None if figure is None else float(figure)
            text += "" if number is None else f" ({number:.4g})"
            return LowDecision(dtype="float32", rule=kind, reason=text, figure=number)
    return LowDecision(
        dtype=low, rule=LowRule.LOW, reason="no rule of torch_tensorrt keeps it"
    )


def _words(name: str) -> str:
    return " ".join(re.findall("[A-Z]+(?![a-z])|[A-Z][a-z]+", name)).lower()


_RULES = {
    "DisabledNodeNameRegexRule": (
        LowRule.USER_MODULE,
        "autocast_excluded_nodes matches its module",
    ),
    "DisabledOpTypes": (LowRule.USER_OPERATOR, "autocast_excluded_ops names it"),
    "IORangeRule": (LowRule.RANGE, "a value beyond autocast_max_output_threshold"),
    "DepthOfReductionRule": (
        LowRule.REDUCTION_DEPTH,
        "a depth beyond autocast_max_depth_of_reduction",
    ),
}
