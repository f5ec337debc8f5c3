"""The records that leave the stages: frozen, free of torch, the report's JSON as they stand.

Every closed choice is an enum whose value is its JSON. A value of a node with several outputs
is a tuple with one entry per output. Keys may be added to a record, never renamed.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from trtdbg.policy import Settings, TruncationPolicy

SCHEMA = "trtdbg.report/1"

Dtype = str | tuple[str | None, ...] | None
"""A torch dtype name, one per output for a node with several, None where it has no dtype."""

Shape = tuple[int | str | tuple[int | str, ...] | None, ...] | None
"""Sizes, a symbolic one as its expression; several shapes for a node with several outputs."""


class Record(msgspec.Struct, frozen=True):
    """Base of all records: immutable, encodable as JSON and msgpack, built by keyword."""


class Source(Record, frozen=True, kw_only=True):
    """Where in the user's model a node comes from."""

    file: str | None = None
    line: int | None = None
    module: str | None = None
    """Path of the nn.Module that held the code, like `layers.0.attention`."""
    code: str | None = None
    """The source line as the export recorded it."""

    def __str__(self) -> str:
        """Returns `model.py:41`, or the module path, or an empty string."""
        if self.file is not None:
            name = self.file.replace("\\", "/").rsplit("/", 1)[-1]
            return f"{name}:{self.line}" if self.line is not None else name
        return self.module or ""


class Phase(StrEnum):
    """The part of the pipeline that a numbered pass execution belongs to."""

    LOAD = "load"
    PRE_EXPORT = "pre_export"
    DECOMPOSITION = "decomposition"
    POST_LOWERING = "post_lowering"
    TRUNCATION = "truncation"
    PARTITION = "partition"
    BOUNDARY = "boundary"


class GraphNode(Record, frozen=True, kw_only=True):
    """One FX node as a snapshot after a pass shows it."""

    name: str
    op: str
    target: str
    dtype: Dtype = None
    """Recorded dtype: what `meta["val"]` (or `tensor_meta`) says after this pass."""
    shape: Shape = None
    args: str = ""
    """Arguments as text, operands by name."""
    operands: tuple[str, ...] = ()
    """Names of the nodes that this one reads."""
    from_node: str | None = None
    source: Source | None = None


class Retyped(Record, frozen=True, kw_only=True):
    """A node whose recorded dtype a pass changed."""

    name: str
    before: Dtype
    after: Dtype


class PassRecord(Record, frozen=True, kw_only=True):
    """One execution of a stage that can change the graph, numbered in order."""

    index: int
    phase: Phase
    name: str
    changed: bool
    nodes: int
    """Number of nodes in the graph after it."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[Retyped, ...] = ()
    seconds: float = 0.0
    """Wall time of the pass itself, without taking the snapshot."""
    error: str | None = None
    """What it raised; the graph shown is then the last good one."""
    graph: tuple[int, ...] = ()
    """The snapshot, as indices into `Report.graph_nodes`; unchanged nodes share an entry."""


class Verdict(StrEnum):
    """One validator's answer. What was not asked is `not_checked`, never an accept."""

    ACCEPT = "accept"
    REJECT = "reject"
    CRASHED = "crashed"
    NOT_APPLICABLE = "not_applicable"
    """There is no converter to ask, or the operator is excluded by a setting."""
    NOT_CHECKED = "not_checked"


class Scope(StrEnum):
    """Where a node stood when it was judged."""

    GRAPH = "graph"
    """In the whole lowered graph, before partitioning."""
    SUBGRAPH = "subgraph"
    """Inside its engine, where torch_tensorrt asks again during conversion."""


class TypingKind(StrEnum):
    """The dtypes that a verdict was given on; also the names of a verdict's columns."""

    ORIGINAL = "original"
    INFERRED = "inferred"
    TRUNCATED = "truncated"


class ValidatorVerdict(Record, frozen=True, kw_only=True):
    """What one converter candidate's validator says about a node under each typing.

    Rows of scope `subgraph` stand only where the answer inside the engine is another one than
    in the whole graph; they are filled in the column of the typing in force.
    """

    validator: str
    """Qualified name of the capability validator, or `gate:NAME` for the partitioner's own."""
    candidate: int | None
    """Place in the registry's order, from 0; None for a gate or the partitioner as a whole."""
    scope: Scope
    original: Verdict
    """On the metadata that torch_tensorrt's lowering leaves, which it judges itself."""
    inferred: Verdict = Verdict.NOT_CHECKED
    """On refreshed metadata, with nothing truncated."""
    truncated: Verdict = Verdict.NOT_CHECKED
    """On refreshed metadata under the policy."""
    reason: str | None = None
    converter: str | None = None
    """Qualified name of the converter that the validator guards."""
    file: str | None = None
    """File of the validator, from its package on; None for a gate."""
    line: int | None = None
    supports_dynamic_shapes: bool | None = None
    """Whether the converter takes symbolic sizes; None for a gate, here and below."""
    requires_output_allocator: bool | None = None
    requires_native_multidevice: bool | None = None
    wins: tuple[TypingKind, ...] = ()
    """Typings under which the registry takes this candidate: the first that accepts."""


class ValidatorSource(Record, frozen=True, kw_only=True):
    """Source text of a capability validator, and of the functions beside it that it calls."""

    validator: str
    file: str | None
    line: int | None
    text: str


class RefusalKind(StrEnum):
    """What a refusal hangs on, by what turns it."""

    DTYPE = "dtype"
    """Dtypes of operands, of the `dtype` keyword or of scalars."""
    METADATA = "metadata"
    """`val` or `tensor_meta` is missing or stale; the dtypes themselves are accepted."""
    SHAPE = "shape"
    FEATURE = "feature"
    """An option of the operator, or something that no change tried here turns."""
    EXCLUDED = "excluded"
    """A compilation setting keeps the operator in PyTorch."""
    NO_CONVERTER = "no_converter"
    CRASHED = "crashed"
    """The validator raises."""


class ChangePlace(StrEnum):
    """What a counterfactual change is made to."""

    OPERAND = "operand"
    """The dtype of a node's value, in `val` and `tensor_meta`."""
    METADATA = "metadata"
    """`val` and `tensor_meta` of a node, written anew from type inference."""
    SHAPE = "shape"
    """The sizes of a node's value."""
    ARGUMENT = "argument"
    """A positional argument; an index into a list stands behind a dot."""
    KEYWORD = "keyword"
    SETTING = "setting"


class Change(Record, frozen=True, kw_only=True):
    """One change of a refused node or of what it reads."""

    place: ChangePlace
    node: str
    """The node whose value or argument is changed."""
    name: str | None = None
    """Position such as `1` or `1.0`, keyword or setting; None for a value."""
    before: str | None
    """A dtype, a Python literal or a shape; None if nothing stood there."""
    after: str | None
    """None if what stood there is taken away."""


class Counterfactual(Record, frozen=True, kw_only=True):
    """Why a node is refused, as the smallest change that makes its validators accept it."""

    kind: RefusalKind
    typing: TypingKind
    """The typing on which the node is refused and the changes were tried."""
    changes: tuple[Change, ...] = ()
    """Made together they turn the verdict; empty if nothing that was tried does."""
    text: str
    """`rejects because dtype=float64; accepts with float32`."""
    sentence: str
    """The same with operator and place: `... float32 (aten._to_copy, model.py:41)`."""


class NodeRecord(Record, frozen=True, kw_only=True):
    """One node of the lowered graph with its dtypes, verdicts and place."""

    name: str
    op: str
    target: str
    shape: Shape = None
    original: Dtype = None
    """What the exported program promised, through `from_node`."""
    recorded: Dtype = None
    """What the metadata says after the last lowering pass."""
    inferred: Dtype = None
    """What type inference computes with nothing truncated."""
    truncated: Dtype = None
    """What the same inference computes under the policy."""
    tensorrt: Dtype = None
    """TensorRT's own spelling of the ITensor's dtype; None outside engines."""
    engine: int | None = None
    source: Source | None = None
    from_node: str | None = None
    args: str = ""
    operands: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    verdict: Verdict = Verdict.NOT_CHECKED
    """The partitioner's answer under the policy, all candidates and gates considered."""
    verdicts: tuple[ValidatorVerdict, ...] = ()
    constant: str | None = None
    """For a `get_attr` node the name of its row in `Report.constants`."""
    dtype_argument: str | None = None
    """The dtype written in the call, by keyword or position, before any truncation."""
    counterfactual: Counterfactual | None = None
    """Why it is refused under some typing; None if it is refused under none."""


class Binding(Record, frozen=True, kw_only=True):
    """One input or output of an engine."""

    name: str
    declared: str | None
    """The dtype that the FX graph says at this place."""
    bound: str | None
    """The dtype of the network's binding, as torch spells it; None where there is none yet."""
    shape: Shape = None


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
    engine inspector alone names the layer."""
    type: str | None = None
    """By the engine inspector; None if the engine tells names alone."""
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
    max_abs_error: float | None = None
    """Largest absolute change of a finite value; None where nothing was narrowed."""
    max_rel_error: float | None = None
    overflowed: int = 0
    """Values that became inf, or integers that do not fit."""
    underflowed: int = 0
    """Non-zero values that became zero or subnormal."""
    elements: int = 0


class Level(StrEnum):
    """How bad a finding is, mildest first."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class Finding(Record, frozen=True, kw_only=True):
    """A coded, explained problem; `trtdbg explain CODE` tells cause and cure."""

    code: str
    level: Level
    node: str | None
    message: str
    source: Source | None = None
    engine: int | None = None


class Gpu(Record, frozen=True, kw_only=True):
    """The CUDA device of this machine."""

    name: str
    compute_capability: str
    memory_bytes: int


class Capability(Record, frozen=True, kw_only=True):
    """One thing that this machine can do or not, and why."""

    name: str
    possible: bool
    reason: str


class Environment(Record, frozen=True, kw_only=True):
    """Versions and abilities of the machine that made the record; None means not installed."""

    trtdbg: str
    python: str
    platform: str
    torch: str | None = None
    torch_cuda: str | None = None
    """CUDA version torch was built with; None for a CPU build."""
    torch_tensorrt: str | None = None
    tensorrt: str | None = None
    flavour: str | None = None
    """`rtx` for TensorRT-RTX, `standard` for TensorRT."""
    gpu: Gpu | None = None
    targets: tuple[str, ...] = ()
    """Compute capabilities an engine can be built for without that GPU; empty if none."""
    capabilities: tuple[Capability, ...] = ()
    import_log: tuple[str, ...] = ()
    """What importing torch_tensorrt printed or logged."""


class ModelInfo(Record, frozen=True, kw_only=True):
    """The program that was opened."""

    path: str
    sha256: str
    nodes: int
    """Nodes of the exported graph."""
    inputs: tuple[Binding, ...] = ()
    outputs: tuple[Binding, ...] = ()
    """Output dtypes that the export promised (declared), and those in force (bound)."""
    bytes: int = 0
    moved_from: tuple[str, ...] = ()
    """Devices of the export that this machine lacks; their tensors are on the CPU."""
    trusted: bool = False
    """The file was allowed to run code."""


class Consequence(Record, frozen=True, kw_only=True):
    """The partition if one refused node alone were accepted."""

    node: str
    engines: int
    torch_ops: int
    """Operators left to PyTorch."""
    error: str | None = None
    """What the partitioner raised with the node accepted; the numbers are then 0."""


class Consequences(Record, frozen=True, kw_only=True):
    """What accepting each refused node would change, the most useful one first."""

    engines: int
    """As it is, with every refused node refused."""
    torch_ops: int
    refused: int
    """Refused nodes; only the first of them in graph order are tried if there are many."""
    tried: tuple[Consequence, ...] = ()


class Suggestion(Record, frozen=True, kw_only=True):
    """The least truncation under which engines can hold the most nodes."""

    policy: TruncationPolicy
    accepted: int
    """Operators that the validators accept and that hold nothing TensorRT has no dtype for."""
    operators: int
    engines: int
    torch_ops: int
    tried: int
    """Policies that were compared."""
    torch_executed_ops: tuple[str, ...] = ()
    """Operators to keep in PyTorch by name: asking about them, or building them, fails."""
    refused_upstream: int = 0
    """Operators accepted under the policy that plain torch_tensorrt refuses as float64."""


class Saved(Record, frozen=True, kw_only=True):
    """What a build wrote into a folder."""

    folder: str
    files: tuple[str, ...]
    """Names in the folder, the manifest last."""
    runnable: str | None = None
    """The file that torch_tensorrt loads and runs; None if there is none."""
    missing: str | None = None
    """What is missing to run what was saved; None if nothing is."""


class Agreement(StrEnum):
    """Whether a value agrees with the original within the tolerance."""

    WITHIN = "within"
    BEYOND = "beyond"
    """At least one element differs by more than the tolerance."""
    NOT_COMPARED = "not_compared"
    """There were no two values to compare; the note says why."""


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
    """engines: as trtdbg built it; eager: PyTorch alone; torch_tensorrt: its own compile."""
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


class RecipeKind(StrEnum):
    """What a reproducer shows."""

    REJECTED = "rejected"
    CRASHED = "crashed"
    FALSE_ACCEPT = "false_accept"
    SCOPE_DEPENDENT = "scope_dependent"


class RecipeGraph(Record, frozen=True, kw_only=True):
    """One operator with what it reads, as lines of Python that build the graph."""

    lines: tuple[str, ...]
    expected: Verdict
    """The partitioner's answer on the node."""
    truncate_double: bool = False


class Recipe(Record, frozen=True, kw_only=True):
    """What a reproducer is made of: a node alone, under the typings that were judged."""

    kind: RecipeKind
    code: str | None
    """Code of the finding; None for a refusal that is no finding."""
    nodes: tuple[str, ...]
    """Nodes of the lowered graph with this recipe; the first is the one it was taken from."""
    target: str
    message: str
    source: Source | None = None
    before: RecipeGraph
    """In original dtypes; of a scope-dependent node in the whole graph."""
    after: RecipeGraph
    """In truncated dtypes; of a scope-dependent node alone, as in its engine."""
    sizes: tuple[tuple[str, int], ...] = ()
    """Symbolic sizes with a value each."""
    settings: tuple[tuple[str, str], ...] = ()
    """Compilation settings that are not torch_tensorrt's defaults, as Python."""
    sentence: str | None = None
    """Of a false accept, what TensorRT or the converter says."""


class Report(Record, frozen=True, kw_only=True):
    """Everything known about one model under one policy."""

    schema: str = SCHEMA
    model: ModelInfo
    environment: Environment
    policy: TruncationPolicy
    settings: Settings
    passes: tuple[PassRecord, ...] = ()
    graph_nodes: tuple[GraphNode, ...] = ()
    """The pool that `PassRecord.graph` points into."""
    nodes: tuple[NodeRecord, ...] = ()
    engines: tuple[EngineRecord, ...] = ()
    torch_ops: tuple[str, ...] = ()
    """Operators left to PyTorch, one entry per node, in graph order."""
    boundary_casts: tuple[BoundaryCast, ...] = ()
    constants: tuple[ConstantRecord, ...] = ()
    findings: tuple[Finding, ...] = ()
    validators: tuple[ValidatorSource, ...] = ()
    """Source text of every validator in the nodes' verdicts, each once, found by its name."""
    consequences: Consequences | None = None
    """On request alone; None if nobody asked."""
    suggestion: Suggestion | None = None
    """On request alone; None if nobody asked."""
    saved: Saved | None = None
    """What this build wrote; None if nothing was to be saved."""
    numerics: Numerics | None = None
    """What truncation does to the numbers; on request alone, None if nobody asked."""
    execution: Execution | None = None
    """What a build on a GPU timed; None if it was not to, or nothing could run."""
    recipes: tuple[Recipe, ...] | None = None
    """What reproducers are made of; on request alone, None if nobody asked."""


class FailedReport(Record, frozen=True, kw_only=True):
    """The entry of a model that could not be analysed, among others that could."""

    schema: str = SCHEMA
    model: ModelPath
    error: str
    exit_code: int


class ModelPath(Record, frozen=True, kw_only=True):
    """The path of a model that could not be opened."""

    path: str


def dtype_text(dtype: Dtype) -> str:
    """Returns a dtype for display; several are joined, equal ones said once."""
    if dtype is None:
        return "-"
    if isinstance(dtype, str):
        return dtype
    names = [name or "-" for name in dtype]
    return names[0] if len(set(names)) == 1 else ", ".join(names)


def shape_text(shape: Shape) -> str:
    """Returns a shape for display, like `[2, s0, 16]`."""
    if shape is None:
        return "-"
    parts = [
        shape_text(part) if isinstance(part, tuple) else "-" if part is None else str(part)
        for part in shape
    ]
    return f"[{', '.join(parts)}]"
