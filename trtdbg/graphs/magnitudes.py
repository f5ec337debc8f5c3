"""Counts what a low floating type makes of the magnitudes of a value.

This is ground for the stages that run a program, not a stage.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from trtdbg.graphs.deviations import CHUNK_ELEMENTS
from trtdbg.graphs.graph import torch_dtype
from trtdbg.records import ValueRange


def magnitudes(value: Any, dtype: str) -> ValueRange | None:
    """Returns the magnitudes of a value's floats; None if it has none.

    Args:
        value: a tensor, or a tuple that counts as one.
        dtype: the low type that elements are said to leave, or to be subnormal in.
    """
    floats = [
        leaf.detach()
        for leaf in tree_leaves(value)
        if isinstance(leaf, torch.Tensor) and leaf.dtype.is_floating_point and leaf.numel()
    ]
    found: ValueRange | None = None
    for leaf in floats:
        for part in leaf.reshape(-1).split(CHUNK_ELEMENTS):
            seen = _of_part(part, torch_dtype(dtype))
            found = seen if found is None else _joined(found, seen)
    return found


def _of_part(part: torch.Tensor, dtype: torch.dtype) -> ValueRange:
    finite = part[torch.isfinite(part)].abs().to(torch.float64)
    some = finite[finite > 0]
    low = finite.to(dtype).to(torch.float64)
    tiny = float(torch.finfo(dtype).smallest_normal)
    zeroed = (low == 0) & (finite > 0)
    return ValueRange(
        largest=float(finite.max()) if finite.numel() else None,
        smallest=float(some.min()) if some.numel() else None,
        elements=part.numel(),
        subnormal=int(((low > 0) & (low < tiny)).sum()),
        zeroed=int(zeroed.sum()),
        zeros=int((finite == 0).sum()),
        above=int(torch.isinf(low).sum()),
        nan=int(torch.isnan(part).sum()),
        inf=int(torch.isinf(part).sum()),
    )


def _joined(one: ValueRange, other: ValueRange) -> ValueRange:
    largest = [each for each in (one.largest, other.largest) if each is not None]
    smallest = [each for each in (one.smallest, other.smallest) if each is not None]
    return ValueRange(
        largest=max(largest, default=None),
        smallest=min(smallest, default=None),
        elements=one.elements + other.elements,
        subnormal=one.subnormal + other.subnormal,
        zeroed=one.zeroed + other.zeroed,
        zeros=one.zeros + other.zeros,
        above=one.above + other.above,
        nan=one.nan + other.nan,
        inf=one.inf + other.inf,
    )
