"""Splits a graph into engines and the PyTorch part with torch_tensorrt's own partitioners."""

from __future__ import annotations

import contextlib
import copy
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch.fx import GraphModule, Node

from trtdbg.compat.dependencies import patched_dependency_viewer
from trtdbg.compat.registry import patched_registry_check
from trtdbg.counted import computes
from trtdbg.graphs import constants
from trtdbg.graphs.graph import (
    ENGINE_PREFIX,
    LOW_CAST,
    NODE_MARK,
    captured_log,
    copy_graph_module,
    engine_nodes,
    target_name,
)
from trtdbg.graphs.splits import CAST


@dataclass(frozen=True)
class Split:
    """A partitioned graph: engines are submodules, numbered in the order they run."""

    module: GraphModule
    engine_names: tuple[str, ...]
    engine_of: dict[str, int]
    """Node of the lowered graph to the engine that holds it."""
    torch_ops: tuple[str, ...]
    """Targets of the operators left to PyTorch, in graph order."""


def partition(
    module: GraphModule,
    options: Any,
    *,
    tolerant: bool,
    refused: frozenset[str] = frozenset(),
    answers: Mapping[str, bool] | None = None,
) -> Split:
    """Partitions a copy of a graph as `torch_tensorrt.dynamo.compile_module` does.

    Args:
        module: a graph whose metadata says the dtypes that the validators judge.
        options: torch_tensorrt's CompilationSettings in force.
        tolerant: treat a validator that raises as a refusal, and leave constants to PyTorch
            that no engine reads; otherwise an exception ends the partitioning, as it ends
            `torch_tensorrt.compile`, and engines take every constant, as they do there.
        refused: nodes that stay in PyTorch although their validators accept them.
        answers: what the partitioner's question was answered for the operators of this very
            graph under these very settings; None asks the validators again.

    Raises:
        Exception: whatever a validator or the partitioner raises.

    Source: torch_tensorrt 2.13, `dynamo/_compiler.py` compile_module up to the conversion.
    """
    from torch_tensorrt.dynamo import partitioning
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    DYNAMO_CONVERTERS.set_compilation_settings(options)
    twin = copy_graph_module(module)
    for node in twin.graph.nodes:
        node.meta[NODE_MARK] = node.name
    with (
        captured_log("torch_tensorrt.dynamo.partitioning"),
        patched_registry_check(),
        patched_dependency_viewer(),
        _answering(twin, tolerant, refused, answers or {}),
    ):
        supported, total = partitioning.get_graph_converter_support(
            twin, options.torch_executed_ops
        )
        if supported == 0 or supported < options.min_block_size:
            return _describe(twin)
        if not tolerant:
            return _describe(_split(twin, options, skip_fusion=supported == total))
        with _constants_where_they_are_read(twin, options, refused):
            split = _split(twin, options, skip_fusion=supported == total)
        constants.take_out_handed_on(split)
        return _describe(split)


def small_blocks(
    module: GraphModule,
    options: Any,
    split: Split,
    accepted: Iterable[str],
    *,
    tolerant: bool,
    refused: frozenset[str] = frozenset(),
) -> dict[str, int]:
    """Returns the accepted nodes that only the minimum block size keeps out of engines.

    Each with the number of operators in its block: what the same partitioner would have made
    an engine with no minimum. Partitions once more, and only if there is a node to ask about.

    Args:
        module: what `split` was made from.
        options: the settings it was made with.
        split: the partition in force.
        accepted: nodes that the validators accept.
        tolerant: as for `partition`.
        refused: as for `partition`.
    """
    left = {n for n in accepted if n not in split.engine_of and n not in refused}
    if options.min_block_size <= 1 or not left:
        return {}
    without = copy.copy(options)
    without.min_block_size = 1
    whole = partition(module, without, tolerant=tolerant, refused=refused)
    sizes = [
        sum(not _is_free(node) for node in engine.graph.nodes)
        for _, engine in engine_nodes(whole.module)
    ]
    return {name: sizes[whole.engine_of[name]] for name in left if name in whole.engine_of}


def _is_free(node: Node) -> bool:
    """Returns whether the partitioner does not count a node as an operator of its block."""
    return node.op != "call_function" or node.target is operator.getitem


def _split(module: GraphModule, options: Any, *, skip_fusion: bool) -> GraphModule:
    from torch.fx.passes.splitter_base import FxNetSplitterInternalError
    from torch_tensorrt.dynamo import partitioning

    if options.use_fast_partitioner:
        try:
            split, _ = partitioning.fast_partition(
                copy_graph_module(module),
                min_block_size=options.min_block_size,
                torch_executed_ops=options.torch_executed_ops,
                require_full_compilation=options.require_full_compilation,
                skip_fusion=skip_fusion,
            )
            return split
        except FxNetSplitterInternalError:
            # torch_tensorrt itself falls back to the global partitioner here.
            pass
    split, _ = partitioning.global_partition(
        module,
        min_block_size=options.min_block_size,
        torch_executed_ops=options.torch_executed_ops,
        require_full_compilation=options.require_full_compilation,
    )
    return split


@contextlib.contextmanager
def _answering(
    module: GraphModule, tolerant: bool, refused: frozenset[str], answers: Mapping[str, bool]
) -> Iterator[None]:
    """Lets the registry also refuse given nodes, and those whose validator raises.

    What it answered before about a node of this graph, it answers again unasked. The
    partitioners build their own operator support objects, all of which ask
    `node in DYNAMO_CONVERTERS`: this is the one place where more can be refused.
    """
    if not tolerant and not refused and not answers:
        yield
        return
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import ConverterRegistry

    contains = ConverterRegistry.__contains__

    def contains_unless_refused(registry: Any, key: Any) -> bool:
        if isinstance(key, Node):
            name = key.meta.get(NODE_MARK)
            if name in refused:
                return False
            # A copy of the graph may be cut up, and show a validator other neighbours.
            if name in answers and key.graph is module.graph:
                return answers[name]
        try:
            return bool(contains(registry, key))
        except Exception:
            if tolerant:
                return False
            raise

    ConverterRegistry.__contains__ = contains_unless_refused
    try:
        yield
    finally:
        ConverterRegistry.__contains__ = contains


@contextlib.contextmanager
def _constants_where_they_are_read(
    module: GraphModule, options: Any, refused: frozenset[str]
) -> Iterator[None]:
    """Patches both partitioners so that constants that no engine reads stay in PyTorch.

    So do those that TensorRT refused: what engines read of them enters as an input.
    """
    from torch_tensorrt.dynamo.partitioning import _adjacency_partitioner, _global_partitioner

    testers = (
        _global_partitioner.TorchTensorRTOperatorSupport,
        _adjacency_partitioner.OpSupportTester,
    )
    asked = testers[0](torch_executed_ops=options.torch_executed_ops)
    staying = {
        node.name
        for node in constants.give_pytorch_its_own(
            module, lambda node: bool(asked.is_node_supported({}, node))
        )
    } | {
        node.name
        for node in module.graph.nodes
        if node.op == "get_attr" and node.meta.get(NODE_MARK) in refused
    }

    def unless_it_stays(asks: Callable[..., Any]) -> Callable[..., Any]:
        def is_node_supported(self: Any, submodules: Any, node: Node) -> bool:
            if node.op == "get_attr" and node.name in staying:
                return False
            return bool(asks(self, submodules, node))

        return is_node_supported

    with contextlib.ExitStack() as stack:
        for tester in testers:
            asks = tester.is_node_supported
            stack.callback(setattr, tester, "is_node_supported", asks)
            tester.is_node_supported = unless_it_stays(asks)
        yield


def _describe(module: GraphModule) -> Split:
    names: list[str] = []
    engine_of: dict[str, int] = {}
    for call, submodule in engine_nodes(module):
        names.append(str(call.target))
        for node in submodule.graph.nodes:
            if LOW_CAST in node.meta:
                continue
            if node.op in ("call_function", "get_attr") and NODE_MARK in node.meta:
                # A constant may stand in several engines; an operator stands in one.
                engine_of.setdefault(node.meta[NODE_MARK], len(names) - 1)
    targets = (target_name(node) for node in pytorch_nodes(module))
    ops = tuple(target for target in targets if computes(target))
    return Split(module, tuple(names), engine_of, ops)


def pytorch_nodes(module: GraphModule) -> list[Node]:
    """Returns the operator nodes left to PyTorch, those inside PyTorch submodules included.

    Taking an element of an engine's outputs is wiring, and a cast that a low precision
    inserted is none of the model's operators.
    """
    found: list[Node] = []
    for node in module.graph.nodes:
        if node.op == "call_module" and not str(node.target).startswith(ENGINE_PREFIX):
            submodule = getattr(module, str(node.target))
            if isinstance(submodule, GraphModule):
                found += pytorch_nodes(submodule)
        elif node.op == "call_function" and not _is_wiring(node) and not _is_low_cast(node):
            found.append(node)
    return found


def _is_low_cast(node: Node) -> bool:
    return LOW_CAST in node.meta and node.target is CAST


def _is_wiring(node: Node) -> bool:
    if node.target is not operator.getitem:
        return False
    source = node.args[0]
    return isinstance(source, Node) and source.op == "call_module"
