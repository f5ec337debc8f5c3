"""Repairs the borders of a split graph only from inference, without running anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.fx import GraphModule, Node

from trtdbg.graphs.graph import (
    LOW_CAST,
    NODE_MARK,
    Edit,
    Typing,
    dtype_name,
    engine_nodes,
    fetch_attr,
    output_node,
    output_values,
    refresh_metadata,
)
from trtdbg.graphs.splits import (
    CAST,
    CastLedger,
    Program,
    describe_calls,
    differ,
    engine_dtype,
    engine_values,
    fake_mode_of,
    is_engine,
    made_by_engine,
    placeholders,
)
from trtdbg.graphs.tensors import Narrowings
from trtdbg.records import Direction

COMPLEX_INPUT_SUFFIX = "_unpacked_complex"
"""How torch_tensorrt's complex rewrite names a complex program input that it made real."""


def repair_late(
    split: GraphModule, inferred: Typing, truncated: Typing, narrowings: Narrowings
) -> Program:
    """Restores the PyTorch part and casts at the borders, in place, for timing `late`.

    Reads inference only: no subgraph is executed. A value's wide dtype is its inferred dtype,
    its engine dtype the truncated one.

    1. The PyTorch part computes as exported: dtype arguments that truncation rewrote get their
       original values back, constants are the original tensors.
    2. A value of the PyTorch part or a program input that an engine reads narrower than it is
       gets one cast, right after it, shared by all engines that read it.
    3. A value of an engine that is narrower than its inferred dtype gets one cast back, shared
       by all operators of the PyTorch part and program outputs that read it. Engines go on
       reading the narrow value, so that nothing is cast between two engines and no two casts
       cancel.
    4. A constant that an engine merely hands on is read from the original tensor instead, and
       one that an engine reads from the PyTorch part is converted once, not cast in each run.
    5. Symbolic sizes and numbers are never cast. A value that is returned twice is cast once,
       and a program input that is returned is returned as it came.
    6. An operator of the PyTorch part that is a cast itself reads the engine's narrow value,
       and an engine reads what such a cast widened: widening changes no value, so a boundary
       cast next to it would only undo it.
    7. TensorRT has no float64: where the policy keeps it inside an engine, it crosses the
       border as float32, and rules 2 to 6 hold for it as for a truncated value.
    8. A low precision casts inside engines: what crosses their borders is as without it,
       except between two engines.

    Before: `x: float64 -> engine(float32) -> i0 -> engine(float32) -> output`
    After:  `x -> cast -> engine -> cast -> i0 -> cast -> engine -> cast -> output`
    """
    _PytorchPart(inferred, truncated).restore(split)
    casts = CastLedger(split)
    _convert_constants(split, narrowings)
    _note_low_casts(split, casts)
    _cast_into_engines(split, casts)
    wide = dict(_values(inferred.module))
    # What was cast back from a low precision is promised what stood before it.
    wide.update({cast: wide.get(source) for cast, source in truncated.low_casts.items()})
    _cast_out_of_engines(split, casts, wide, inferred)
    _restore_complex(split)
    return casts.finish()


def repair_program(
    split: GraphModule, promised_inputs: Mapping[str, torch.dtype], promised: Iterable[Any]
) -> Program:
    """Casts at the program's inputs and outputs, in place, for timing `early`.

    Reads inference only: no subgraph is executed. The graph was lowered with narrow inputs;
    callers still pass and expect what export promised.

    1. An input that the graph reads narrower than it is passed gets one cast for all who read
       it, except the program's output, which returns it as it came, and a cast of the
       PyTorch part that would undo it.
    2. An output that is not of the promised dtype is cast to it, once however often it is
       returned. Where a cast of the PyTorch part made it narrow, what that cast read is
       returned instead.
    3. What the policy keeps in float64 crosses the borders of engines as float32, by the rules
       2 to 7 of `repair_late`.

    Before: `x: float32 -> engine -> output: float32`
    After:  `x: float64 -> cast -> engine -> cast -> output: float64`

    Args:
        split: the partitioned graph.
        promised_inputs: dtype that the caller passes, by placeholder.
        promised: the exported outputs' fake values, in order.
    """
    describe_calls(split)
    casts = CastLedger(split)
    output = output_node(split.graph)
    for node in placeholders(split):
        passed = promised_inputs.get(node.name)
        value = node.meta.get("val")
        if passed is None or not isinstance(value, torch.Tensor) or passed == value.dtype:
            continue
        if passed.is_complex and not value.dtype.is_complex:
            continue
        refresh_metadata(node, value.to(passed))
        readers = [r for r in node.users if r is not output and not _casts_to(r, passed)]
        casts.insert(node, value.dtype, Direction.PROGRAM_INPUT, readers)
    _cast_into_engines(split, casts)
    made = {
        source.meta[NODE_MARK]: source.meta.get("val")
        for _, source in engine_values(split)
        if source is not None and NODE_MARK in source.meta
    }
    _cast_out_of_engines(split, casts, made, None)
    _restore_complex(split)
    returned = list(output_values(split.graph))
    for i, (value, wanted) in enumerate(zip(returned, promised, strict=True)):
        # By place: one node may stand for outputs of different dtypes.
        if not isinstance(value, Node) or not differ(value.meta.get("val"), wanted):
            continue
        if value.target is CAST and not differ(value.args[0].meta.get("val"), wanted):
            returned[i] = value.args[0]
        else:
            returned[i] = casts.cast(value, wanted.dtype, Direction.PROGRAM_OUTPUT, [output])
    first = output.args[0]
    output.args = (returned if isinstance(first, (tuple, list)) else returned[0],)
    return casts.finish()


def _casts_to(node: Node, dtype: torch.dtype) -> bool:
    """Returns whether a node of the PyTorch part is a cast to a dtype."""
    return node.target is CAST and node.meta["val"].dtype == dtype


def _convert_constants(split: GraphModule, narrowings: Narrowings) -> None:
    """Gives engines a converted copy of the constants that they read from the PyTorch part."""
    for constant in [node for node in split.graph.nodes if node.op == "get_attr"]:
        value = constant.meta.get("val")
        wanted = {
            call: engine_dtype(placeholder.meta.get("val"))
            for call, engine in engine_nodes(split)
            for operand, placeholder in zip(call.args, placeholders(engine), strict=True)
            if operand is constant
        }
        for call, dtype in wanted.items():
            if dtype is None or not isinstance(value, torch.Tensor) or dtype == value.dtype:
                continue
            name = f"{str(constant.target).replace('.', '_')}_{dtype_name(dtype)}"
            if not hasattr(split, name):
                tensor = fetch_attr(split, str(constant.target))
                split.register_buffer(name, narrowings.narrowed(tensor, dtype))
            with split.graph.inserting_after(constant):
                converted = split.graph.get_attr(name)
            converted.meta.update(constant.meta)
            refresh_metadata(converted, value.to(dtype))
            call.replace_input_with(constant, converted)


def _note_low_casts(split: GraphModule, casts: CastLedger) -> None:
    """Enters the casts of a low precision that the partitioner left to PyTorch."""
    for node in split.graph.nodes:
        if node.target is CAST and LOW_CAST in node.meta:
            casts.note_low(node)


def _cast_into_engines(split: GraphModule, casts: CastLedger) -> None:
    for call, engine in engine_nodes(split):
        for operand, placeholder in zip(call.args, placeholders(engine), strict=True):
            if not isinstance(operand, Node) or made_by_engine(operand):
                continue
            bound = engine_dtype(placeholder.meta.get("val"))
            if bound is not None and operand.meta["val"].dtype != bound:
                casts.insert(operand, bound, Direction.INTO_ENGINE, [call])


def _cast_out_of_engines(
    split: GraphModule, casts: CastLedger, wide: Mapping[str, Any], inferred: Typing | None
) -> None:
    """Casts what engines return narrower than it is promised.

    Args:
        split: the partitioned graph, in place.
        casts: takes the casts.
        wide: what the PyTorch part is promised, by name in the lowered graph.
        inferred: holds the original constants; None if they are narrow themselves.
    """
    for value, source in engine_values(split):
        if source is None:
            continue
        bound = engine_dtype(value.meta.get("val"))
        if bound is not None and bound != value.meta["val"].dtype:
            refresh_metadata(value, value.meta["val"].to(bound))
        readers = [user for user in value.users if not is_engine(user)]
        if not readers or bound is None:
            continue
        if source.op == "get_attr" and inferred is not None and LOW_CAST not in source.meta:
            _read_original_constant(split, value, source, readers, inferred)
            continue
        wanted = wide.get(source.meta.get(NODE_MARK, ""))
        readers = [reader for reader in readers if reader.target is not CAST]
        if isinstance(wanted, torch.Tensor) and wanted.dtype != bound and readers:
            casts.insert(value, wanted.dtype, Direction.OUT_OF_ENGINE, readers)


def leave_unrepaired(split: GraphModule) -> Program:
    """Restores the complex interface only, in place, for timing `off`."""
    describe_calls(split)
    _restore_complex(split)
    return CastLedger(split).finish()


class _PytorchPart:
    """Gives the nodes left to PyTorch back what truncation changed in them."""

    def __init__(self, inferred: Typing, truncated: Typing) -> None:
        self.wide = dict(_values(inferred.module))
        self.edits: Mapping[str, Edit] = truncated.edits

    def restore(self, module: GraphModule) -> None:
        for node in module.graph.nodes:
            mark = node.meta.get(NODE_MARK)
            if is_engine(node) or made_by_engine(node):
                continue
            if node.op == "call_module":
                submodule = getattr(module, str(node.target))
                if isinstance(submodule, GraphModule):
                    self.restore(submodule)
                    submodule.recompile()
                continue
            if node.op == "call_function" and mark in self.edits:
                _restore_dtypes(node, self.edits[mark])
            if node.op != "output" and mark in self.wide:
                refresh_metadata(node, self.wide[mark])
            elif node.op == "get_attr" and LOW_CAST in node.meta:
                # What engines read of it in the low type is converted, as of any constant.
                refresh_metadata(node, self.wide[node.meta[LOW_CAST]])
        describe_calls(module)


def _restore_dtypes(node: Node, edit: Edit) -> None:
    args = tuple(
        before if isinstance(before, (torch.dtype, float)) else now
        for now, before in zip(node.args, edit.args, strict=True)
    )
    kwargs = {
        key: edit.kwargs[key]
        if isinstance(edit.kwargs.get(key), (torch.dtype, float))
        else now
        for key, now in node.kwargs.items()
        if key in edit.kwargs
    }
    node.args, node.kwargs = args, kwargs


def _values(module: GraphModule) -> Iterable[tuple[str, Any]]:
    return ((node.name, node.meta.get("val")) for node in module.graph.nodes)


def _read_original_constant(
    split: GraphModule, value: Node, source: Node, readers: list[Node], inferred: Typing
) -> None:
    original = next(
        node for node in inferred.module.graph.nodes if node.name == source.meta[NODE_MARK]
    )
    with split.graph.inserting_after(value):
        constant = split.graph.get_attr(str(original.target))
    constant.meta.update(original.meta)
    for reader in readers:
        reader.replace_input_with(value, constant)


def _restore_complex(split: GraphModule) -> None:
    """Gives a rewritten complex program its complex inputs and outputs back, in place.

    Source: torch_tensorrt 2.13, `dynamo/_compiler.py` _insert_complex_io_adapters, whose place
    this takes because boundary casts stand between the engine and the output here.
    """
    for node in placeholders(split):
        if not node.name.endswith(COMPLEX_INPUT_SUFFIX):
            continue
        value = node.meta["val"]
        readers = list(node.users)
        with split.graph.inserting_after(node):
            real = split.graph.call_function(torch.ops.aten.view_as_real.default, (node,))
        refresh_metadata(real, value)
        with fake_mode_of(split):
            refresh_metadata(node, torch.view_as_complex(value))
        for reader in readers:
            reader.replace_input_with(node, real)
    output = output_node(split.graph)
    values = output_values(split.graph)
    for index in split.meta.get("complex_output_indices", ()):
        value = values[index]
        if not isinstance(value, Node) or not isinstance(value.meta.get("val"), torch.Tensor):
            continue
        if value.meta["val"].dtype.is_complex:
            continue
        with split.graph.inserting_before(output):
            whole = split.graph.call_function(torch.ops.aten.view_as_complex.default, (value,))
        with fake_mode_of(split):
            refresh_metadata(whole, torch.view_as_complex(value.meta["val"]))
        output.replace_input_with(value, whole)
