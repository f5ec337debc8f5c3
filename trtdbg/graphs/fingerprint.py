"""What an engine is built from, as one digest: equal digests build equal engines.

This is ground for the stage that builds, not a stage.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any, Final

import torch
from torch.fx import GraphModule

from trtdbg.graphs.graph import fetch_attr, recorded_dtype, value_shape

_CHUNK_ELEMENTS: Final = 1 << 22
"""Elements of a constant that are copied at a time, where copying cannot be avoided."""


def fingerprint(
    engine: GraphModule, inputs: Any, declared: Any, options: Any, *about: object
) -> str:
    """Returns the SHA-256 of all that decides what TensorRT builds of a subgraph, in hex.

    Unlike torch_tensorrt's own `BaseEngineCache.get_hash` (2.13), which leaves the values of
    constants out because it refits weights, this digest holds them.

    Args:
        engine: operators, arguments, dtypes, shapes and the bytes of its constants count.
        inputs: the `torch_tensorrt.Input`s, with the ranges of their shapes.
        declared: dtypes of the outputs.
        options: torch_tensorrt's CompilationSettings.
        about: what else decides: versions, the target.
    """
    digest = hashlib.sha256()
    settings = sorted(
        (field.name, repr(getattr(options, field.name)))
        for field in dataclasses.fields(options)
    )
    for part in (*about, settings, [repr(each) for each in inputs], repr(declared)):
        digest.update(repr(part).encode() + b"\0")
    for node in engine.graph.nodes:
        value = node.meta.get("val")
        shape = value_shape(value) if isinstance(value, torch.Tensor) else repr(value)
        told = (node.name, node.op, str(node.target), repr(node.args), repr(node.kwargs))
        digest.update(repr((told, recorded_dtype(node), shape)).encode() + b"\0")
        if node.op == "get_attr":
            _add_constant(digest, fetch_attr(engine, str(node.target)))
    return digest.hexdigest()


def _add_constant(digest: Any, value: Any) -> None:
    if not isinstance(value, torch.Tensor):
        digest.update(repr(value).encode() + b"\0")
        return
    digest.update(repr((str(value.dtype), tuple(value.shape))).encode() + b"\0")
    flat = value.detach().reshape(-1)
    for start in range(0, flat.numel(), _CHUNK_ELEMENTS):
        chunk = flat[start : start + _CHUNK_ELEMENTS].contiguous().cpu()
        digest.update(chunk.view(torch.uint8).numpy())
