"""The report as a whole, its findings, the machine it was made on, and what goes beside it."""

from __future__ import annotations

from enum import StrEnum

from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records.causes import Cause, Cure, Headline
from trtdbg.records.engines import (
    Binding,
    BoundaryCast,
    ConstantRecord,
    EngineRecord,
    LowCastTotals,
    Saved,
)
from trtdbg.records.graph import GraphNode, PassRecord, Record, Source, Subgraph
from trtdbg.records.numerics import Execution, Numerics
from trtdbg.records.places import BlockSize, LineRow, ModuleRow, OperatorRow
from trtdbg.records.verdicts import NodeRecord, ValidatorSource, Verdict

SCHEMA = "trtdbg.report/1"


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
    cures: tuple[Cure, ...] = ()
    """What was tried against it; empty of most codes, and until it was tried."""


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


class Front(StrEnum):
    """Which way of torch_tensorrt a recorded program went, which lowers it its own way."""

    EXPORT = "export"
    """`torch_tensorrt.compile` and its kin, on an exported program."""
    TORCH_COMPILE = "torch_compile"
    """`torch.compile` with torch_tensorrt as the backend: one program a dynamo graph."""


class Recorded(Record, frozen=True, kw_only=True):
    """Where a program that `trtdbg record` saved comes from."""

    name: str
    """The program's name in its recording."""
    call: str
    """The function of torch_tensorrt that it was handed to."""
    file: str
    line: int
    """Where the script calls it."""
    nodes: int
    """Nodes of the program."""
    front: Front = Front.EXPORT
    inputs: tuple[str, ...] = ()
    """What the call said about inputs, one text an input."""
    noted: tuple[tuple[str, str], ...] = ()
    """Arguments of the call that are not in force here, with their values as text."""
    weights: tuple[str, ...] = ()
    """Program inputs that are parameters or buffers of the model."""
    graph_break: str | None = None
    """Why dynamo ended the graph where it did; None if it holds the whole function."""
    overridden: tuple[str, ...] = ()
    """Settings that differ here from those of the call."""


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
    prebuilt: str | None = None
    """What the file is, if its engines were built before; verdicts and passes are then not
    known, and policy and settings mean nothing."""
    program: str | None = None
    """Its name, where the file holds several programs; None where it is the only one."""
    recorded: Recorded | None = None
    """Where it was recorded; None if it is not of a recording."""


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
    """Refused nodes; only the first of them in graph order are looked at if there are many."""
    tried: tuple[Consequence, ...] = ()
    alike: bool = False
    """Those not tried have the operator and the reason of some that were: of each such group
    the first, the middle and the last were tried, with the same result."""


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
    subgraphs: tuple[Subgraph, ...] = ()
    """Graphs inside of `nodes`, which control flow runs; their nodes are not among `nodes`."""
    engines: tuple[EngineRecord, ...] = ()
    torch_ops: tuple[str, ...] = ()
    """Operators left to PyTorch, one entry per node, in graph order; `getitem` and arithmetic
    on sizes are none."""
    boundary_casts: tuple[BoundaryCast, ...] = ()
    low_casts: LowCastTotals | None = None
    """Inside engines; None without a low precision."""
    constants: tuple[ConstantRecord, ...] = ()
    findings: tuple[Finding, ...] = ()
    causes: tuple[Cause, ...] = ()
    """Why the model is not one engine: breaks first, then by number of places."""
    headline: Headline | None = None
    """On request only; None if nobody asked."""
    lines: tuple[LineRow, ...] | None = None
    """What became of each source line, what costs most first; None if nobody asked."""
    modules: tuple[ModuleRow, ...] | None = None
    """What became of each module, from the model down; None if nobody asked."""
    operators: tuple[OperatorRow, ...] | None = None
    """All nodes of each operator, what is left to PyTorch first; None if nobody asked."""
    block_sizes: tuple[BlockSize, ...] | None = None
    """The partition under other minimum block sizes; None if they were not tried."""
    validators: tuple[ValidatorSource, ...] = ()
    """Source text of every validator in the nodes' verdicts, each once, found by its name."""
    consequences: Consequences | None = None
    """Only on request; None if nobody asked."""
    suggestion: Suggestion | None = None
    """Only on request; None if nobody asked."""
    saved: Saved | None = None
    """What this build wrote; None if nothing was to be saved."""
    numerics: Numerics | None = None
    """What truncation does to the numbers; only on request, None if nobody asked."""
    execution: Execution | None = None
    """What a build on a GPU timed; None if it was not to, or nothing could run."""
    recipes: tuple[Recipe, ...] | None = None
    """What reproducers are made of; only on request, None if nobody asked."""


class FailedReport(Record, frozen=True, kw_only=True):
    """The entry of a model that could not be analysed, among others that could."""

    schema: str = SCHEMA
    model: ModelPath
    error: str
    exit_code: int


class ModelPath(Record, frozen=True, kw_only=True):
    """The path of a model, and which program of it is meant."""

    path: str
    program: str | None = None
    """None where the file holds one program, or where none was named."""
