"""Names of dtypes as torch spells them, and which of them are wide.

Free of torch, so that the user interface and a saved report can speak about dtypes.
"""

from __future__ import annotations

from typing import Final

NARROWED: Final[dict[str, str]] = {
    "float64": "float32",
    "int64": "int32",
    "complex128": "complex64",
}
"""Wide dtype to its narrow one under truncation; a complex128 is a pair of float64."""

WIDE_POLICY_DTYPES: Final[tuple[str, ...]] = ("float64", "int64")
"""Wide dtypes that a policy can name; complex128 follows float64."""

SIZE_BYTES: Final[dict[str, int]] = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "bool": 1,
    "complex128": 16,
    "complex64": 8,
    "complex32": 4,
}

_TENSORRT: Final[dict[str, str]] = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT64": "int64",
    "INT32": "int32",
    "INT8": "int8",
    "UINT8": "uint8",
    "BOOL": "bool",
    "FP8": "float8_e4m3fn",
    "E8M0": "float8_e8m0fnu",
    "FP4": "float4_e2m1fn_x2",
}
"""Members of `tensorrt.DataType` (TensorRT-RTX 1.5) to torch's names; torch has no INT4."""


def is_wide(dtype: str) -> bool:
    """Returns whether TensorRT's narrow twin exists for `dtype`."""
    return dtype in NARROWED


def policy_dtype(dtype: str) -> str:
    """Returns the wide dtype by which a policy names `dtype`: float64 for complex128."""
    return "float64" if dtype == "complex128" else dtype


def from_tensorrt(name: str) -> str | None:
    """Returns the torch name of a dtype as TensorRT spells it; None if torch has none."""
    return _TENSORRT.get(name.rsplit(".", 1)[-1].upper())


def family(dtype: str) -> str:
    """Returns the family of a dtype: float, complex, int, uint, bool or other."""
    for name in ("bfloat", "float", "complex", "uint", "int", "bool"):
        if dtype.startswith(name):
            return "float" if name == "bfloat" else name
    return "other"
