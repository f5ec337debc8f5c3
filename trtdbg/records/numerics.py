"""Values compared: node by node on the CPU, and runs of whole programs on a GPU."""

from __future__ import annotations

from enum import StrEnum

from trtdbg.records.engines import TimingRecord
from trtdbg.records.graph import Dtype, Record
from trtdbg.records.low import ValueRange


class Agreement(StrEnum):
    """Whether a value agrees with the original within the tolerance."""

    WITHIN = "within"
    BEYOND = "beyond"
    """At least one element differs by more than the tolerance."""
    NOT_COMPARED = "not_compared"
    """There were no two values to compare, or the original itself had gone wrong before."""


class NodeError(Record, frozen=True, kw_only=True):
    """How far truncation moves the value of one node, or one program output, in a run.

    A value that several places read in different dtypes counts with the worst of them. Of a
    node with several outputs the elements of all count.
    """

    name: str
    """Node of the lowered graph, or program output."""
    agreement: Agreement
    original: Dtype = None
    """The dtype that the original program computes."""
    computed: Dtype = None
    """The dtype that the truncated program computes; None if it was not run."""
    max_abs_error: float | None = None
    """Largest |computed - original| of elements finite in both; None where there are none."""
    max_rel_error: float | None = None
    """Largest error as a share of the original, 1.0 being 100%; where that is not 0."""
    times_tolerance: float | None = None
    """Largest error as a multiple of what is tolerated there; None where there is none, and
    for integers, of which nothing is tolerated."""
    elements: int = 0
    """Elements compared."""
    beyond: int = 0
    """Elements that differ by more than the tolerance."""
    wrapped: int = 0
    """Integers of the original that do not fit the narrow dtype."""
    nan_mismatches: int = 0
    """Elements that are nan in only one of both."""
    inf_mismatches: int = 0
    """Elements infinite in only one of both, or with opposite signs."""
    overflowed: int = 0
    """Elements that are finite in the original and infinite in the truncated program."""
    note: str | None = None
    """How it was run where not plainly, or why it was not compared."""
    range: ValueRange | None = None
    """Magnitudes of the original, and what a low type makes of them; None without one."""
    after_not_finite: str | None = None
    """The node at which the original made nan or inf of finite values, if this value depends
    on it. That both programs have the same value then says nothing: it is not compared."""


class NotFinite(Record, frozen=True, kw_only=True):
    """Where the original program, untruncated, makes nan or inf of finite values."""

    node: str
    """Node of the original lowered graph."""
    nan: int
    """Elements that are nan."""
    inf: int
    """Elements that are infinite."""
    elements: int
    outputs: tuple[str, ...] = ()
    """Program outputs that depend on them; empty where a selection leaves them out again."""


class Numerics(Record, frozen=True, kw_only=True):
    """The original and the truncated program on the same inputs, in PyTorch on the CPU.

    Engines compute in the truncated dtypes here, with PyTorch's kernels and not TensorRT's.
    """

    inputs: str
    """Where the inputs come from: `example inputs`, `random inputs, seed 0`, or a file."""
    seed: int
    """Seed of random operators, and of random inputs."""
    atol: float
    """A float may differ by `atol + rtol * |original|`; integers and bools not at all."""
    rtol: float
    outputs: tuple[NodeError, ...] = ()
    """One row a program output, in order."""
    nodes: tuple[NodeError, ...] = ()
    """One row a node of the lowered graph, in graph order."""
    first_beyond: str | None = None
    """The first node in graph order whose error exceeds the tolerance."""
    note: str | None = None
    """That nothing is truncated, or why nothing could be run."""
    not_finite: NotFinite | None = None
    """Where the original itself first goes wrong on these inputs, an output being concerned
    before none; None if nowhere, or if it is not known."""
    first_inf: str | None = None
    """The first node that a low precision makes infinite; None without one, or if none is."""
    first_nan: str | None = None
    accumulate: str | None = None
    """`float32` or `low`: what sums of low operands are added up in; None without."""
    seconds: float = 0.0
    """Wall time of both runs and the comparison."""


class Comparison(Record, frozen=True, kw_only=True):
    """The program with trtdbg's engines against another run of it, in the same rounds."""

    against: str
    ratio: float
    """Median of time of the engines / time of the other; below 1 the engines are faster."""
    low: float
    """Lower bound of the ratio, with 95 % confidence."""
    high: float
    exceeds_noise: bool
    """1 lies outside of the bounds."""


class Contender(Record, frozen=True, kw_only=True):
    """One way to run the program."""

    name: str
    """engines: as trtdbg built it; eager: only PyTorch; torch_tensorrt: its own compile."""
    timing: TimingRecord | None = None
    error: str | None = None
    """Why it did not run."""
    max_abs_error: float | None = None
    """Largest error of its outputs against those of eager PyTorch; None if not compared."""
    max_rel_error: float | None = None
    note: str | None = None
    """Why its outputs were not compared."""


class Execution(Record, frozen=True, kw_only=True):
    """The whole program run on a GPU: engines, PyTorch parts and casts at the boundaries."""

    device: str
    inputs: str
    """Where the inputs come from: `example inputs`, or `random inputs, seed 0`."""
    contenders: tuple[Contender, ...]
    comparisons: tuple[Comparison, ...] = ()
