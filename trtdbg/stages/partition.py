"""Splits a graph into engines and the PyTorch part with torch_tensorrt's own partitioners."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch.fx import GraphModule, Node

from trtdbg.stages.graph import (
    ENGINE_PREFIX,
    NODE_MARK,
    captured_log,
    copy_graph_module,
    engine_nodes,
    target_name,
)


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
) -> Split:
    """Partitions a copy of a graph as `torch_tensorrt.dynamo.compile_module` does.

    Args:
        module: a graph whose metadata says the dtypes that the validators judge.
        options: torch_tensorrt's CompilationSettings in force.
        tolerant: treat a validator that raises as a refusal; otherwise its exception ends the
            partitioning, as it ends `torch_tensorrt.compile`.
        refused: nodes that stay in PyTorch although their validators accept them.

    Raises:
        Exception: whatever a validator or the partitioner raises.

    Source: torch_tensorrt 2.13, `dynamo/_compiler.py` compile_module up to the conversion.
    """
    from torch_tensorrt.dynamo import partitioning
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    DYNAMO_CONVERTERS.set_compilation_settings(options)
    copy = copy_graph_module(module)
    for node in copy.graph.nodes:
        node.meta[NODE_MARK] = node.name
    with (
        captured_log("torch_tensorrt.dynamo.partitioning"),
        _further_refusals(tolerant, refused),
    ):
        supported, total = partitioning.get_graph_converter_support(
            copy, options.torch_executed_ops
        )
        if supported == 0 or supported < options.min_block_size:
            return _describe(copy)
        return _describe(_split(copy, options, skip_fusion=supported == total))


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
def _further_refusals(tolerant: bool, refused: frozenset[str]) -> Iterator[None]:
    """Lets the registry also refuse given nodes, and those whose validator raises.

    The partitioners build their own operator support objects, all of which ask
    `node in DYNAMO_CONVERTERS`: this is the one place where more can be refused.
    """
    if not tolerant and not refused:
        yield
        return
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import ConverterRegistry

    contains = ConverterRegistry.__contains__

    def contains_unless_refused(registry: Any, key: Any) -> bool:
        if isinstance(key, Node) and key.meta.get(NODE_MARK) in refused:
            return False
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


def _describe(module: GraphModule) -> Split:
    names: list[str] = []
    engine_of: dict[str, int] = {}
    for call, submodule in engine_nodes(module):
        names.append(str(call.target))
        for node in submodule.graph.nodes:
            if node.op in ("call_function", "get_attr") and NODE_MARK in node.meta:
                engine_of[node.meta[NODE_MARK]] = len(names) - 1
    ops = tuple(target_name(node) for node in pytorch_nodes(module))
    return Split(module, tuple(names), engine_of, ops)


def pytorch_nodes(module: GraphModule) -> list[Node]:
    """Returns the operator nodes left to PyTorch, those inside PyTorch submodules included.

    Taking an element of an engine's outputs is wiring, not an operator.
    """
    found: list[Node] = []
    for node in module.graph.nodes:
        if node.op == "call_module" and not str(node.target).startswith(ENGINE_PREFIX):
            submodule = getattr(module, str(node.target))
            if isinstance(submodule, GraphModule):
                found += pytorch_nodes(submodule)
        elif node.op == "call_function" and not _is_wiring(node):
            found.append(node)
    return found


def _is_wiring(node: Node) -> bool:
    if node.target is not operator.getitem:
        return False
    source = node.args[0]
    return isinstance(source, Node) and source.op == "call_module"
