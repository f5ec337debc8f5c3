"""Asks about refused operators what validators would say with the other build of TensorRT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.fx import GraphModule

from trtdbg.compat.flavour import is_rtx, patched_to_standard_tensorrt
from trtdbg.compat.registry import patched_registry_check
from trtdbg.records import OtherFlavour, Verdict
from trtdbg.stages import validate
from trtdbg.stages.validate import Judgement

GUARDED = "its converter raises with TensorRT-RTX (needs_not_tensorrt_rtx)"
"""What differs for an operator that validators accept and the converter does not."""


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
    with patched_registry_check(), patched_to_standard_tensorrt():
        for node in refused:
            verdict, _ = validate.ask(node, options)
            accepts = verdict is Verdict.ACCEPT
            name = validate.accepting_validator(node, options) if accepts else None
            found[node.name] = OtherFlavour(
                flavour="standard", accepts=accepts, validator=name
            )
    return found
