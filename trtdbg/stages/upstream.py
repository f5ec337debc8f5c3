"""Runs the boundary repair of the installed torch_tensorrt itself, for timing `upstream`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.fx import GraphModule

from trtdbg.errors import UnavailableError
from trtdbg.graphs.graph import ENGINE_PREFIX, NODE_MARK, first_line
from trtdbg.graphs.splits import CAST, CastLedger, Program, describe_calls


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

    Without `options.truncate_double` torch_tensorrt repairs nothing, and engines declare what
    their metadata say.

    In 2.13 and 2.14 that executes each engine's subgraph to learn its output dtypes; later
    versions read them from metadata (pull request #4630). If it raises, compilation ends
    there, and so does this: the engines from `crashed_engine` on have no inputs.

    Raises:
        UnavailableError: the installed version's repair asks for what this one does not know.

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
        if not options.truncate_double:
            continue
        try:
            specs = partitioning.construct_submodule_inputs(engine)
            call = _repair_call(repair_double_inputs, split, engine, specs, name)
            with torch.no_grad():
                inputs[name] = call()
        except UnavailableError:
            raise
        except Exception as error:
            # The finding TD302 carries whatever the repair raised.
            crashed, crash = name, _crash_text(error)
            break
    casts = CastLedger(split)
    for node in set(split.graph.nodes) - before:
        # A repair by metadata copies the value's, our mark included.
        node.meta.pop(NODE_MARK, None)
    for node in split.graph.nodes:
        if node not in before and node.target is CAST:
            casts.note_foreign(node)
    if crash is None:
        _insert_complex_io_adapters(split, lowered, options)
    return UpstreamRepair(casts.finish(), inputs, crashed, crash)


def _repair_call(
    repair: Callable[..., Any], split: GraphModule, engine: GraphModule, specs: Any, name: str
) -> Callable[[], Any]:
    """Returns the call of a version's `repair_double_inputs`, by the names it gives its needs.

    In 2.13 and 2.14, and after pull request #4630: (parent_graph, submodule, submodule_inputs,
    device, submodule_name). A version that executes nothing may do without the device.
    """
    known = {
        "parent_graph": split,
        "submodule": engine,
        "submodule_inputs": specs,
        "device": torch.device("cpu"),
        "submodule_name": name,
    }
    parameters = inspect.signature(repair).parameters
    unknown = [
        each.name
        for each in parameters.values()
        if each.name not in known and each.default is each.empty
    ]
    if unknown:
        raise UnavailableError(
            f"the boundary repair of the installed torch_tensorrt asks for {unknown[0]!r}, "
            f"which this version of trtdbg does not know",
            remedy="use --timing late, or the torch_tensorrt versions of constraints.txt",
        )
    return partial(repair, **{key: known[key] for key in parameters if key in known})


def _crash_text(error: Exception) -> str:
    trace = error.__traceback__
    place = ""
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename.replace("\\", "/")
        if "torch_tensorrt/" in path:
            place = f" ({path.rsplit('torch_tensorrt/', 1)[1]}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{first_line(error)}{place}"
