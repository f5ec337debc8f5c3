"""Asks the real converter registry about every node, candidate by candidate."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch.fx import GraphModule, Node

from trtdbg.compat.flavour import is_guarded
from trtdbg.compat.registry import patched_registry_check
from trtdbg.graphs.graph import captured_log, first_line, target_name
from trtdbg.records import ValidatorSource, Verdict

VALIDATOR_LOGGER = "torch_tensorrt.dynamo.conversion"

NO_VALIDATOR = "always"
"""Name in place of a validator's where a converter has none and takes every node."""


@dataclass(frozen=True)
class Candidate:
    """What the registry says about a converter, whatever the node."""

    validator: str
    converter: str | None = None
    file: str | None = None
    line: int | None = None
    supports_dynamic_shapes: bool | None = None
    requires_output_allocator: bool | None = None
    requires_native_multidevice: bool | None = None


@dataclass(frozen=True)
class ValidatorAnswer:
    """One candidate's, or one gate's, answer on a node."""

    asked: Candidate
    candidate: int | None
    verdict: Verdict
    reason: str | None = None

    @property
    def validator(self) -> str:
        """Name of the validator, or `gate:NAME`."""
        return self.asked.validator


@dataclass(frozen=True)
class Judgement:
    """All answers on a node under one typing, and what follows from them."""

    verdict: Verdict
    """What the partitioner concludes, with a crash kept apart from a plain refusal."""
    answers: tuple[ValidatorAnswer, ...] = ()
    winner: int | None = None
    """The candidate that the registry takes; a gate may still refuse the node."""


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
    with patched_registry_check():
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


def ask(node: Node, options: Any) -> tuple[Verdict, str | None]:
    """Returns the partitioner's answer on one node under settings of its own."""
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    in_force = DYNAMO_CONVERTERS.compilation_settings
    DYNAMO_CONVERTERS.set_compilation_settings(options)
    try:
        return is_supported(node, options)
    finally:
        if in_force is not None:
            DYNAMO_CONVERTERS.set_compilation_settings(in_force)


def is_promising(node: Node, options: Any) -> bool:
    """Tells quickly whether `ask` is likely to answer with an accept.

    Calls the same gates and validators without the registry's check of all its entries, which
    costs ten times what they do; for searches over many variants of a node.
    """
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import node_has_dynamic_shapes
    from torch_tensorrt.dynamo.partitioning._global_partitioner import (
        TorchTensorRTOperatorSupport,
    )

    if TorchTensorRTOperatorSupport._has_complex_dtype(node):
        return False
    try:
        static = options.assume_dynamic_shape_support or not node_has_dynamic_shapes(node)
        return any(
            support.capability_validator(node, options)
            and (static or support.supports_dynamic_shapes)
            for support in _supports(node.target)
        )
    except Exception:
        # A validator that raises ends the registry's search too.
        return False


def _judge_node(node: Node, options: Any) -> Judgement:
    verdict, crash = is_supported(node, options)
    answers = tuple(_candidates(node, options))
    winner = _winner(answers) if not _is_excluded(node, options) else None
    gates = tuple(_gates(node, options))
    if verdict is Verdict.REJECT and winner is not None:
        gates += tuple(_data_dependent_gate(answers[winner], options))
    if not answers:
        reason = _no_converter(node)
        answers = (_registry(Verdict.NOT_APPLICABLE, reason),)
    answers = gates + answers
    if verdict is Verdict.CRASHED and not any(a.verdict is verdict for a in answers):
        answers += (_registry(Verdict.CRASHED, crash),)
    return Judgement(verdict, answers, winner)


def _winner(answers: tuple[ValidatorAnswer, ...]) -> int | None:
    """Returns the first candidate that accepts, unless one before it raises."""
    for answer in answers:
        if answer.verdict is not Verdict.REJECT:
            return answer.candidate if answer.verdict is Verdict.ACCEPT else None
    return None


def _no_converter(node: Node) -> str:
    others = overloads_with_converter(node.target)
    only = f", only for {' and '.join(others)}" if others else ""
    return f"torch_tensorrt has no converter for {target_name(node)}{only}"


def winner_is_guarded(node: Node, judgement: Judgement) -> bool:
    """Returns whether the converter that the registry takes raises with TensorRT-RTX."""
    if judgement.winner is None:
        return False
    supports = list(_supports(node.target))
    return is_guarded(supports[judgement.winner].converter_implementation)


def accepting_validator(node: Node, options: Any) -> str | None:
    """Returns the name of the first validator that accepts a node; None if none does."""
    for answer in _candidates(node, options):
        if answer.verdict is Verdict.ACCEPT:
            return answer.validator
    return None


def overloads_with_converter(target: Any) -> tuple[str, ...]:
    """Returns the other overloads of an operator that some converter takes, sorted."""
    packet = getattr(target, "overloadpacket", None)
    if packet is None:
        return ()
    others = (getattr(packet, name) for name in packet.overloads())
    return tuple(
        sorted(str(o) for o in others if o is not target and any(True for _ in _supports(o)))
    )


def _registry(verdict: Verdict, reason: str | None) -> ValidatorAnswer:
    return ValidatorAnswer(Candidate("registry"), None, verdict, reason)


def _gate(name: str, reason: str) -> ValidatorAnswer:
    return ValidatorAnswer(Candidate(f"gate:{name}"), None, Verdict.REJECT, reason)


def _gates(node: Node, options: Any) -> Iterator[ValidatorAnswer]:
    """Yields the partitioner's own reasons to refuse, where one of them holds."""
    from torch_tensorrt.dynamo.partitioning._global_partitioner import (
        TorchTensorRTOperatorSupport,
    )

    if TorchTensorRTOperatorSupport._has_complex_dtype(node):
        reason = "TensorRT has no complex dtype; the node or one of its operands is complex"
        yield _gate("complex_dtype", reason)
    if _is_excluded(node, options):
        yield _gate("torch_executed_ops", "excluded by --torch-executed-ops")


def _is_excluded(node: Node, options: Any) -> bool:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import ConverterRegistry

    name = ConverterRegistry.qualified_name_or_str(node.target)
    return name in options.torch_executed_ops or node.target in options.torch_executed_ops


def _data_dependent_gate(winner: ValidatorAnswer, options: Any) -> Iterator[ValidatorAnswer]:
    if not getattr(options, "fallback_data_dependent_ops", False):
        return
    if winner.asked.requires_output_allocator:
        yield _gate(
            "data_dependent",
            "the shape of the result depends on the data (the converter needs an output "
            "allocator), and the setting fallback_data_dependent_ops keeps such "
            "operators in PyTorch",
        )


def _candidates(node: Node, options: Any) -> Iterator[ValidatorAnswer]:
    for index, support in enumerate(_supports(node.target)):
        yield _ask(node, support, index, options)


def _supports(target: Any) -> Iterator[Any]:
    """Yields the registry's entries for a target, in the order in which it tries them."""
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    for registry in DYNAMO_CONVERTERS.registries:
        converters = registry.get(target, ())
        if isinstance(converters, (list, tuple)):
            yield from converters


def _ask(node: Node, support: Any, index: int, options: Any) -> ValidatorAnswer:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import node_has_dynamic_shapes

    asked = _describe(support)
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
        return ValidatorAnswer(asked, index, Verdict.CRASHED, reason)
    if dynamic:
        reason = "the converter does not support dynamic shapes, and a size here is symbolic"
        return ValidatorAnswer(asked, index, Verdict.REJECT, reason)
    if accepted:
        return ValidatorAnswer(asked, index, Verdict.ACCEPT)
    # Only now is it worth asking again with the validator's own log switched on.
    with captured_log(VALIDATOR_LOGGER) as lines:
        support.capability_validator(node, options)
    reason = lines[-1] if lines else "the validator answers no and logs no reason"
    return ValidatorAnswer(asked, index, Verdict.REJECT, reason)


@functools.cache
def _describe(support: Any) -> Candidate:
    """Returns what the registry holds for a converter; entries never change."""
    function = _function(support.capability_validator)
    code = getattr(function, "__code__", None)
    return Candidate(
        validator=validator_name(support.capability_validator),
        converter=support.converter_implementation.__name__,
        file=_package_path(code.co_filename) if code is not None else None,
        line=code.co_firstlineno if code is not None else None,
        supports_dynamic_shapes=support.supports_dynamic_shapes,
        requires_output_allocator=support.requires_output_allocator,
        requires_native_multidevice=support.requires_native_multidevice,
    )


def _function(validator: Any) -> Any:
    return inspect.unwrap(getattr(validator, "func", validator))


def _package_path(file: str) -> str:
    """Returns a path from the package on, which is the same on every machine."""
    path = file.replace("\\", "/")
    for folder in ("/site-packages/", "/dist-packages/"):
        if folder in path:
            return path.rsplit(folder, 1)[1]
    return path.rsplit("/", 1)[-1]


def validator_name(validator: Any) -> str:
    """Returns module, qualified name and line of a capability validator.

    A lambda or a closure has no telling name: its line does.
    """
    function = getattr(validator, "func", validator)
    module = getattr(function, "__module__", "").rsplit(".", 1)[-1]
    name = getattr(function, "__qualname__", type(function).__name__).replace(".<locals>", "")
    if name.startswith("ConverterSupport.<lambda>"):
        return NO_VALIDATOR
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{module}.{name}:{code.co_firstlineno}" if code is not None else f"{module}.{name}"


def validator_sources(module: GraphModule) -> tuple[ValidatorSource, ...]:
    """Returns the source text of every validator that judges a node of a graph, each once.

    A closure is shown with the function that makes it. The functions of torch_tensorrt that
    it calls follow, so that the conditions themselves can be read. A converter without a
    validator has none.
    """
    targets = dict.fromkeys(n.target for n in module.graph.nodes if n.op == "call_function")
    supports = (support for target in targets for support in _supports(target))
    sources = (_source(s) for s in supports if _describe(s).validator != NO_VALIDATOR)
    return tuple({source.validator: source for source in sources}.values())


@functools.cache
def _source(support: Any) -> ValidatorSource:
    validator = support.capability_validator
    described = _describe(support)
    parts = [_source_text(function) for function in _with_callees(_function(validator))]
    bound = getattr(validator, "keywords", {})
    if bound:
        parts.insert(0, "# called with " + ", ".join(f"{k}={v!r}" for k, v in bound.items()))
    return ValidatorSource(
        validator=described.validator,
        file=described.file,
        line=described.line,
        text="\n\n".join(part.rstrip() for part in parts) + "\n",
    )


def _with_callees(function: Any) -> tuple[Any, ...]:
    """Returns a function and those of its module that it calls, each once, callers first."""
    found: dict[Any, None] = {}
    waiting = [_outermost(function)]
    while waiting:
        each = waiting.pop(0)
        if each in found or not isinstance(each, types.FunctionType):
            continue
        found[each] = None
        names = [name for code in _codes(each.__code__) for name in code.co_names]
        known = (each.__globals__.get(name) for name in names)
        waiting += [
            callee
            for callee in known
            if isinstance(callee, types.FunctionType)
            and callee.__module__.startswith("torch_tensorrt.")
        ]
    return tuple(found)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _outermost(function: Any) -> Any:
    """Returns the module's function that a closure was made in, or the function itself."""
    name = getattr(function, "__qualname__", "").split(".<locals>", 1)[0]
    return getattr(function, "__globals__", {}).get(name, function)


def _source_text(function: Any) -> str:
    try:
        return inspect.cleandoc("\n" + inspect.getsource(function))
    except (OSError, TypeError) as error:
        return f"# the source of {function.__qualname__} is not available: {error}"
