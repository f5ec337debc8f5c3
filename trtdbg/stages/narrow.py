"""Carries truncation out inside engines: real constants, and casts where none is asked."""

from __future__ import annotations

import math

import torch
from torch.fx import GraphModule

from trtdbg.dtypes import NARROWED
from trtdbg.records import ConstantRecord, Dtype
from trtdbg.stages.graph import (
    NODE_MARK,
    Typing,
    dtype_name,
    engine_nodes,
    fetch_attr,
    refresh_metadata,
    torch_dtype,
)

FITS = {torch.int32: (-(2**31), 2**31 - 1)}


def narrow_engines(split: GraphModule, truncated: Typing) -> None:
    """Makes the submodules of a split graph compute in the truncated dtypes, in place.

    1. A constant that truncation narrows is converted, once per engine; the tensor of the
       loaded program, which the PyTorch part shares, stays as it is.
    2. A node that creates a wide dtype without a `dtype` keyword (argmax, topk) is followed by
       a cast, so that TensorRT's value has the dtype that the rest of the engine was judged
       with.
    """
    for _, engine in engine_nodes(split):
        _narrow_constants(engine, truncated.narrowed_constants)
        _narrow_results(engine, truncated.narrowed_results)
        engine.recompile()


def _narrow_constants(engine: GraphModule, narrowed: dict[str, str]) -> None:
    converted: dict[str, str] = {}
    for node in engine.graph.nodes:
        if node.op != "get_attr" or node.meta.get(NODE_MARK) not in narrowed:
            continue
        target = str(node.target)
        if target not in converted:
            name = f"{target.replace('.', '_')}_narrowed"
            dtype = torch_dtype(narrowed[node.meta[NODE_MARK]])
            tensor = fetch_attr(engine, target).detach().to(dtype)
            engine.register_buffer(name, tensor)
            converted[target] = name
        node.target = converted[target]


def _narrow_results(engine: GraphModule, results: dict[str, Dtype]) -> None:
    for node in list(engine.graph.nodes):
        if node.op != "call_function" or node.meta.get(NODE_MARK) not in results:
            continue
        values = [node]
        if isinstance(node.meta.get("val"), (tuple, list)):
            values = [user for user in node.users if user.op == "call_function"]
        for value in values:
            fake = value.meta.get("val")
            if not isinstance(fake, torch.Tensor):
                continue
            users = list(value.users)
            with engine.graph.inserting_after(value):
                cast = engine.graph.call_function(
                    torch.ops.aten._to_copy.default, (value,), {"dtype": fake.dtype}
                )
            refresh_metadata(cast, fake)
            cast.meta[NODE_MARK] = value.meta.get(NODE_MARK)
            for user in users:
                user.replace_input_with(value, cast)


def constant_records(inferred: Typing, truncated: Typing) -> tuple[ConstantRecord, ...]:
    """Returns a row per constant of the lowered graph, with what narrowing does to it."""
    rows: dict[str, ConstantRecord] = {}
    for node in inferred.module.graph.nodes:
        if node.op != "get_attr" or str(node.target) in rows:
            continue
        tensor = fetch_attr(inferred.module, str(node.target))
        if isinstance(tensor, torch.Tensor):
            narrow = truncated.narrowed_constants.get(node.name)
            rows[str(node.target)] = _constant_record(
                str(node.target), tensor.detach(), narrow
            )
    return tuple(rows.values())


def _constant_record(name: str, tensor: torch.Tensor, narrow: str | None) -> ConstantRecord:
    original = dtype_name(tensor.dtype)
    row = ConstantRecord(
        name=name, original=original, truncated=original, elements=tensor.numel()
    )
    if narrow is None or tensor.numel() == 0 or tensor.is_meta:
        return row
    assert NARROWED[original] == narrow
    errors = _integer_errors if not tensor.dtype.is_floating_point else _float_errors
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
        errors = _float_errors
    absolute, relative, overflowed, underflowed = errors(tensor)
    return ConstantRecord(
        name=name,
        original=original,
        truncated=narrow,
        max_abs_error=absolute,
        max_rel_error=relative,
        overflowed=overflowed,
        underflowed=underflowed,
        elements=row.elements,
    )


def _float_errors(wide: torch.Tensor) -> tuple[float | None, float | None, int, int]:
    narrow = wide.to(torch.float32)
    overflowed = int((torch.isinf(narrow) & torch.isfinite(wide)).sum())
    tiny = torch.finfo(torch.float32).tiny
    underflowed = int(((narrow.abs() < tiny) & (wide != 0)).sum())
    kept = torch.isfinite(narrow) & torch.isfinite(wide)
    if not bool(kept.any()):
        return None, None, overflowed, underflowed
    error = (narrow[kept].to(torch.float64) - wide[kept]).abs()
    scale = wide[kept].abs()
    relative = torch.where(scale > 0, error / scale, torch.zeros_like(error))
    return float(error.max()), float(relative.max()), overflowed, underflowed


def _integer_errors(wide: torch.Tensor) -> tuple[float | None, float | None, int, int]:
    low, high = FITS[torch.int32]
    overflowed = int(((wide < low) | (wide > high)).sum())
    if overflowed == 0:
        return 0.0, 0.0, 0, 0
    error = (wide.to(torch.int32).to(torch.float64) - wide.to(torch.float64)).abs()
    scale = wide.to(torch.float64).abs()
    relative = float((error[scale > 0] / scale[scale > 0]).max())
    return float(error.max()), relative if math.isfinite(relative) else None, overflowed, 0
