"""The first steps of torch_tensorrt's backend of torch.compile, on a recorded dynamo graph."""

from __future__ import annotations

import contextlib
import unittest.mock
from collections.abc import Iterator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule


def dynamo_module(program: ExportedProgram) -> GraphModule:
    """Returns a recorded graph as a module, without the checks that an export adds."""
    module = program.module(check_guards=False)
    for node in list(module.graph.nodes):
        if _is_check(node.target) and not node.users:
            module.graph.erase_node(node)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _is_check(target: Any) -> bool:
    return str(target).startswith(("aten._assert", "aten.sym_constrain", "aten._local_scalar"))


@contextlib.contextmanager
def patched_fake_mode(module: GraphModule) -> Iterator[None]:
    """Enters the mode that a graph's metadata are of, as the backend does, real tensors too.

    Source: torch_tensorrt 2.13 and 2.14, `dynamo/backend/backends.py` _pretraced_backend.
    """
    mode = torch._export.utils._detect_fake_mode_from_gm(module)
    if mode is None:
        yield
        return
    with unittest.mock.patch.object(mode, "allow_non_fake_inputs", True), mode:
        yield


def aot_graph(module: GraphModule, decompositions: Any, options: Any) -> GraphModule:
    """Returns a recorded graph in ATen operators as the backend makes them.

    Inputs keep the names that they have in the program. Source lines are kept along, which
    the backend loses.

    Source: torch_tensorrt 2.13 and 2.14, `dynamo/backend/backends.py` _pretraced_backend.
    """
    from torch._functorch.aot_autograd import aot_export_joint_simple
    from torch_tensorrt.dynamo.lowering import remove_sym_nodes, repair_input_aliasing

    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    values = [node.meta["val"] for node in placeholders]
    names = [node.name for node in placeholders]
    repair_input_aliasing(module, options)
    with torch.fx.traceback.preserve_node_meta():
        # Node by node, which is what keeps the lines.
        made: GraphModule = aot_export_joint_simple(
            torch.fx.Interpreter(module).run,
            values,
            trace_joint=False,
            decompositions=decompositions,
        )
    remove_sym_nodes(made, values, options)
    inputs = [node for node in made.graph.nodes if node.op == "placeholder"]
    for node, name in zip(inputs, names, strict=True):
        node.name = node.target = name
    made.recompile()
    return made
