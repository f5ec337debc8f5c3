"""Asks for the reason behind every refusal: what would turn it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.fx import GraphModule

from trtdbg.compat.registry import patched_registry_check
from trtdbg.records import Counterfactual, TypingKind, Verdict
from trtdbg.stages import validate
from trtdbg.stages.counterfactual import Oracle, Refusal, explain_refusals
from trtdbg.stages.validate import Judgement


def explain(
    module: GraphModule,
    judgements: Mapping[str, Judgement],
    options: Any,
    kind: TypingKind,
    values: Mapping[str, Any] | None = None,
) -> dict[str, Counterfactual]:
    """Returns why each refused node of a judged graph is refused, by node name.

    Args:
        module: the graph that was judged.
        judgements: what came of it.
        options: torch_tensorrt's CompilationSettings it was judged with.
        kind: the typing of the graph.
        values: inferred values by node name, where the graph's metadata was not refreshed.
    """
    targets = {node.name: node.target for node in module.graph.nodes}
    refusals = {
        name: _refusal(judgement, targets[name])
        for name, judgement in judgements.items()
        if judgement.verdict is not Verdict.ACCEPT
    }
    oracle = Oracle(validate.ask, validate.is_promising, options)
    with patched_registry_check():
        return explain_refusals(module, refusals, oracle, kind, values)


def values_of(module: GraphModule) -> dict[str, Any]:
    """Returns the recorded value of every node of a graph."""
    return {node.name: node.meta.get("val") for node in module.graph.nodes}


def _refusal(judgement: Judgement, target: Any) -> Refusal:
    has_converter = all(a.verdict is not Verdict.NOT_APPLICABLE for a in judgement.answers)
    others = () if has_converter else validate.overloads_with_converter(target)
    return Refusal(
        verdict=judgement.verdict,
        reason=next((a.reason for a in judgement.answers if a.reason), None),
        gates=tuple(a.validator for a in judgement.answers if a.validator.startswith("gate:")),
        has_converter=has_converter,
        has_other_overloads=bool(others),
    )
