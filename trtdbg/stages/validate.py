"""Asks the real converter registry about every node, candidate by candidate."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch.fx import GraphModule, Node

from trtdbg.records import Scope, ValidatorVerdict, Verdict
from trtdbg.stages.graph import captured_log, first_line, target_name

PARTITIONER = "partitioner"
"""Name of the record that holds the conclusion from all gates and candidates."""

VALIDATOR_LOGGER = "torch_tensorrt.dynamo.conversion"


@dataclass(frozen=True)
class Answer:
    """One candidate's, or one gate's, answer on a node."""

    validator: str
    candidate: int | None
    converter: str | None
    verdict: Verdict
    reason: str | None


@dataclass(frozen=True)
class Judgement:
    """All answers on a node under one typing, and what follows from them."""

    verdict: Verdict
    """What the partitioner concludes, with a crash kept apart from a plain refusal."""
    answers: tuple[Answer, ...] = ()


def judge(module: GraphModule, options: Any) -> dict[str, Judgement]:
    """Returns the verdict of the partitioner's gates and of every candidate, by node name.

    The validators are the installed torch_tensorrt's own, called on the graph as it stands.
    One that raises is a verdict (`crashed`), not an error.

    Args:
        module: a graph whose metadata says the dtypes to judge.
        options: torch_tensorrt's CompilationSettings in force.

    Source: torch_tensorrt 2.13, `dynamo/conversion/_ConverterRegistry.py` __getitem__ and
    `dynamo/partitioning/_global_partitioner.py` TorchTensorRTOperatorSupport.
    """
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    DYNAMO_CONVERTERS.set_compilation_settings(options)
    return {
        node.name: _judge_node(node, options)
        for node in module.graph.nodes
        if node.op == "call_function"
    }


def is_supported(node: Node, options: Any) -> tuple[Verdict, str | None]:
    """Returns the partitioner's own answer on a node, and what it raised if it did."""
    from torch_tensorrt.dynamo.partitioning._global_partitioner import (
        TorchTensorRTOperatorSupport,
    )

    support = TorchTensorRTOperatorSupport(torch_executed_ops=options.torch_executed_ops)
    try:
        accepted = support.is_node_supported({}, node)
    except Exception as error:
        return Verdict.CRASHED, first_line(error)
    return (Verdict.ACCEPT if accepted else Verdict.REJECT), None


def _judge_node(node: Node, options: Any) -> Judgement:
    verdict, crash = is_supported(node, options)
    answers = _gates(node, options) + _candidates(node, options)
    if not answers:
        reason = f"torch_tensorrt has no converter for {target_name(node)}"
        return Judgement(
            Verdict.REJECT,
            (Answer("registry", None, None, Verdict.NOT_APPLICABLE, reason),),
        )
    if verdict is Verdict.CRASHED and not any(a.verdict is verdict for a in answers):
        answers += (Answer("registry", None, None, Verdict.CRASHED, crash),)
    return Judgement(verdict, answers)


def _gates(node: Node, options: Any) -> tuple[Answer, ...]:
    """Returns the partitioner's own reasons to refuse, where one of them holds."""
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import ConverterRegistry
    from torch_tensorrt.dynamo.partitioning._global_partitioner import (
        TorchTensorRTOperatorSupport,
    )

    answers = []
    if TorchTensorRTOperatorSupport._has_complex_dtype(node):
        reason = "TensorRT has no complex dtype; the node or one of its operands is complex"
        answers.append(Answer("gate:complex_dtype", None, None, Verdict.REJECT, reason))
    name = ConverterRegistry.qualified_name_or_str(node.target)
    if name in options.torch_executed_ops or node.target in options.torch_executed_ops:
        reason = "excluded by --torch-executed-ops"
        answers.append(Answer("gate:torch_executed_ops", None, None, Verdict.REJECT, reason))
    return tuple(answers)


def _candidates(node: Node, options: Any) -> tuple[Answer, ...]:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    answers: list[Answer] = []
    for registry in DYNAMO_CONVERTERS.registries:
        converters = registry.get(node.target, ())
        if not isinstance(converters, (list, tuple)):
            converters = ()
        for support in converters:
            answers.append(_ask(node, support, len(answers), options))
    return tuple(answers)


def _ask(node: Node, support: Any, index: int, options: Any) -> Answer:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import node_has_dynamic_shapes

    validator = validator_name(support.capability_validator)
    converter = support.converter_implementation.__name__
    try:
        accepted = support.capability_validator(node, options)
        dynamic = (
            accepted
            and not options.assume_dynamic_shape_support
            and not support.supports_dynamic_shapes
            and node_has_dynamic_shapes(node)
        )
    except Exception as error:
        reason = f"the validator raised {first_line(error)}"
        return Answer(validator, index, converter, Verdict.CRASHED, reason)
    if dynamic:
        reason = "the converter does not support dynamic shapes, and a size here is symbolic"
        return Answer(validator, index, converter, Verdict.REJECT, reason)
    if accepted:
        return Answer(validator, index, converter, Verdict.ACCEPT, None)
    # Only now is it worth asking again with the validator's own log switched on.
    with captured_log(VALIDATOR_LOGGER) as lines:
        support.capability_validator(node, options)
    reason = lines[-1] if lines else "the validator answers no and logs no reason"
    return Answer(validator, index, converter, Verdict.REJECT, reason)


def validator_name(validator: Any) -> str:
    """Returns module, qualified name and line of a capability validator.

    A lambda or a closure has no telling name: its line does.
    """
    function = getattr(validator, "func", validator)
    module = getattr(function, "__module__", "").rsplit(".", 1)[-1]
    name = getattr(function, "__qualname__", type(function).__name__).replace(".<locals>", "")
    if name.startswith("ConverterSupport.<lambda>"):
        return "always"
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{module}.{name}:{code.co_firstlineno}" if code is not None else f"{module}.{name}"


def verdict_records(
    original: Judgement | None,
    inferred: Judgement | None,
    truncated: Judgement | None,
) -> tuple[ValidatorVerdict, ...]:
    """Returns a record per candidate or gate, its answers under the typings aligned."""
    judgements = (original, inferred, truncated)
    if not any(judgements):
        return ()
    conclusion = ValidatorVerdict(
        validator=PARTITIONER,
        candidate=None,
        scope=Scope.GRAPH,
        original=original.verdict if original else Verdict.NOT_CHECKED,
        inferred=inferred.verdict if inferred else Verdict.NOT_CHECKED,
        truncated=truncated.verdict if truncated else Verdict.NOT_CHECKED,
        reason=_first_reason(*judgements),
    )
    typings = [_by_key(judgement) for judgement in judgements]
    keys = sorted(
        {key for answers in typings for key in answers},
        key=lambda key: (key[1] is not None, key[1] or 0, key[0]),
    )
    rows = (_record(key, *(answers.get(key) for answers in typings)) for key in keys)
    return (conclusion, *rows)


def _first_reason(*judgements: Judgement | None) -> str | None:
    """Returns why the first typing that is refused is refused."""
    for judgement in judgements:
        if judgement is not None and judgement.verdict is not Verdict.ACCEPT:
            return next((a.reason for a in judgement.answers if a.reason), None)
    return None


def scope_records(
    graph: Judgement | None, subgraph: Judgement | None
) -> tuple[ValidatorVerdict, ...]:
    """Returns a record if a node is judged otherwise inside its engine than in the graph."""
    if graph is None or subgraph is None or graph.verdict is subgraph.verdict:
        return ()
    reasons = [a.reason for a in subgraph.answers if a.reason]
    return (
        ValidatorVerdict(
            validator=PARTITIONER,
            candidate=None,
            scope=Scope.SUBGRAPH,
            original=Verdict.NOT_CHECKED,
            truncated=subgraph.verdict,
            reason=reasons[0] if reasons else None,
        ),
    )


def _by_key(judgement: Judgement | None) -> Mapping[tuple[str, int | None], Answer]:
    if judgement is None:
        return {}
    return {(answer.validator, answer.candidate): answer for answer in judgement.answers}


def _record(
    key: tuple[str, int | None],
    original: Answer | None,
    inferred: Answer | None,
    truncated: Answer | None,
) -> ValidatorVerdict:
    some = original or inferred or truncated
    reasons = [a.reason for a in (original, inferred, truncated) if a is not None and a.reason]
    # A gate that does not hold leaves no answer: that is an accept of the gate.
    absent = Verdict.ACCEPT if key[0].startswith("gate:") else Verdict.NOT_CHECKED
    return ValidatorVerdict(
        validator=key[0],
        candidate=key[1],
        scope=Scope.GRAPH,
        original=original.verdict if original else absent,
        inferred=inferred.verdict if inferred else absent,
        truncated=truncated.verdict if truncated else absent,
        reason=reasons[0] if reasons else None,
        converter=some.converter if some else None,
    )
