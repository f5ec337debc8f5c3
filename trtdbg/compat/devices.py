"""Puts on the CPU what was exported on a device that this machine lacks.

torch.export.load has no `map_location` (2.13), and an archive names the device of every
tensor: in the graph's JSON, in the configuration of weights and constants, and in pickles. The
places that read those names are answered here, only while an archive is read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import torch
from torch._export.serde import serialize
from torch.export import ExportedProgram
from torch.export.pt2_archive import _package

_FIRST: Final = 0
"""Before the priorities of torch's own restorers, which begin at 10 (2.13)."""


@contextlib.contextmanager
def patched_device_lookup() -> Iterator[set[str]]:
    """Makes the deserialization inside use the CPU for absent devices; yields their names.

    Source: torch 2.13. `_export/serde/serialize.py` (deserialize_device: values and device
    arguments), `export/pt2_archive/_package.py` (the same function under its imported name:
    weights and constants), `serialization.py` (_package_registry, the list behind
    `torch.serialization.register_package`: example inputs and pickled tensors).
    """
    moved: set[str] = set()
    deserialize_device = serialize.deserialize_device

    def device_here(serialized: Any) -> torch.device:
        if is_present(serialized.type, serialized.index):
            return deserialize_device(serialized)
        moved.add(_name(serialized.type, serialized.index))
        return torch.device("cpu")

    def restore(storage: Any, location: str) -> Any:
        kind, _, index = location.partition(":")
        if is_present(kind, int(index) if index.isdigit() else None):
            return None
        moved.add(location)
        return storage

    restorer = (_FIRST, lambda _storage: None, restore)
    registry = torch.serialization._package_registry
    registry.insert(0, restorer)
    serialize.deserialize_device = device_here
    _package.deserialize_device = device_here
    try:
        yield moved
    finally:
        registry.remove(restorer)
        serialize.deserialize_device = deserialize_device
        _package.deserialize_device = deserialize_device


def is_present(kind: str, index: int | None) -> bool:
    """Returns whether tensors can live on a device such as `cuda`, 0 on this machine."""
    if kind == "cpu":
        return True
    if kind == "meta":
        # Its tensors have no values. As zeros on the CPU they have all that an analysis reads.
        return False
    try:
        module = torch.get_device_module(kind)
    except RuntimeError:
        return False
    return bool(module.is_available()) and (index or 0) < module.device_count()


def move_autocast(program: ExportedProgram, moved: set[str]) -> None:
    """Turns autocast regions of the moved devices into regions of the CPU, in place.

    On a machine without CUDA a region of `cuda` would cast nothing, and every dtype in it
    would differ from the export. The CPU's lists of operators that run narrow or wide are not
    those of CUDA, so a few dtypes can still differ (softmax, for one, stays narrow).
    """
    kinds = {name.partition(":")[0] for name in moved}
    for module in program.graph_module.modules():
        if not isinstance(module, torch.fx.GraphModule):
            continue
        for node in module.graph.nodes:
            if (
                node.target is torch.ops.higher_order.wrap_with_autocast
                and node.args[0] in kinds
            ):
                kind, dtype, *rest = node.args
                node.args = ("cpu", dtype or torch.get_autocast_dtype(kind), *rest)
        module.recompile()


def _name(kind: str, index: int | None) -> str:
    return kind if index is None else f"{kind}:{index}"
