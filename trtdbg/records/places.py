"""What became of the user's lines and modules: sums over the nodes that they made."""

from __future__ import annotations

from trtdbg.records.graph import Record


class DtypeCount(Record, frozen=True, kw_only=True):
    """How many values of a dtype a place makes."""

    dtype: str
    values: int
    """Outputs of operators, an operator of several outputs counting with each."""


class Sums(Record, frozen=True, kw_only=True):
    """What the nodes of one place add up to."""

    nodes: tuple[str, ...] = ()
    """Nodes of the lowered graph, in graph order; a node is in one line and in one module."""
    operators: int = 0
    """Nodes that compute something; picking an output and sizes are not counted."""
    engines: tuple[int, ...] = ()
    """Engines that hold nodes of this place."""
    torch_ops: int = 0
    """Operators left to PyTorch."""
    refused: int = 0
    """Operators that the partitioner's verdict refuses."""
    casts: int = 0
    """Boundary casts of values that this place makes."""
    cast_bytes: int | None = 0
    """Bytes that these casts write per run; None if a size has no example value."""
    dtypes: tuple[DtypeCount, ...] = ()
    """Inferred dtypes of what its operators make, the most frequent first."""
    narrowed: int = 0
    """Nodes that compute in another dtype under the policy than without it."""
    error_share: float | None = None
    """Share of the measured error that arises here, 1.0 being all; None if not measured.

    What arises at a node is its error, as a multiple of the tolerance, beyond the largest
    error of what it reads.
    """
    engine_ms: float | None = None
    """Median run times of the engines all of whose operators are of this place, added up; None
    if none of them was timed."""


class LineRow(Sums, frozen=True, kw_only=True):
    """One line of the user's source, or all that has no line (inputs, constants)."""

    file: str | None = None
    """None of what has no line."""
    line: int | None = None
    code: str | None = None
    """The line as the export recorded it."""
    modules: tuple[str, ...] = ()
    """Paths of the modules that ran it, each once."""


class ModuleRow(Sums, frozen=True, kw_only=True):
    """One module with all that is below it; blocks that are alike are one row."""

    path: str
    """Path such as `layers.0.attention`, of the first block of a row; "" is the model."""
    depth: int
    """0 is the model."""
    stands_for: tuple[str, ...] = ()
    """Paths of all modules that this row adds up, itself first."""
    own: tuple[str, ...] = ()
    """Those of `nodes` that are in no module below."""


class OperatorRow(Sums, frozen=True, kw_only=True):
    """All nodes of one operator."""

    target: str


class BlockSize(Record, frozen=True, kw_only=True):
    """The partition under one minimum block size, as torch_tensorrt's partitioner made it."""

    min_block_size: int
    engines: int | None
    """None if the analysis ended before there was a partition."""
    torch_ops: int | None
    """Operators left to PyTorch."""
    boundary_casts: int | None
    hidden: int = 0
    """Operators that are accepted and all the same left to PyTorch."""
