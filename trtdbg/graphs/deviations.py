"""How far one value is from another, counted in chunks so that comparing needs little memory.

This is ground for the stages that compare values, not a stage.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

CHUNK_ELEMENTS = 1 << 20
"""Elements converted to float64 or int64 at a time."""


@dataclass(frozen=True)
class Tolerance:
    """A float may differ by `atol + rtol * |original|`; integers and bools not at all."""

    atol: float
    rtol: float


@dataclass(frozen=True)
class Deviation:
    """What a comparison counted; see `trtdbg.records.NodeError` for the fields."""

    elements: int = 0
    beyond: int = 0
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    times_tolerance: float | None = None
    wrapped: int = 0
    nan_mismatches: int = 0
    inf_mismatches: int = 0
    overflowed: int = 0

    def joined(self, other: Deviation) -> Deviation:
        """Returns both together, as two parts of one value."""
        return Deviation(
            elements=self.elements + other.elements,
            beyond=self.beyond + other.beyond,
            max_abs_error=_larger(self.max_abs_error, other.max_abs_error),
            max_rel_error=_larger(self.max_rel_error, other.max_rel_error),
            times_tolerance=_larger(self.times_tolerance, other.times_tolerance),
            wrapped=self.wrapped + other.wrapped,
            nan_mismatches=self.nan_mismatches + other.nan_mismatches,
            inf_mismatches=self.inf_mismatches + other.inf_mismatches,
            overflowed=self.overflowed + other.overflowed,
        )

    def worst(self, other: Deviation) -> Deviation:
        """Returns the larger of each count, for one value compared twice."""
        return Deviation(
            elements=max(self.elements, other.elements),
            beyond=max(self.beyond, other.beyond),
            max_abs_error=_larger(self.max_abs_error, other.max_abs_error),
            max_rel_error=_larger(self.max_rel_error, other.max_rel_error),
            times_tolerance=_larger(self.times_tolerance, other.times_tolerance),
            wrapped=max(self.wrapped, other.wrapped),
            nan_mismatches=max(self.nan_mismatches, other.nan_mismatches),
            inf_mismatches=max(self.inf_mismatches, other.inf_mismatches),
            overflowed=max(self.overflowed, other.overflowed),
        )


class IncomparableError(Exception):
    """Two values that cannot be compared, and why."""


def deviation(original: Any, computed: Any, tolerance: Tolerance) -> Deviation:
    """Returns how far a value is from the original: tensors, numbers, or tuples of them.

    Raises:
        IncomparableError: they differ in kind or shape.
    """
    if isinstance(original, (tuple, list)):
        if not isinstance(computed, (tuple, list)) or len(original) != len(computed):
            raise IncomparableError("it has another number of outputs")
        total = Deviation()
        for one, other in zip(original, computed, strict=True):
            total = total.joined(deviation(one, other, tolerance))
        return total
    if isinstance(original, (int, float)) and isinstance(computed, (int, float)):
        return _tensors(torch.tensor(original), torch.tensor(computed), tolerance)
    if isinstance(original, torch.Tensor) and isinstance(computed, torch.Tensor):
        return _tensors(_as_real(original), _as_real(computed), tolerance)
    if original is None and computed is None:
        return Deviation()
    raise IncomparableError(f"it is {type(computed).__name__}, not {type(original).__name__}")


def _as_real(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach()
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _tensors(
    original: torch.Tensor, computed: torch.Tensor, tolerance: Tolerance
) -> Deviation:
    if original.shape != computed.shape:
        raise IncomparableError(
            f"its shape is {list(computed.shape)}, not {list(original.shape)}"
        )
    exact = not (original.dtype.is_floating_point or computed.dtype.is_floating_point)
    total = Deviation()
    for one, other in _chunks(original, computed):
        part = _integers(one, other) if exact else _floats(one, other, tolerance)
        total = total.joined(part)
    return total


def _chunks(
    original: torch.Tensor, computed: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    flat, other = original.reshape(-1), computed.reshape(-1)
    for start in range(0, flat.numel(), CHUNK_ELEMENTS):
        end = start + CHUNK_ELEMENTS
        yield flat[start:end], other[start:end]


def _integers(original: torch.Tensor, computed: torch.Tensor) -> Deviation:
    wide, narrow = original.to(torch.int64), computed.to(torch.int64)
    wrapped = 0
    if computed.dtype != torch.bool and computed.dtype != original.dtype:
        limits = torch.iinfo(computed.dtype)
        if limits.bits < 64:
            wrapped = int(((wide < limits.min) | (wide > limits.max)).sum())
    differs = wide != narrow
    # In float64, because the difference of two int64 need not fit one.
    error = (wide.to(torch.float64) - narrow.to(torch.float64)).abs()
    return Deviation(
        elements=wide.numel(),
        beyond=int(differs.sum()),
        max_abs_error=float(error.max()),
        max_rel_error=_relative(error, wide.to(torch.float64).abs()),
        wrapped=wrapped,
    )


def _floats(original: torch.Tensor, computed: torch.Tensor, tolerance: Tolerance) -> Deviation:
    wide, narrow = original.to(torch.float64), computed.to(torch.float64)
    nan = torch.isnan(wide) != torch.isnan(narrow)
    ordered = ~torch.isnan(wide) & ~torch.isnan(narrow)
    inf = (torch.isinf(wide) | torch.isinf(narrow)) & (wide != narrow) & ordered
    overflowed = torch.isinf(narrow) & torch.isfinite(wide)
    finite = torch.isfinite(wide) & torch.isfinite(narrow)
    wide, narrow = wide[finite], narrow[finite]
    error, scale = (narrow - wide).abs(), wide.abs()
    allowed = tolerance.atol + tolerance.rtol * scale
    beyond = error > allowed
    nans, infs = int(nan.sum()), int(inf.sum())
    return Deviation(
        elements=original.numel(),
        beyond=int(beyond.sum()) + nans + infs,
        max_abs_error=_finite(error.max()) if error.numel() else None,
        max_rel_error=_relative(error, scale),
        times_tolerance=_times(error, allowed),
        nan_mismatches=nans,
        inf_mismatches=infs,
        overflowed=int(overflowed.sum()),
    )


def _relative(error: torch.Tensor, scale: torch.Tensor) -> float | None:
    some = scale > 0
    if not bool(some.any()):
        return None
    return _finite((error[some] / scale[some]).max())


def _times(error: torch.Tensor, allowed: torch.Tensor) -> float | None:
    """Returns the largest error as a multiple of what is tolerated; None without errors."""
    wrong = error > 0
    return _finite((error[wrong] / allowed[wrong]).max()) if bool(wrong.any()) else None


def _finite(value: torch.Tensor) -> float:
    """Returns a number that JSON can hold; only values near the end of float64 exceed it."""
    return min(float(value), sys.float_info.max)


def _larger(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
