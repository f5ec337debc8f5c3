"""A low precision under timing `early`: cast in the exported graph, before it is lowered."""

from __future__ import annotations

from collections.abc import Mapping

from torch.export import ExportedProgram
from torch.export.graph_signature import TensorArgument
from torch.fx import Node

from trtdbg.graphs.graph import Typing, origin_name, output_values
from trtdbg.policy import TruncationPolicy
from trtdbg.records import LowDecision, ValueRange
from trtdbg.session.lowered import Lowered
from trtdbg.stages import low


def lower_program(
    program: ExportedProgram, policy: TruncationPolicy, ranges: Mapping[str, ValueRange]
) -> tuple[ExportedProgram, dict[str, LowDecision]]:
    """Returns a program that computes low, PyTorch part included, and what was decided.

    Its outputs, and the buffers that it writes, are cast back. A graph that works in place is
    made functional first, as lowering does.

    Args:
        program: a copy; its tensors are shared.
        policy: its precision and what it keeps, by names of the exported graph.
        ranges: of the exported nodes.
    """
    if any(_is_mutable(node) for node in program.graph.nodes):
        program = program.run_decompositions({})
    base = Typing(program.graph_module)
    bounds = low.bounds_of(base.module, policy)
    typing, decisions = low.lower(base, policy, ranges, bounds, {})
    signature = program.graph_signature
    returned = output_values(typing.module.graph)
    for spec, value in zip(signature.output_specs, returned, strict=True):
        if isinstance(value, Node) and isinstance(spec.arg, TensorArgument):
            spec.arg = TensorArgument(name=value.name)
    typing.module.recompile()
    made = ExportedProgram(
        root=typing.module,
        graph=typing.module.graph,
        graph_signature=signature,
        state_dict=program.state_dict,
        range_constraints=program.range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=None,
        constants=program.constants,
        verifiers=program.verifiers,
    )
    return made, decisions.of


def exported_ranges(
    lowered: Lowered, ranges: Mapping[str, ValueRange]
) -> dict[str, ValueRange]:
    """Returns ranges seen in the lowered graph by the exported nodes they come from."""
    found: dict[str, ValueRange] = {}
    for node in lowered.module.graph.nodes:
        origin = origin_name(node) or node.name
        if node.name in ranges:
            found[origin] = ranges[node.name]
    return found


def told(
    decided: Mapping[str, LowDecision], nodes: Mapping[str, str | None]
) -> dict[str, LowDecision]:
    """Returns what was decided of exported nodes, by the lowered nodes that come from them."""
    found: dict[str, LowDecision] = {}
    for name, origin in nodes.items():
        if origin is not None and origin in decided:
            found[name] = decided[origin]
    return found


def _is_mutable(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return bool(schema is not None and schema.is_mutable)
