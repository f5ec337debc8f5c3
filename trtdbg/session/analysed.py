"""What a session gives the stages of one analysis, and what they make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch.export import ExportedProgram
from torch.fx import GraphModule

from trtdbg.analysis.findings import Evidence
from trtdbg.graphs.graph import Typing
from trtdbg.graphs.splits import Program
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import (
    Binding,
    BoundaryCast,
    ConstantRecord,
    Dtype,
    EngineRecord,
    Front,
    GraphNode,
    LowCastTotals,
    LowDecision,
    NodeRecord,
    PassRecord,
    Subgraph,
    ValueRange,
)
from trtdbg.stages import probe
from trtdbg.stages.capture import Captured
from trtdbg.stages.network import Network


@dataclass(frozen=True)
class Context:
    """What a program's session gives every policy."""

    program: ExportedProgram
    exported: dict[str, Dtype]
    """Dtype that the exported program promises for each of its nodes."""
    settings: Settings
    target: str | None
    can_define_networks: bool
    memory: probe.Memory
    """What TensorRT answered about single nodes so far."""
    ranges: Callable[[], Mapping[str, ValueRange]]
    """Returns what was seen of the values in a run; runs once, on the first call."""
    probe_seconds: float
    """Time limit of all questions of one analysis; 0 asks nothing."""
    progress: Callable[..., None]
    upstream_rules: Callable[[TruncationPolicy], Mapping[str, LowDecision]]
    """Returns what torch_tensorrt's own rules say of the exported nodes."""
    autocast_failure: PassRecord | None = None
    """The pass that raised with torch_tensorrt's low precision; the lowering is without it."""
    front: Front = Front.EXPORT
    """Which way of torch_tensorrt the program goes."""


@dataclass
class Analysed:
    """What the stages made of a program under one policy."""

    captured: Captured
    """With `module` None if lowering failed; the other fields are then empty."""
    evidence: Evidence = field(default_factory=Evidence)
    networks: list[Network] = field(default_factory=list)
    passes: tuple[PassRecord, ...] = ()
    pool: tuple[GraphNode, ...] = ()
    nodes: tuple[NodeRecord, ...] = ()
    subgraphs: tuple[Subgraph, ...] = ()
    engines: tuple[EngineRecord, ...] = ()
    torch_ops: tuple[str, ...] = ()
    casts: tuple[BoundaryCast, ...] = ()
    low_casts: LowCastTotals | None = None
    """Inside engines; None without a low precision."""
    constants: tuple[ConstantRecord, ...] = ()
    outputs: tuple[Binding, ...] = ()
    partitioned: GraphModule | None = None
    """The graph that is partitioned, in the typing whose verdicts decide."""
    truncated: Typing | None = None
    program: Program | None = None
    """Partitioned and repaired; None if the partitioner failed, here and above."""
