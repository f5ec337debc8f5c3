"""Narrows the exported program itself, before lowering, for timing `early`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from trtdbg.dtypes import NARROWED
from trtdbg.policy import TruncationPolicy
from trtdbg.stages.graph import Typing, dtype_name, torch_dtype

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
    program: ExportedProgram,
    policy: TruncationPolicy,
    infer_in_place: Callable[[Any, TruncationPolicy, set[str]], Typing],
) -> NarrowedProgram:
    """Returns a narrowed copy of a program; the loaded one is untouched.

    1. User inputs, and the values computed from them, are narrow as the policy says.
    2. Parameters, buffers and lifted constants are converted; shared ones stay shared.
    3. An operator that refuses what it then reads is given the wide dtype by a cast, its
       wide result is cast back, and it stands in `refused`.
    4. Assertions of the exported dtypes are removed, as torch_tensorrt's lowering does.

    Args:
        program: a copy whose graph may be changed; its tensors are shared with the original.
        policy: what is narrowed.
        infer_in_place: the inference that makes an exported graph obey the policy.
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
    typing = infer_in_place(program.graph_module, policy, user_inputs)
    program.graph_module.recompile()
    converted = _Converter(policy)
    narrowed = ExportedProgram(
        root=program.graph_module,
        graph=program.graph,
        graph_signature=signature,
        state_dict={k: converted(v) for k, v in program.state_dict.items()},
        range_constraints=program.range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=None,
        constants={k: converted(v) for k, v in program.constants.items()},
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


class _Converter:
    """Converts tensors as the policy's constants say; one that is shared is converted once."""

    def __init__(self, policy: TruncationPolicy) -> None:
        self.policy = policy
        self.done: dict[int, Any] = {}

    def __call__(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        name = dtype_name(value.dtype)
        if name not in NARROWED or not self.policy.narrows("constants", name):
            return value
        if id(value) not in self.done:
            narrow = value.detach().to(torch_dtype(NARROWED[name]))
            if isinstance(value, torch.nn.Parameter):
                narrow = torch.nn.Parameter(narrow, requires_grad=False)
            self.done[id(value)] = narrow
        return self.done[id(value)]
