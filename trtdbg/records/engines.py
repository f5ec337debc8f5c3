"""Engines: bindings, builds, timings, layers, and what crosses their boundaries."""

from __future__ import annotations

from enum import StrEnum

from trtdbg.records.graph import Record, Shape


class Profile(Record, frozen=True, kw_only=True):
    """The shapes that an engine is built for, of one dynamic input."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]
    unbounded: tuple[int, ...] = ()
    """Places in the shape that the program sets no upper bound to: torch_tensorrt takes 4096
    times the minimum."""

    @property
    def valid(self) -> bool:
        """Whether every place has min <= opt <= max, as TensorRT asks."""
        sizes = zip(self.min, self.opt, self.max, strict=True)
        return all(low <= best <= high for low, best, high in sizes)

    @property
    def empty(self) -> tuple[int, ...]:
        """Places whose size may be 0 and nothing else."""
        return tuple(i for i, size in enumerate(self.max) if size == 0)


class Binding(Record, frozen=True, kw_only=True):
    """One input or output of an engine."""

    name: str
    declared: str | None
    """The dtype that the FX graph says at this place."""
    bound: str | None
    """The dtype of the network's binding, as torch spells it; None where there is none yet."""
    shape: Shape = None
    profile: Profile | None = None
    """Of a dynamic input, as torch_tensorrt sets it; None for a static one and for outputs."""


class BuildStatus(StrEnum):
    """How far an engine's build got."""

    NOT_BUILT = "not_built"
    BUILDING = "building"
    BUILT = "built"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    CANCELLED = "cancelled"


class BuildRecord(Record, frozen=True, kw_only=True):
    """Result of building one engine with TensorRT."""

    status: BuildStatus = BuildStatus.NOT_BUILT
    stage: str | None = None
    """What ran last: network or build."""
    seconds: float | None = None
    """Wall time of TensorRT's build, without defining the network."""
    network_seconds: float | None = None
    bytes: int | None = None
    """Size of the serialized engine."""
    error: str | None = None
    """TensorRT's own sentence on failure."""
    node: str | None = None
    """The FX node being converted when it failed; None if TensorRT failed in the build."""
    log: tuple[str, ...] = ()
    """TensorRT's warnings and errors."""
    peak_bytes: int | None = None
    """Largest resident memory of the worker while TensorRT built; None if not known."""
    cached: bool = False
    """The engine was taken from the cache; seconds and memory are those of its real build."""
    target: str | None = None
    """Target such as sm86; None for the GPU of this machine."""


class TimingRecord(Record, frozen=True, kw_only=True):
    """Run time of an engine on a GPU."""

    median_ms: float
    """Median over the timed runs, CUDA events; without host copies."""
    p10_ms: float
    p90_ms: float
    runs: int


class LayerTime(Record, frozen=True, kw_only=True):
    """Run time of a layer of the built engine, which TensorRT may have fused of several."""

    name: str
    """As TensorRT calls it."""
    median_ms: float | None = None
    """By TensorRT's profiler, which makes the engine slower than it is unwatched; None if the
    engine inspector names the layer."""
    type: str | None = None
    """By the engine inspector; None if the engine tells only names."""
    inputs: tuple[str, ...] = ()
    """Formats and dtypes by the engine inspector, like `Row major linear FP32`."""
    outputs: tuple[str, ...] = ()


class LayerRecord(Record, frozen=True, kw_only=True):
    """One layer of the real network definition."""

    name: str
    type: str
    inputs: tuple[str | None, ...] = ()
    """TensorRT dtypes of the input tensors."""
    outputs: tuple[str, ...] = ()
    node: str | None = None
    """The FX node whose converter added it; None for one of the interpreter's own casts."""


class LowCastTotals(Record, frozen=True, kw_only=True):
    """The casts between float32 and the low type that engines make inside."""

    count: int
    bytes: int
    """Written per run by those whose size is known."""
    unknown: int = 0
    """Casts of which a size has no example value."""


class Widened(Record, frozen=True, kw_only=True):
    """A node whose converter creates a wide value by itself."""

    node: str
    reason: str
    """What the converter says when the wide value is not silently narrowed."""


class EngineRecord(Record, frozen=True, kw_only=True):
    """One subgraph given to TensorRT."""

    index: int
    name: str
    """Name of the submodule, as torch_tensorrt calls it."""
    nodes: tuple[str, ...]
    inputs: tuple[Binding, ...] = ()
    outputs: tuple[Binding, ...] = ()
    layers: tuple[LayerRecord, ...] = ()
    widened: tuple[Widened, ...] = ()
    """Wide values that converters made up, which the model never had."""
    build: BuildRecord = BuildRecord()
    timing: TimingRecord | None = None
    timing_unavailable: str | None = None
    """Why there is no run time."""
    profile: tuple[LayerTime, ...] = ()
    """On a GPU, the layers that TensorRT runs, in their order."""
    profile_unavailable: str | None = None
    """Why an engine that was timed has no profile."""


class Direction(StrEnum):
    """Which way a boundary cast goes."""

    INTO_ENGINE = "into_engine"
    OUT_OF_ENGINE = "out_of_engine"
    PROGRAM_INPUT = "program_input"
    PROGRAM_OUTPUT = "program_output"


class BoundaryCast(Record, frozen=True, kw_only=True):
    """A cast inserted where a value crosses between an engine and the PyTorch part."""

    value: str
    """Name of the node whose value is cast."""
    from_dtype: str
    to_dtype: str
    direction: Direction
    engine: int | None
    """The first engine concerned; None for a cast that no engine asked for (timing early)."""
    bytes: int | None
    """Bytes written per run at the example shape; None if a size has no example value."""
    asked_by: tuple[str, ...] = ()
    """Engines, operators or the program output that need the cast value."""


class ConstantRecord(Record, frozen=True, kw_only=True):
    """A parameter, buffer, lifted or folded constant of the lowered graph."""

    name: str
    original: str
    truncated: str
    low: str | None = None
    """The low type that engines read it in; None where none does. The errors are of that."""
    max_abs_error: float | None = None
    """Largest absolute change of a finite value; None where nothing was narrowed."""
    max_rel_error: float | None = None
    overflowed: int = 0
    """Values that became inf, or integers that do not fit."""
    underflowed: int = 0
    """Non-zero values that became zero or subnormal."""
    elements: int = 0


class Saved(Record, frozen=True, kw_only=True):
    """What a build wrote into a folder."""

    folder: str
    files: tuple[str, ...]
    """Names in the folder, the manifest last."""
    runnable: str | None = None
    """The file that torch_tensorrt loads and runs; None if there is none."""
    missing: str | None = None
    """What is missing to run what was saved; None if nothing is."""
    script: str | None = None
    """Name of a script that runs it with torch, torch_tensorrt and TensorRT only."""
    script_missing: str | None = None
    """Why there is no such script; None if there is one, or nobody asked."""
