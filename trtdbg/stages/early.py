"""Narrows the exported program itself, before lowering, for timing `early`."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node

from trtdbg.graphs.graph import (
    Typing,
    dtype_name,
    refresh_metadata,
    value_dtype,
)
from trtdbg.graphs.inference import Inference, RefusedError, names_of, narrowed_where
from trtdbg.graphs.kernels import refusal
from trtdbg.graphs.tensors import Narrowings
from trtdbg.policy import TruncationPolicy

CAST = torch.ops.aten._to_copy.default

ASSERTIONS = (torch.ops.aten._assert_tensor_metadata.default,)
"""Checks of the exported dtype; lowering removes them, and narrowing makes them false."""


@dataclass(frozen=True)
class NarrowedProgram:
    """A program that computes in narrow dtypes, and what its callers still expect."""

    program: ExportedProgram
    promised_inputs: dict[str, torch.dtype]
    """Dtype that callers pass, by user input."""
    promised_outputs: tuple[Any, ...]
    """The exported fake values of the user outputs, in order."""
    typing: Typing
    """Its `refused` holds the operators that refuse narrow dtypes, `scalars` lost numbers."""


def narrow_program(
    program: ExportedProgram, policy: TruncationPolicy, narrowings: Narrowings
) -> NarrowedProgram:
    """Returns a narrowed copy of a program; the loaded one is untouched.

    1. User inputs, and the values computed from them, are narrow as the policy says.
    2. Parameters, buffers and lifted constants are converted; shared ones stay shared.
    3. A dtype keyword is narrow, unless an operand has that dtype. An operator that creates a
       wide dtype without a keyword (argmax) is followed by a cast.
    4. An operator that refuses narrow operands is given wide ones, only integers if that is
       enough, and stands in `refused`. What then comes out wide although its operands were
       narrowed is cast back.
    5. A wide operand is read where it still exists: before the cast that narrowed it, or from
       an input or constant that stays wide itself and is cast for its other readers. Otherwise
       it is cast once for all who need it. So no two casts cancel.
    6. What the program returns as it stands keeps its dtype: an input, a constant, a value
       that an operator creates wide. So does what it writes to, an input or a buffer.
    7. Assertions of the exported dtypes are removed, as torch_tensorrt's lowering does.

    Before: `ids: int64 -> add -> gather(table, .)`, `ids -> gather(table, .)`
    After:  `ids: int64 -> cast int32 -> add -> cast int64 -> gather`, `ids -> gather`

    Args:
        program: a copy whose graph may be changed; its tensors are shared with the original.
        policy: what is narrowed.
        narrowings: the narrow copies of constants that exist already.
    """
    signature = program.graph_signature
    promised = promised_outputs(program)
    user_inputs = {
        spec.arg.name for spec in signature.input_specs if spec.kind is InputKind.USER_INPUT
    }
    before = {
        node.name: node.meta["val"].dtype
        for node in program.graph.nodes
        if node.op == "placeholder" and isinstance(node.meta.get("val"), torch.Tensor)
    }
    for node in list(program.graph.nodes):
        if node.op == "call_function" and node.target in ASSERTIONS:
            program.graph.erase_node(node)
    typing = _NarrowingRewriter(program, policy, user_inputs).run()
    program.graph_module.recompile()
    state_dict, constants = _converted_tensors(program, narrowings)
    narrowed = ExportedProgram(
        root=program.graph_module,
        graph=program.graph,
        graph_signature=signature,
        state_dict=state_dict,
        range_constraints=program.range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=None,
        constants=constants,
        verifiers=program.verifiers,
    )
    inputs = {name: dtype for name, dtype in before.items() if name in user_inputs}
    return NarrowedProgram(narrowed, inputs, promised, typing)


def promised_outputs(program: ExportedProgram) -> tuple[Any, ...]:
    """Returns the fake value of each user output of an exported program, in order."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    return tuple(
        values.get(getattr(spec.arg, "name", ""))
        for spec in program.graph_signature.output_specs
        if spec.kind is OutputKind.USER_OUTPUT
    )


class _NarrowingRewriter(Inference):
    """Inference that rewrites an exported graph to the narrowed dtypes, in place."""

    def __init__(
        self, program: ExportedProgram, policy: TruncationPolicy, user_inputs: set[str]
    ) -> None:
        values = {node.name: node.meta.get("val") for node in program.graph.nodes}
        super().__init__(program.graph_module, policy, values)
        self.graph = program.graph
        self.user_inputs = user_inputs
        self.written = _written(program)
        self.returned = {
            node
            for node in self.graph.output_node().all_input_nodes
            if node.op == "placeholder" and node.name not in user_inputs
        }
        self.last_input = next(n for n in reversed(self.graph.nodes) if n.op == "placeholder")
        self.sources: dict[Node, Node] = {}
        """Narrowing casts, with the wide value that each reads."""
        self.widened: dict[Node, Node] = {}
        """Narrow values, with the cast that widens them."""
        self.inserted: set[Node] = set()

    def run(self) -> Typing:
        """Types every node, and drops the casts whose readers all came to read wide values."""
        typing = super().run()
        for cast in reversed(self.graph.nodes):
            if cast in self.inserted and not cast.users:
                self.graph.erase_node(cast)
                del typing.dtypes[cast.name]
        return typing

    def visit(self, node: Node) -> None:
        """Types one node; casts inserted on the way are typed already."""
        if node in self.inserted:
            return
        super().visit(node)

    def enter(self, node: Node, path: str) -> None:
        """Narrows an input or constant, or what reads it if the program returns it."""
        if node in self.written:
            return
        path = "inputs" if node.name in self.user_inputs else "constants"
        super().enter(node, path)
        if node in self.changed and node in self.returned:
            self._keep(node, ())

    def evaluate(self, node: Node, instead: Mapping[Node, Any] | None = None) -> Any:
        """Returns a node's value, if the kernel that will run takes its operands too."""
        value = super().evaluate(node, instead)
        if not any(operand in self.changed for operand in node.all_input_nodes):
            return value
        wide = {o: self.wide_values[o.name] for o in node.all_input_nodes if o in self.changed}
        sentence = refusal(
            node.target, self.arguments(node, instead), self.arguments(node, wide)
        )
        if sentence is not None:
            raise RefusedError(sentence)
        return value

    def stand_in(self, node: Node) -> Any:
        """Widens what the operator refuses, only integers if that is enough."""
        narrowed = [
            operand
            for operand in node.all_input_nodes
            if operand in self.changed
            and isinstance(self.wide_values.get(operand.name), torch.Tensor)
        ]
        integers = [o for o in narrowed if not _is_floating(self.wide_values[o.name])]
        for operands in (integers, narrowed):
            try:
                value = self.evaluate(node, {o: self.wide_values[o.name] for o in operands})
            except RefusedError:
                continue
            break
        else:
            operands, value = narrowed, self.wide_values[node.name]
            edit = self.typing.edits.pop(node.name, None)
            if edit is not None:
                node.args, node.kwargs = edit.args, edit.kwargs
        lost = {name for o in operands for name in names_of(self.wide_values[o.name])}
        for operand in operands:
            node.replace_input_with(operand, self._wide(operand, node))
        self._narrow_behind(node, value, lost)
        return value

    def retype_created(self, node: Node, value: Any, created: frozenset[str]) -> Any:
        """Casts the wide results of an operator that has no keyword for it."""
        self._narrow_behind(node, value, created)
        return value

    def _wide(self, value: Node, reader: Node) -> Node:
        """Returns a node that holds a narrowed value in its wide dtype, for one reader."""
        if value in self.sources:
            return self.sources[value]
        if value.op == "placeholder":
            self._keep(value, (reader,))
            return value
        if value not in self.widened:
            wide = self.wide_values[value.name]
            self.widened[value] = self._insert_cast(value, wide)
        return self.widened[value]

    def _keep(self, value: Node, wide_readers: Collection[Node]) -> None:
        """Lets a narrowed placeholder be wide again, and casts it for its other readers."""
        narrow, wide = value.meta["val"], self.wide_values[value.name]
        readers = [r for r in value.users if r.op != "output" and r not in wide_readers]
        refresh_metadata(value, wide)
        self.typing.dtypes[value.name] = value_dtype(wide)
        self.changed.discard(value)
        self._narrow_for(readers, value, narrow)

    def _narrow_behind(self, node: Node, value: Any, names: Iterable[str]) -> None:
        """Casts a node's results of some wide dtypes for all who read them but the output."""
        made = {node: value}
        if not isinstance(value, torch.Tensor):
            taken = [user for user in node.users if user.target is operator.getitem]
            made = {user: value[user.args[1]] for user in taken}
        for each, wide in made.items():
            if not isinstance(wide, torch.Tensor) or dtype_name(wide.dtype) not in names:
                continue
            readers = [r for r in each.users if r.op != "output" and r not in self.sources]
            self.wide_values[each.name] = wide
            self._narrow_for(readers, each, narrowed_where(wide, {dtype_name(wide.dtype)}))

    def _narrow_for(self, readers: list[Node], value: Node, narrow: Any) -> None:
        if not readers:
            return
        cast = self._insert_cast(value, narrow)
        self.sources[cast] = value
        self.wide_values[cast.name] = self.wide_values[value.name]
        self.changed.add(cast)
        for reader in readers:
            reader.replace_input_with(value, cast)

    def _insert_cast(self, value: Node, result: torch.Tensor) -> Node:
        place = self.last_input if value.op == "placeholder" else value
        with self.graph.inserting_after(place):
            cast = self.graph.call_function(CAST, (value,), {"dtype": result.dtype})
        self.inserted.add(cast)
        refresh_metadata(cast, result)
        self.typing.dtypes[cast.name] = value_dtype(result)
        for key in ("from_node", "stack_trace", "nn_module_stack"):
            if key in value.meta:
                cast.meta[key] = value.meta[key]
        return cast


def _written(program: ExportedProgram) -> set[Node]:
    """Returns the placeholders that the program writes to, by itself or through a view.

    In the graph that `torch.export.export` leaves these are the operands of operators that
    work in place; once it is functional, its signature names them.
    """
    signature = program.graph_signature
    targets = {spec.target for spec in signature.output_specs if spec.target is not None}
    named = {
        spec.arg.name
        for spec in signature.input_specs
        if spec.target in targets or spec.arg.name in targets
    }
    found = {n for n in program.graph.nodes if n.op == "placeholder" and n.name in named}
    for node in program.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        if schema is None or not schema.is_mutable:
            continue
        for argument, value in zip(schema.arguments, node.args, strict=False):
            written = argument.alias_info is not None and argument.alias_info.is_write
            if written and isinstance(value, Node):
                found.add(_viewed(value))
    return {node for node in found if node.op == "placeholder"}


def _viewed(value: Node) -> Node:
    """Returns the value behind a chain of views."""
    while value.op == "call_function" and value.args and isinstance(value.args[0], Node):
        schema = getattr(value.target, "_schema", None)
        if schema is None or schema.arguments[0].alias_info is None:
            break
        value = value.args[0]
    return value


def _converted_tensors(
    program: ExportedProgram, narrowings: Narrowings
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns state dict and constants with the dtypes that the graph's placeholders have."""
    wanted = {
        node.name: node.meta["val"].dtype
        for node in program.graph.nodes
        if node.op == "placeholder" and isinstance(node.meta.get("val"), torch.Tensor)
    }
    state_dict, constants = dict(program.state_dict), dict(program.constants)
    for spec in program.graph_signature.input_specs:
        dtype = wanted.get(spec.arg.name)
        for tensors in (state_dict, constants):
            tensor = tensors.get(spec.target)
            if dtype is None or not isinstance(tensor, torch.Tensor) or dtype == tensor.dtype:
                continue
            tensors[spec.target] = narrowings.narrowed(tensor, dtype)
    return state_dict, constants


def _is_floating(value: torch.Tensor) -> bool:
    return bool(value.dtype.is_floating_point or value.dtype.is_complex)
