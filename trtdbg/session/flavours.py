"""Asks about refused operators what validators would say with the other build of TensorRT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch.fx import GraphModule, Node

from trtdbg.compat.flavour import is_rtx, patched_to_standard_tensorrt
from trtdbg.compat.registry import patched_registry_check
from trtdbg.records import OtherFlavour, Verdict
from trtdbg.stages import validate
from trtdbg.stages.validate import Judgement

GUARDED = "its converter raises with TensorRT-RTX (needs_not_tensorrt_rtx)"
"""What differs for an operator that validators accept and the converter does not."""

FEATURE = "its validator asks ENABLED_FEATURES.tensorrt_rtx, and says no"
PLUGIN = "it needs a plugin that TensorRT-RTX's build of torch_tensorrt does not have"


def other_flavour(
    module: GraphModule, judgements: Mapping[str, Judgement], options: Any
) -> dict[str, OtherFlavour]:
    """Returns the answer of the validators as with standard TensorRT, by node name.

    Asked for nodes that TensorRT-RTX's build of torch_tensorrt refuses; empty with standard
    TensorRT, which lacks nothing that the other one has.

    Args:
        module: the graph that was judged.
        judgements: what decides the partition.
        options: torch_tensorrt's CompilationSettings.
    """
    if not is_rtx():
        return {}
    found = {}
    for node in module.graph.nodes:
        judgement = judgements.get(node.name)
        if judgement is not None and validate.winner_is_guarded(node, judgement):
            found[node.name] = OtherFlavour(
                flavour="standard",
                accepts=True,
                validator=next(
                    a.validator for a in judgement.answers if a.candidate == judgement.winner
                ),
                mechanism=GUARDED,
            )
    refused = [
        node
        for node in module.graph.nodes
        if (judgement := judgements.get(node.name)) is not None
        and judgement.verdict in (Verdict.REJECT, Verdict.CRASHED)
    ]
    with patched_registry_check():
        with patched_to_standard_tensorrt():
            names = {
                node: validate.accepting_validator(node, options)
                for node in refused
                if _accepts(node, options)
            }
        mechanisms = _mechanisms(names, options)
    for node in refused:
        found[node.name] = OtherFlavour(
            flavour="standard",
            accepts=node in names,
            validator=names.get(node),
            mechanism=mechanisms.get(node),
        )
    return found


def _accepts(node: Node, options: Any) -> bool:
    return validate.ask(node, options)[0] is Verdict.ACCEPT


def _mechanisms(nodes: Iterable[Node], options: Any) -> dict[Node, str]:
    """Returns what by itself turns refused nodes to accepted, where one thing does."""
    with patched_to_standard_tensorrt(features=False):
        found = {node: PLUGIN for node in nodes if _accepts(node, options)}
    with patched_to_standard_tensorrt(plugins=False):
        found |= {node: FEATURE for node in nodes if _accepts(node, options)}
    return found
