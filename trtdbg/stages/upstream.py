"""Runs the boundary repair of the installed torch_tensorrt itself, for timing `upstream`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import GraphModule

from trtdbg.stages.graph import ENGINE_PREFIX, first_line
from trtdbg.stages.splits import CastLedger, Program, describe_calls


@dataclass(frozen=True)
class UpstreamRepair:
    """What torch_tensorrt's own repair made of a split graph."""

    program: Program
    inputs: dict[str, Any] = field(default_factory=dict)
    """Engine name to the `torch_tensorrt.Input`s that its network is to be declared with."""
    crashed_engine: str | None = None
    crash: str | None = None


def repair_upstream(split: GraphModule, lowered: GraphModule, options: Any) -> UpstreamRepair:
    """Runs torch_tensorrt's own boundary repair on a split graph, in place, on a CPU.

    In 2.13 and 2.14 that executes each engine's subgraph to learn its output dtypes. If it
    raises, compilation ends there, and so does this: the engines from `crashed_engine` on
    have no inputs.

    Source: torch_tensorrt 2.13, `dynamo/_compiler.py` compile_module and
    `dynamo/conversion/truncate_double.py` repair_double_inputs.
    """
    from torch_tensorrt.dynamo import partitioning
    from torch_tensorrt.dynamo._compiler import _insert_complex_io_adapters
    from torch_tensorrt.dynamo.conversion.truncate_double import repair_double_inputs

    describe_calls(split)
    inputs: dict[str, Any] = {}
    before = set(split.graph.nodes)
    crash = crashed = None
    for name, engine in list(split.named_children()):
        if not name.startswith(ENGINE_PREFIX) or not isinstance(engine, GraphModule):
            continue
        try:
            specs = partitioning.construct_submodule_inputs(engine)
            with torch.no_grad():
                inputs[name] = repair_double_inputs(
                    split, engine, specs, torch.device("cpu"), name
                )
        except Exception as error:
            # The finding TD302 carries whatever the repair raised.
            crashed, crash = name, _crash_text(error)
            break
    casts = CastLedger(split)
    for node in split.graph.nodes:
        if node not in before and node.target is torch.ops.aten._to_copy.default:
            casts.note_foreign(node)
    if crash is None:
        _insert_complex_io_adapters(split, lowered, options)
    return UpstreamRepair(casts.finish(), inputs, crashed, crash)


def _crash_text(error: Exception) -> str:
    trace = error.__traceback__
    place = ""
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename.replace("\\", "/")
        if "torch_tensorrt/" in path:
            place = f" ({path.rsplit('torch_tensorrt/', 1)[1]}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{first_line(error)}{place}"
