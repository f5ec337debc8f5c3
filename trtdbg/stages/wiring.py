"""Describes the program around the engines: calls in order, bindings and what they tie to."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node
from torch.utils._pytree import tree_map_only

from trtdbg.graphs.flat import FlatStep, flatten
from trtdbg.graphs.graph import (
    NODE_MARK,
    arg_text,
    dtype_name,
    engine_nodes,
    output_values,
    target_name,
    value_dtype,
    value_shape,
)
from trtdbg.graphs.splits import Program, engine_dtype, is_engine, made_by_engine, placeholders
from trtdbg.records.boundary_graph import BoundaryGraph, Call, CallKind, Port

CAST = torch.ops.aten._to_copy.default


@dataclass(frozen=True)
class Bindings:
    """Names of an engine's bindings, in the order that it takes and returns values."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def describe(program: Program, bindings: Mapping[str, Bindings]) -> BoundaryGraph:
    """Returns the calls of a repaired program, PyTorch submodules taken apart.

    Args:
        program: the repaired program.
        bindings: by engine's submodule; one that has no network yet is described by the names
            that torch_tensorrt gives bindings: placeholders, and `output0`, `output1`, ...
    """
    return _Description(program, bindings).run()


class _Description:
    def __init__(self, program: Program, bindings: Mapping[str, Bindings]) -> None:
        self.module = program.module
        self.flat = flatten(program.module, whole_engines=True)
        self.bindings = bindings
        self.index = {str(c.target): i for i, (c, _) in enumerate(engine_nodes(self.module))}
        self.names: dict[Node, str] = {}

    def run(self) -> BoundaryGraph:
        taken: set[str] = set()
        for step in self.flat.steps:
            # Nodes of different submodules can share a name; values here must not.
            name, number = step.node.name, 1
            while name in taken:
                name, number = f"{step.node.name}.{number}", number + 1
            taken.add(name)
            self.names[step.node] = name
        calls = [self._call(step) for step in self.flat.steps if not self._is_element(step)]
        return BoundaryGraph(
            calls=tuple(calls), outputs=tuple(map(self._text, self.flat.outputs))
        )

    def _is_element(self, step: FlatStep) -> bool:
        return step.node.target is operator.getitem and made_by_engine(step.node)

    def _call(self, step: FlatStep) -> Call:
        node = step.node
        if is_engine(node):
            return self._engine(step)
        value = node.meta.get("val")
        args = [self._text(arg) for arg in step.args]
        args += [f"{name}={self._text(arg)}" for name, arg in step.kwargs.items()]
        return Call(
            kind=_kind(node),
            name=self.names[node],
            target=target_name(node) if node.op != "placeholder" else "",
            args=", ".join(args),
            dtype=value_dtype(value),
            shape=value_shape(value),
        )

    def _text(self, argument: Any) -> str:
        return arg_text(tree_map_only(Node, self.names.__getitem__, argument))

    def _engine(self, step: FlatStep) -> Call:
        name = str(step.node.target)
        engine = self.module.get_submodule(name)
        inside, made = placeholders(engine), output_values(engine.graph)
        known = self.bindings.get(name) or Bindings(
            tuple(str(node.target) for node in inside),
            tuple(f"output{i}" for i in range(len(made))),
        )
        inputs = [
            _port(binding, self._text(operand), placeholder)
            for binding, operand, placeholder in zip(
                known.inputs, step.args, inside, strict=True
            )
        ]
        outputs = [
            _port(binding, self._reader(step.node, i, len(made)), value)
            for i, (binding, value) in enumerate(zip(known.outputs, made, strict=True))
        ]
        return Call(
            kind=CallKind.ENGINE,
            name=self.names[step.node],
            target=name,
            args=", ".join(self._text(operand) for operand in step.args),
            engine=self.index[name],
            inputs=tuple(inputs),
            outputs=tuple(outputs),
        )

    def _reader(self, call: Node, place: int, count: int) -> str | None:
        """Returns the value that an engine's output becomes outside."""
        elements = [u for u in call.users if u.target is operator.getitem]
        if count == 1 and not elements:
            return self.names[call]
        for user in elements:
            if user.args[1] == place and user in self.names:
                return self.names[user]
        return None


def _kind(node: Node) -> CallKind:
    if node.op == "placeholder":
        return CallKind.INPUT
    if node.op == "get_attr":
        return CallKind.CONSTANT
    inserted = node.target is CAST and NODE_MARK not in node.meta
    return CallKind.CAST if inserted else CallKind.PYTORCH


def _port(binding: str, value: str | None, inside: Any) -> Port:
    recorded = inside.meta.get("val") if isinstance(inside, Node) else inside
    dtype = engine_dtype(recorded)
    return Port(
        binding=binding,
        value=value,
        dtype=dtype_name(dtype) if dtype is not None else None,
        shape=value_shape(recorded),
    )
