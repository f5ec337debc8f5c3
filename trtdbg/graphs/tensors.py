"""Narrow copies of constants, each made once however many engines and policies use it."""

from __future__ import annotations

import weakref
from typing import Any

import torch


class Narrowings:
    """Keeps track of the narrow copies in use; one that nobody uses any more is freed.

    Tensors that share storage, shape and strides share their narrow copy too. The originals
    have to outlive this object.
    """

    def __init__(self) -> None:
        self._copies: weakref.WeakValueDictionary[Any, torch.Tensor] = (
            weakref.WeakValueDictionary()
        )

    def narrowed(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Returns a tensor converted to `dtype`; a parameter stays one, without gradient."""
        key = (
            tensor.untyped_storage().data_ptr(),
            tensor.storage_offset(),
            tuple(tensor.shape),
            tensor.stride(),
            tensor.dtype,
            tensor._version,
            isinstance(tensor, torch.nn.Parameter),
            dtype,
        )
        copy = self._copies.get(key)
        if copy is None:
            copy = tensor.detach().to(dtype)
            if isinstance(tensor, torch.nn.Parameter):
                copy = torch.nn.Parameter(copy, requires_grad=False)
            self._copies[key] = copy
        return copy
