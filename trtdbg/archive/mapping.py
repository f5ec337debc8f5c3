"""Maps weights and constants from the archive, so that they need not fit into memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from torch.export.pt2_archive import _package

from trtdbg.archive.container import Archive

_FEWEST_BYTES: Final = 1 << 16
"""Smaller weights are copied: a process has 65,530 mappings (Linux)."""


@contextlib.contextmanager
def mapped_weights(archive: Archive) -> Iterator[None]:
    """Makes the deserialization inside map large raw weights instead of copying them.

    The mapping is private: what writes to a weight gets its own copy of that page.

    Source: torch 2.13, `export/pt2_archive/_package.py` (_build_file_map), which returns one
    flat tensor for each file that a configuration names.
    """
    copied = _package._build_file_map

    def build(reader: Any, config: Any, folder: str) -> dict[str, torch.Tensor]:
        mapped: dict[str, torch.Tensor] = {}
        rest = {}
        for owner, payload in config.config.items():
            name = os.path.join(folder, payload.path_name)
            if payload.path_name in mapped:
                continue
            if payload.use_pickle or not _can_map(archive, reader, name, payload):
                rest[owner] = payload
                continue
            mapped[payload.path_name] = _map(archive, reader, name, payload)
        flat: dict[str, torch.Tensor] = copied(reader, type(config)(config=rest), folder)
        return flat | mapped

    _package._build_file_map = build
    try:
        yield
    finally:
        _package._build_file_map = copied


def _can_map(archive: Archive, reader: Any, name: str, payload: Any) -> bool:
    if name in archive.compressed or payload.tensor_meta is None:
        return False
    if reader.archive_file.get_record_size(name) < _FEWEST_BYTES:
        return False
    dtype = _package.deserialize_scalar_type(payload.tensor_meta.dtype)
    start = reader.archive_file.get_record_offset(name)
    size = reader.archive_file.get_record_size(name)
    return bool(start % dtype.itemsize == 0 and size % dtype.itemsize == 0)


def _map(archive: Archive, reader: Any, name: str, payload: Any) -> torch.Tensor:
    meta = payload.tensor_meta
    content = np.memmap(
        archive.path,
        dtype=np.uint8,
        mode="c",
        offset=reader.archive_file.get_record_offset(name),
        shape=(reader.archive_file.get_record_size(name),),
    )
    tensor = torch.from_numpy(content).view(_package.deserialize_scalar_type(meta.dtype))
    tensor = tensor.to(_package.deserialize_device(meta.device))
    return tensor.requires_grad_(True) if meta.requires_grad else tensor
