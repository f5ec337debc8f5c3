"""Makes a runnable module of a repaired program: real engines in it, PyTorch around them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_map_only

from trtdbg.graphs.graph import (
    copy_graph_module,
    engine_nodes,
    fetch_attr,
    output_node,
    output_values,
)
from trtdbg.graphs.splits import Program, engine_dtype, fake_mode_of, is_engine, value_of


def assemble(
    program: Program, make_engine: Callable[[str, GraphModule], torch.nn.Module]
) -> GraphModule:
    """Returns a copy of a repaired program with modules that run in the engines' places.

    1. An engine's module gets the values of its placeholders, in order, and returns a tensor,
       or a tuple if the engine has several outputs, as torch_tensorrt's runtime does.
    2. A number that an engine computes (a symbolic size) comes out as a tensor: operators of
       the PyTorch part read it as a number again.
    3. Elements of an engine's outputs are taken in order, all of them, and the call's metadata
       is a list, which torch_tensorrt's exporter relies on.

    The copy is called as the exported program is, and shares the tensors of the PyTorch part.

    Args:
        program: what the session's repair made.
        make_engine: takes an engine's name and its subgraph, and returns its module.
    """
    module = copy_graph_module(program.module)
    for name, child in list(module.named_children()):
        if isinstance(child, GraphModule):
            setattr(module, name, copy_graph_module(child))
    for call, engine in list(engine_nodes(module)):
        _straighten_outputs(module, call, engine)
        setattr(module, str(call.target), make_engine(str(call.target), engine))
    module.graph.lint()
    module.recompile()
    return module


def engine_module(network: Any, engine: GraphModule, serialized: bytes, options: Any) -> Any:
    """Returns torch_tensorrt's module around a built engine; needs a CUDA device.

    Source: torch_tensorrt 2.13, `dynamo/conversion/_conversion.py` convert_module.

    Args:
        network: the `Network` that was built.
        engine: the subgraph that it was defined from.
        serialized: what TensorRT built.
        options: torch_tensorrt's CompilationSettings in force.
    """
    from torch_tensorrt.dynamo.conversion._symbolic_shape_capture import (
        extract_symbolic_shape_expressions,
    )
    from torch_tensorrt.dynamo.runtime import TorchTensorRTModule

    interpreter = network.interpreter
    return TorchTensorRTModule(
        serialized_engine=serialized,
        input_binding_names=list(interpreter._input_names),
        output_binding_names=list(interpreter._output_names),
        name=network.name,
        settings=options,
        requires_output_allocator=interpreter.ctx.requires_output_allocator,
        requires_native_multidevice=interpreter.ctx.requires_native_multidevice,
        symbolic_shape_expressions=extract_symbolic_shape_expressions(engine),
    )


def move(module: GraphModule, device: torch.device) -> None:
    """Moves the PyTorch part of an assembled module to a device, in place.

    Tensors that nodes read are replaced, never changed: the program that they belong to keeps
    its own. Devices that operators name (`arange(..., device=)`) are replaced too.
    """
    moved: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    graphs = [module, *(m for m in module.children() if isinstance(m, GraphModule))]
    for part in graphs:
        for node in part.graph.nodes:
            if node.op == "get_attr":
                _move_constant(part, str(node.target), device, moved)
            node.args, node.kwargs = tree_map_only(
                torch.device, lambda _: device, (node.args, node.kwargs)
            )
        part.recompile()


def save_module(module: GraphModule, path: Path) -> None:
    """Writes an assembled module as torch_tensorrt saves one, without running it.

    Raises:
        Exception: whatever torch_tensorrt's exporter raises at what it does not know.
    """
    import torch_tensorrt

    torch_tensorrt.save(module, str(path), output_format="exported_program", retrace=False)


def _straighten_outputs(module: GraphModule, call: Node, engine: GraphModule) -> None:
    returned = output_node(engine.graph).args[0]
    recorded = [value_of(value) for value in output_values(engine.graph)]
    values = [_returned(value, module) for value in recorded]
    call.meta["val"] = values
    elements = {
        user: user.args[1] for user in list(call.users) if user.target is operator.getitem
    }
    made: dict[Any, Node] = {}
    if len(values) == 1:
        # The runtime returns a lone output bare, however the subgraph returns it.
        made[0 if isinstance(returned, (tuple, list)) else None] = call
    else:
        # In this order: the exporter tells them by it, not by their index.
        with module.graph.inserting_before(call.next):
            for place in range(len(values)):
                made[place] = module.graph.call_function(operator.getitem, (call, place))
                made[place].meta["val"] = values[place]
    for element, place in elements.items():
        element.replace_all_uses_with(made[place])
        module.graph.erase_node(element)
    for place, value in enumerate(recorded):
        if not isinstance(value, torch.Tensor):
            _read_number(module, made.get(place, call), value)


def _returned(value: Any, module: GraphModule) -> Any:
    """Returns what the runtime makes of an output; a number has no dimensions."""
    if isinstance(value, torch.Tensor):
        dtype = engine_dtype(value)
        return value if dtype == value.dtype else value.to(dtype)
    floating = isinstance(value, (float, torch.SymFloat))
    with fake_mode_of(module):
        return torch.empty((), dtype=torch.float32 if floating else torch.int64)


def _read_number(module: GraphModule, tensor: Node, value: Any) -> None:
    """Lets operators of the PyTorch part and the program's output read a number again."""
    readers = [user for user in tensor.users if not is_engine(user)]
    if not readers:
        return
    with module.graph.inserting_after(tensor):
        number = module.graph.call_function(torch.ops.aten.item.default, (tensor,))
    number.meta["val"] = value
    for reader in readers:
        reader.replace_input_with(tensor, number)


def _move_constant(
    module: GraphModule,
    target: str,
    device: torch.device,
    moved: dict[int, tuple[torch.Tensor, torch.Tensor]],
) -> None:
    """Moves what a node reads; a tensor that several share stays one tensor."""
    tensor = fetch_attr(module, target)
    if not isinstance(tensor, torch.Tensor):
        return
    if id(tensor) not in moved:
        there = tensor.detach().to(device)
        moved[id(tensor)] = moved[id(there)] = (tensor, there)
    prefix, _, name = target.rpartition(".")
    owner = module.get_submodule(prefix) if prefix else module
    delattr(owner, name)
    owner.register_buffer(name, moved[id(tensor)][1])
