"""Which calls of a graph count as operators."""

from __future__ import annotations


def computes(target: str) -> bool:
    """Returns whether an operator is counted: no `getitem`, no arithmetic on sizes.

    torch_tensorrt's partitioner does not count a `getitem` either.
    """
    parts = target.split(".")
    return parts[-1] != "getitem" and not any(part.startswith("sym_") for part in parts)
