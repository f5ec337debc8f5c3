"""Carries truncation out inside engines: real constants, and casts where none is asked."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node

from trtdbg.graphs.graph import (
    NODE_MARK,
    Typing,
    dtype_name,
    engine_nodes,
    fetch_attr,
    refresh_metadata,
    torch_dtype,
)
from trtdbg.graphs.splits import engine_values, is_engine
from trtdbg.graphs.tensors import Narrowings
from trtdbg.records import ConstantRecord, Dtype

CHUNK_ELEMENTS = 1 << 20
"""Errors are computed this many elements at a time: a few copies in float64, 8 MB each."""


def narrow_engines(split: GraphModule, truncated: Typing, narrowings: Narrowings) -> None:
    """Makes the submodules of a split graph compute in the truncated dtypes, in place.

    1. A constant that truncation narrows is converted, once for all engines; the tensor of the
       loaded program, which the PyTorch part shares, stays as it is.
    2. A node that creates a wide dtype without a `dtype` keyword (argmax, topk) is followed by
       a cast, so that TensorRT's value has the dtype that the rest of the engine was judged
       with.
    """
    for _, engine in engine_nodes(split):
        _narrow_constants(engine, truncated.narrowed_constants, narrowings)
        _narrow_results(engine, truncated.narrowed_results)
        engine.recompile()


def held_constants(split: GraphModule) -> frozenset[str]:
    """Returns the lowered names of the constants that engines compute with.

    One that an engine merely hands on to the PyTorch part is not among them; one that it hands
    to another engine is, and so is one that an engine reads from the PyTorch part.
    """
    handed_on = {
        source
        for value, source in engine_values(split)
        if source is not None and any(map(is_engine, value.users))
    }
    held = [
        node
        for _, engine in engine_nodes(split)
        for node in engine.graph.nodes
        if node.op == "get_attr"
        and (node in handed_on or any(user.op != "output" for user in node.users))
    ]
    read = [
        n for n in split.graph.nodes if n.op == "get_attr" and any(map(is_engine, n.users))
    ]
    return frozenset(node.meta.get(NODE_MARK, node.name) for node in (*held, *read))


def _narrow_constants(
    engine: GraphModule, narrowed: dict[str, str], narrowings: Narrowings
) -> None:
    converted: dict[tuple[str, str], str] = {}
    for node in engine.graph.nodes:
        if node.op != "get_attr" or node.meta.get(NODE_MARK) not in narrowed:
            continue
        target, name = str(node.target), narrowed[node.meta[NODE_MARK]]
        key = (target, name)
        if key not in converted:
            converted[key] = _free_name(engine, f"{target.replace('.', '_')}_narrowed")
            tensor = narrowings.narrowed(fetch_attr(engine, target), torch_dtype(name))
            engine.register_buffer(converted[key], tensor)
        node.target = converted[key]


def _free_name(engine: GraphModule, name: str) -> str:
    while hasattr(engine, name):
        name += "_"
    return name


def _narrow_results(engine: GraphModule, results: dict[str, Dtype]) -> None:
    for node in list(engine.graph.nodes):
        if node.op != "call_function" or node.meta.get(NODE_MARK) not in results:
            continue
        for value, name in _created(node, results[node.meta[NODE_MARK]]):
            _cast_behind(engine, value, torch_dtype(name))


def _created(node: Node, dtypes: Dtype) -> list[tuple[Node, str]]:
    """Returns the nodes that hold what `node` creates, each with its narrow dtype."""
    if isinstance(dtypes, str):
        return [(node, dtypes)]
    found = []
    for user in node.users:
        index = user.args[1] if user.op == "call_function" and len(user.args) > 1 else None
        name = dtypes[index] if isinstance(index, int) and dtypes is not None else None
        if name is not None:
            found.append((user, name))
    return found


def _cast_behind(engine: GraphModule, value: Node, dtype: torch.dtype) -> None:
    readers = list(value.users)
    with engine.graph.inserting_after(value):
        cast = engine.graph.call_function(
            torch.ops.aten._to_copy.default, (value,), {"dtype": dtype}
        )
    refresh_metadata(cast, value.meta["val"])
    cast.meta[NODE_MARK] = value.meta.get(NODE_MARK)
    for reader in readers:
        reader.replace_input_with(value, cast)


def constant_records(
    inferred: Typing,
    truncated: Typing,
    held: Container[str] | None = None,
    low: Typing | None = None,
) -> tuple[ConstantRecord, ...]:
    """Returns a row per constant of the lowered graph, with what narrowing does to it.

    Args:
        inferred: the lowered graph with its original constants.
        truncated: says which constants the policy narrows.
        held: names of the constants that are really narrowed, being in an engine; what the
            PyTorch part alone reads keeps its dtype. None stands for all constants.
        low: the same graph in a low precision; None without one.
    """
    rows: dict[str, ConstantRecord] = {}
    lowered = _lowered_constants(low, held) if low is not None else {}
    for node in inferred.module.graph.nodes:
        if node.op != "get_attr":
            continue
        tensor = fetch_attr(inferred.module, str(node.target))
        if not isinstance(tensor, torch.Tensor):
            continue
        narrow = truncated.narrowed_constants.get(node.name)
        if held is not None and node.name not in held:
            narrow = None
        name = str(node.target)
        other = lowered.get(node.name)
        if name not in rows or ((narrow or other) and rows[name].max_abs_error is None):
            rows[name] = _constant_record(name, tensor.detach(), narrow, other)
    return tuple(rows.values())


def _lowered_constants(low: Typing, held: Container[str] | None) -> dict[str, str]:
    """Returns the low type of each constant that an engine reads in it, by lowered node."""
    found: dict[str, str] = {}
    for name, dtype in low.narrowed_constants.items():
        if dtype in LOW and (held is None or name in held):
            found[low.low_casts.get(name, name)] = dtype
    return found


LOW = ("float16", "bfloat16")


@dataclass
class _Damage:
    """What narrowing does to a constant, gathered chunk by chunk."""

    dtype: torch.dtype
    """What the values are converted to."""
    absolute: float | None = None
    relative: float | None = None
    overflowed: int = 0
    underflowed: int = 0

    def add(self, wide: torch.Tensor) -> None:
        """Takes a chunk of values into account."""
        narrow = wide.to(self.dtype)
        kept = torch.isfinite(wide) & torch.isfinite(narrow)
        error = (narrow.to(torch.float64) - wide.to(torch.float64)).abs()[kept]
        scale = wide.to(torch.float64).abs()[kept]
        if wide.dtype.is_floating_point:
            tiny = torch.finfo(narrow.dtype).tiny
            self.overflowed += int((torch.isinf(narrow) & torch.isfinite(wide)).sum())
            self.underflowed += int(((narrow.abs() < tiny) & (wide != 0)).sum())
        else:
            self.overflowed += int((narrow != wide).sum())
        if error.numel() == 0:
            return
        relative = torch.where(scale > 0, error / scale, 0.0)
        self.absolute = max(self.absolute or 0.0, float(error.max()))
        self.relative = max(self.relative or 0.0, float(relative.max()))


def _constant_record(
    name: str, tensor: torch.Tensor, narrow: str | None, low: str | None = None
) -> ConstantRecord:
    original = dtype_name(tensor.dtype)
    row = ConstantRecord(
        name=name, original=original, truncated=original, elements=tensor.numel()
    )
    final = low or narrow
    if final is None or tensor.is_meta:
        return row
    damage = _Damage(torch_dtype(final))
    if tensor.is_complex():
        damage.dtype = torch.float32
    for chunk in _chunks(tensor):
        damage.add(chunk)
    return ConstantRecord(
        name=name,
        original=original,
        truncated=narrow or original,
        low=low,
        max_abs_error=damage.absolute,
        max_rel_error=damage.relative,
        overflowed=damage.overflowed,
        underflowed=damage.underflowed,
        elements=row.elements,
    )


def _chunks(tensor: torch.Tensor) -> Any:
    """Yields the values of a tensor, complex ones by their parts, a chunk at a time."""
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    if tensor.is_contiguous():
        yield from tensor.view(-1).split(CHUNK_ELEMENTS)
    elif tensor.numel() <= CHUNK_ELEMENTS or tensor.dim() == 0:
        yield tensor.reshape(-1)
    else:
        # Flattening it would copy it whole.
        for part in tensor:
            yield from _chunks(part)
