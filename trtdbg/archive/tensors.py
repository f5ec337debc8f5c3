"""Makes the tensors of an archive: weights, constants, example inputs.

Large ones are mapped from the file, so that they need not fit into memory. The mapping is
private: what writes to a tensor gets its own copy of that page.

Source: torch 2.13, `export/pt2_archive/_package.py` (_build_file_map, _load_state_dict,
_load_constants).
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import _weights_only_unpickler
from torch._export.serde import schema, serialize
from torch.utils._pytree import tree_leaves

from trtdbg.archive import container, pickled
from trtdbg.archive.entries import Entries
from trtdbg.errors import ModelError

_FEWEST_BYTES: Final = 1 << 16
"""Smaller tensors are copied: a process has 65,530 mappings (Linux)."""

Config = Mapping[str, Any]
"""Payloads by the name of their owner, as `schema.PayloadMeta`."""


def config_of(value: Mapping[str, Any]) -> Config:
    """Returns the payloads that a configuration lists; its JSON is vetted."""
    made: Any = serialize._dict_to_dataclass(schema.PayloadConfig, value)
    payloads: Config = made.config
    return payloads


@dataclass(frozen=True)
class Reader:
    """Makes tensors of the entries of one archive."""

    entries: Entries
    trust: bool
    """Whether pickles may hold anything, and run code."""

    def weights(self, config: Config) -> dict[str, torch.Tensor]:
        """Returns the parameters and buffers of a program by their names."""
        made = {}
        for owner, tensor in self._tensors("data/weights", config):
            payload = config[owner]
            if payload.is_param and not isinstance(tensor, torch.nn.Parameter):
                meta = payload.tensor_meta
                needs = bool(meta is not None and meta.requires_grad)
                tensor = torch.nn.Parameter(tensor, requires_grad=needs)
            made[owner] = tensor
        return made

    def constants(self, config: Config) -> dict[str, Any]:
        """Returns the constants of a program by their names; tensors only, unless trusted."""
        objects = {
            owner: payload
            for owner, payload in config.items()
            if payload.path_name.startswith(container.OBJECT_PREFIXES)
        }
        rest = {owner: config[owner] for owner in config if owner not in objects}
        made = dict(self._tensors("data/constants", rest))
        for owner, payload in objects.items():
            made[owner] = self._object(payload.path_name)
        return {owner: made[owner] for owner in config}

    def unpickled(self, name: str, kind: type) -> Any:
        """Returns what a file of torch.save holds, read by torch's restricted unpickler.

        Args:
            name: the entry.
            kind: what it has to be.

        Raises:
            ModelError: it is something else, needs more than tensors are made of, or holds
                tensors of a layout that TensorRT does not take.
        """
        value = self._loaded(name) if self.entries.size_of(name) else kind()
        if not isinstance(value, kind):
            raise self._refused(f"{name} holds a {type(value).__name__}", container.DAMAGED)
        odd = None if self.trust else _odd_layout(value)
        if odd is not None:
            raise self._odd(name, odd)
        return value

    def _loaded(self, name: str) -> Any:
        data = self.entries.read(name)
        if self.trust:
            return self._loaded_by_torch(name, data, anything=True)
        try:
            return pickled.saved(data, _placed)
        except pickled.UnknownGlobalError as cause:
            if pickled.globals_of(data) <= _known_to_torch():
                return self._loaded_by_torch(name, _written_anew(data), anything=False)
            odd = next((kind for part, kind in _ODD.items() if part in cause.name), None)
            if odd is not None and cause.name.startswith("torch."):
                raise self._odd(name, odd) from cause
            raise self._refused(
                f"the pickle in {name} names {cause.name[:80]}", container.TRUST
            ) from cause
        except (ValueError, *container.ZIP_ERRORS) as cause:
            raise self._refused(
                f"{name} is not what torch.save writes ({str(cause)[:120]})", container.DAMAGED
            ) from cause

    def _loaded_by_torch(self, name: str, data: bytes, *, anything: bool) -> Any:
        """Returns what torch reads: anything, or only what its restricted reader admits."""
        try:
            return torch.load(io.BytesIO(data), weights_only=not anything)
        except pickle.UnpicklingError as cause:
            reason = " ".join(str(cause).split())[:120]
            raise self._refused(
                f"the pickle in {name} needs more than tensors are made of ({reason})",
                container.TRUST,
            ) from cause
        except (MemoryError, RecursionError):
            raise
        except Exception as cause:  # torch's reader raises what it comes upon.
            raise self._refused(
                f"{name} is not what torch.save writes ({type(cause).__name__})",
                container.DAMAGED,
            ) from cause

    def _odd(self, name: str, kind: str) -> ModelError:
        return ModelError(
            f"{self.entries.archive.path}: {name} holds a {kind} tensor, which TensorRT "
            "does not take",
            remedy="export the model with dense tensors",
        )

    def _object(self, file: str) -> Any:
        """Returns a constant that is no tensor, from a trusted file: it unpickles itself."""
        assert self.trust
        data = self.entries.read(f"data/constants/{file}")
        if file.startswith(container.OBJECT_PREFIXES[0]):
            return torch._C._pickle_load_obj(data)
        return pickle.loads(data)

    def _tensors(self, folder: str, config: Config) -> Iterable[tuple[str, torch.Tensor]]:
        """Yields the tensor of each owner; owners of one file share its memory."""
        flat: dict[str, torch.Tensor] = {}
        for owner, payload in config.items():
            name = f"{folder}/{payload.path_name}"
            if payload.use_pickle:
                yield owner, self.unpickled(name, torch.Tensor)
                continue
            if payload.tensor_meta is None:
                raise self._impossible(owner, "its sizes are missing")
            if name not in flat:
                flat[name] = self._flat(name, owner, payload.tensor_meta)
            yield owner, self._strided(owner, flat[name], payload.tensor_meta)

    def _flat(self, name: str, owner: str, meta: Any) -> torch.Tensor:
        """Returns the bytes of an entry as a tensor with one axis."""
        dtype = serialize.deserialize_scalar_type(meta.dtype)
        size = self.entries.size(name)
        if size % dtype.itemsize:
            raise self._impossible(owner, f"{size} bytes are no multiple of its dtype's")
        device = serialize.deserialize_device(meta.device)
        tensor = self._bytes(name, size, dtype).to(device)
        return tensor.requires_grad_(True) if meta.requires_grad else tensor

    def _bytes(self, name: str, size: int, dtype: torch.dtype) -> torch.Tensor:
        if not size:
            return torch.empty(0, dtype=dtype)
        offset = self.entries.offset(name)
        if offset is None or size < _FEWEST_BYTES or offset % dtype.itemsize:
            # A bytearray, since torch warns of memory that cannot be written.
            return torch.frombuffer(bytearray(self.entries.read(name)), dtype=dtype)
        path = self.entries.archive.path
        content = np.memmap(path, dtype=np.uint8, mode="c", offset=offset, shape=(size,))
        return torch.from_numpy(content).view(dtype)

    def _strided(self, owner: str, flat: torch.Tensor, meta: Any) -> torch.Tensor:
        sizes = serialize.deserialize_size(meta.sizes)
        if not flat.numel():
            # Tensors of the device meta have sizes and no values.
            if 0 not in sizes and meta.device.type != "meta":
                raise self._impossible(owner, "its file is empty")
            return torch.zeros(sizes, dtype=flat.dtype, device=flat.device)
        strides = serialize.deserialize_stride(meta.strides)
        start = serialize.deserialize_storage_offset(meta.storage_offset)
        try:
            # torch checks that this stays inside the storage.
            return torch.as_strided(flat, sizes, strides, start)
        except (RuntimeError, TypeError) as cause:
            raise self._impossible(owner, "its sizes do not fit its file") from cause

    def _impossible(self, owner: str, why: str) -> ModelError:
        return self._refused(f"the tensor {owner!r} cannot be: {why}", container.DAMAGED)

    def _refused(self, why: str, remedy: str) -> ModelError:
        return ModelError(f"{self.entries.archive.path} is refused: {why}", remedy=remedy)


_ODD: Final = {"nested": "nested", "sparse": "sparse", "qtensor": "quantized"}
"""Tensors that are legal and that TensorRT does not take, by what their pickle names."""


def _placed(flat: torch.Tensor, location: str) -> torch.Tensor:
    """Returns bytes on the device that a pickle names, such as `cuda:0`, if it is here."""
    kind, _, index = location.partition(":")
    number = int(index[:4]) if index.isdecimal() else None
    return flat.to(serialize.deserialize_device(schema.Device(type=kind, index=number)))


def _known_to_torch() -> frozenset[str]:
    """Returns what torch's restricted unpickler calls, and what libraries of --import add.

    Source: torch 2.13, `_weights_only_unpickler.py` (_get_allowed_globals).
    """
    known = set(_weights_only_unpickler._get_allowed_globals()) | pickled.KNOWN
    for each in torch.serialization.get_safe_globals():
        kind, name = each if isinstance(each, tuple) else (each, None)
        known.add(name or f"{kind.__module__}.{kind.__qualname__}")
    return frozenset(name for name in known if "nested" not in name and "sparse" not in name)


def _written_anew(data: bytes) -> bytes:
    """Returns an archive of torch.save with the same entries and no room for two readings."""
    clean = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as opened, zipfile.ZipFile(clean, "w") as out:
        for name in opened.namelist():
            out.writestr(f"archive/{name.partition('/')[2]}", opened.read(name))
    return clean.getvalue()


def _odd_layout(value: object) -> str | None:
    """Returns the layout of the first tensor that is not dense, in words."""
    for leaf in tree_leaves(value):
        if isinstance(leaf, torch.Tensor) and leaf.is_nested:
            return "nested"
        if isinstance(leaf, torch.Tensor) and leaf.layout is not torch.strided:
            return str(leaf.layout).removeprefix("torch._").removeprefix("torch.")
    return None
