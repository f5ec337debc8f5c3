"""Defines the real TensorRT network of an engine with torch_tensorrt's own interpreter."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import torch
from torch.fx import GraphModule, Node

from trtdbg.compat.interpreter import (
    recording_interpreter,
    refusal,
    short_name,
    torch_name,
)
from trtdbg.graphs.graph import (
    NODE_MARK,
    output_values,
    recorded_dtype,
    value_name,
    value_shape,
)
from trtdbg.records import Binding, Dtype, LayerRecord, Profile


@dataclass
class Network:
    """An engine's network definition, or how far it got."""

    name: str
    inputs: tuple[Binding, ...] = ()
    outputs: tuple[Binding, ...] = ()
    layers: tuple[LayerRecord, ...] = ()
    node_dtypes: dict[str, Dtype] = field(default_factory=dict)
    """TensorRT's dtype of each node's ITensor, in TensorRT's spelling, by lowered node."""
    seconds: float = 0.0
    error: str | None = None
    """TensorRT's or the converter's sentence; None if the network is complete."""
    error_node: str | None = None
    log: tuple[tuple[int, str], ...] = ()
    """Level and text of TensorRT's warnings and errors."""
    widened: tuple[tuple[str, str], ...] = ()
    """Nodes whose converter made a float64 that the model never had, with its sentence."""
    interpreter: Any = None
    """Holds builder, network and weights as long as a build may follow."""

    def culprit(self, error: str | None = None) -> str | None:
        """Returns the lowered node that a failed network fails on, None if none is named.

        TensorRT's sentence names the layer it refuses; what was being converted when Python
        noticed may stand behind it.

        Args:
            error: TensorRT's sentence about its build; None is that about its definition.
        """
        error = error or self.error
        if error is None:
            return None
        named = [layer for layer in self.layers if layer.node and layer.name in error]
        if named:
            return max(named, key=lambda layer: len(layer.name)).node
        return self.error_node


def define_network(
    engine: GraphModule,
    name: str,
    options: Any,
    *,
    truncate_double: bool,
    inputs: Any = None,
) -> Network:
    """Runs every converter of an engine into a real `INetworkDefinition`; builds nothing.

    With `truncate_double`, torch_tensorrt narrows what its converters hand to TensorRT as
    float64. As the constants of the engine were converted before, the network is first defined
    without: a converter that then complains of float64 made it up itself, and is noted in
    `widened`.

    Args:
        engine: the subgraph; its metadata says the dtypes of inputs and outputs.
        name: of the submodule.
        options: torch_tensorrt's CompilationSettings.
        truncate_double: whether a converter's own float64 is narrowed rather than refused.
        inputs: the `torch_tensorrt.Input`s to declare; None derives them from the metadata.

    Source: torch_tensorrt 2.13, `dynamo/conversion/_conversion.py` interpret_module_to_result.
    """
    widened: dict[str, str] = {}
    if truncate_double and inputs is None:
        network = _define(engine, name, options, False, inputs)
        if not _is_float64_refusal(network.error):
            return network
        if network.error_node is not None and not _reads_float64(engine, network.error_node):
            widened[network.error_node] = str(network.error)
    network = _define(engine, name, options, truncate_double, inputs)
    network.widened = tuple(widened.items())
    return network


def _is_float64_refusal(error: str | None) -> bool:
    return error is not None and "float64 (double)" in error


def _reads_float64(engine: GraphModule, mark: str) -> bool:
    for node in engine.graph.nodes:
        if node.meta.get(NODE_MARK) == mark:
            names = [recorded_dtype(operand) for operand in (node, *node.all_input_nodes)]
            return "float64" in names
    return False


def _define(
    engine: GraphModule, name: str, options: Any, truncate_double: bool, inputs: Any
) -> Network:
    import copy

    from torch_tensorrt.dynamo import partitioning
    from torch_tensorrt.dynamo.conversion._conversion import infer_module_output_dtypes

    from trtdbg.compat.host import tensorrt_log

    options = copy.copy(options)
    options.truncate_double = truncate_double
    network = Network(name)
    interpreter: Any = None
    start = time.perf_counter()
    with tensorrt_log() as log, torch.no_grad():
        try:
            if inputs is None:
                inputs = partitioning.construct_submodule_inputs(engine)
            declared = infer_module_output_dtypes(engine, truncate_double=truncate_double)
            interpreter = recording_interpreter()(
                engine, inputs, output_dtypes=declared, compilation_settings=options
            )
            interpreter._construct_trt_network_def()
        except Exception as error:
            # Converters and TensorRT raise anything; the sentence goes into the record.
            network.error = refusal(error, log)
            network.error_node = getattr(interpreter, "current_mark", None)
    network.seconds = time.perf_counter() - start
    network.log = tuple(log)
    if interpreter is not None:
        network.interpreter = interpreter
        network.node_dtypes = interpreter.node_dtypes
        network.layers = _layers(interpreter)
    network.inputs = _input_bindings(engine, interpreter, inputs or ())
    network.error_node = network.culprit()
    network.outputs = _output_bindings(engine, interpreter if network.error is None else None)
    return network


def _layers(interpreter: Any) -> tuple[LayerRecord, ...]:
    net = interpreter.ctx.net
    owners = interpreter.layer_owner
    records = []
    for i in range(net.num_layers):
        layer = net.get_layer(i)
        tensors = [layer.get_input(j) for j in range(layer.num_inputs)]
        records.append(
            LayerRecord(
                name=layer.name,
                type=str(layer.type).rsplit(".", 1)[-1],
                inputs=tuple(short_name(t.dtype) if t is not None else None for t in tensors),
                outputs=tuple(
                    short_name(layer.get_output(j).dtype) for j in range(layer.num_outputs)
                ),
                node=owners[i] if i < len(owners) else None,
            )
        )
    return tuple(records)


def _input_bindings(
    engine: GraphModule, interpreter: Any, specs: Iterable[Any]
) -> tuple[Binding, ...]:
    profiles = {spec.name: _profile(spec) for spec in specs}
    bound: dict[str, str] = {}
    if interpreter is not None:
        net = interpreter.ctx.net
        tensors = [net.get_input(i) for i in range(net.num_inputs)]
        bound = {tensor.name: torch_name(tensor.dtype) for tensor in tensors}
    return tuple(
        _binding(
            value_name(node),
            node,
            bound.get(str(node.target)),
            _with_bounds(profiles.get(node.name), node.meta.get("val")),
        )
        for node in engine.graph.nodes
        if node.op == "placeholder"
    )


def _profile(spec: Any) -> Profile | None:
    """Returns what a `torch_tensorrt.Input` with a range of shapes says of them."""
    shapes = spec.shape
    if not isinstance(shapes, dict):
        return None
    return Profile(
        min=tuple(map(int, shapes["min_shape"])),
        opt=tuple(map(int, shapes["opt_shape"])),
        max=tuple(map(int, shapes["max_shape"])),
    )


def _with_bounds(profile: Profile | None, value: Any) -> Profile | None:
    """Returns a profile that says which sizes the program does not bound.

    Source: torch_tensorrt 2.13, `dynamo/partitioning/common.py` construct_dynamic_input.
    """
    from torch_tensorrt.dynamo.utils import extract_var_range_info

    if profile is None:
        return None
    sizes = value.shape if isinstance(value, torch.Tensor) else (value,)
    unbounded = tuple(
        place
        for place, size in enumerate(sizes)
        if isinstance(size, torch.SymInt) and extract_var_range_info(size)["max"] is None
    )
    return msgspec.structs.replace(profile, unbounded=unbounded)


def _output_bindings(engine: GraphModule, interpreter: Any) -> tuple[Binding, ...]:
    bound: dict[int, str] = {}
    if interpreter is not None:
        net = interpreter.ctx.net
        for i in range(net.num_outputs):
            tensor = net.get_output(i)
            # The interpreter names them output0, output1, ... by their place.
            place = tensor.name.removeprefix("output")
            bound[int(place) if place.isdigit() else i] = torch_name(tensor.dtype)
    return tuple(
        _binding(
            value_name(value) if isinstance(value, Node) else str(value),
            value,
            bound.get(i),
        )
        for i, value in enumerate(output_values(engine.graph))
    )


def _binding(
    name: str, value: Any, bound: str | None, profile: Profile | None = None
) -> Binding:
    fake = value.meta.get("val") if isinstance(value, Node) else None
    declared = recorded_dtype(value) if isinstance(value, Node) else None
    if fake is not None and not isinstance(fake, torch.Tensor):
        # A size crosses as a shape tensor, a float that `.item()` reads as one of float32.
        # Source: torch_tensorrt 2.13, `dynamo/partitioning/common.py`
        # construct_submodule_inputs.
        declared = "float32" if isinstance(fake, (float, torch.SymFloat)) else "int64"
    return Binding(
        name=name,
        declared=declared if isinstance(declared, str) else None,
        bound=bound,
        shape=value_shape(fake),
        profile=profile,
    )
