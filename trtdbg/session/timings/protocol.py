"""What a timing decides: when wide dtypes are narrowed, and all that follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch.fx import GraphModule

from trtdbg.analysis.findings import Evidence
from trtdbg.graphs.graph import Typing
from trtdbg.graphs.splits import Program
from trtdbg.records import ConstantRecord, Counterfactual, LowDecision, TypingKind
from trtdbg.session.lowered import Lowered
from trtdbg.stages.capture import Captured, Recorder
from trtdbg.stages.network import Network
from trtdbg.stages.partition import Split
from trtdbg.stages.probe import TensorrtAnswer
from trtdbg.stages.validate import Judgement

Judgements = Mapping[str, Judgement]
"""What the validators say of each node, by its name."""


@dataclass(frozen=True)
class Repaired:
    """A partitioned program whose boundaries are repaired."""

    program: Program
    inputs: dict[str, Any] = field(default_factory=dict)
    """Engine name to the inputs that its network is declared with, where they are known."""
    crashed_engine: str | None = None
    crash: str | None = None
    """What the repair raised; the engines from `crashed_engine` on are then unrepaired."""


class TimingSteps(Protocol):
    """The steps of an analysis that depend on the timing of its policy, in their order."""

    lowered: Lowered
    """The program lowered without truncation; `early` drops the nodes that it lost."""
    captured: Captured
    """The lowering that is partitioned; another one than `lowered` under `early`."""
    recorder: Recorder
    """Takes the snapshots of the passes from here on."""
    typing_in_force: TypingKind
    """The typing whose verdicts decide the partition."""
    decisions: Mapping[str, LowDecision]
    """What each node of the lowered graph computes in; empty without a low precision."""
    validators_ask: bool
    """Whether the partitioner asks the validators itself, as in `torch_tensorrt.compile`.

    If not, it is given the answers, and what a validator raises is a refusal.
    """

    def lower(self) -> GraphModule | None:
        """Returns the lowered graph, which must not be changed; None if lowering it failed."""

    def narrow(self) -> Typing:
        """Returns the graph with the dtypes that this timing gives it."""

    def judge(self, truncated: Typing) -> Judgements:
        """Returns the verdicts on the truncated dtypes."""

    def narrow_again(
        self,
        split: Split,
        networks: Sequence[Network] | None = None,
        answers: Mapping[str, TensorrtAnswer] | None = None,
    ) -> Typing | None:
        """Returns another typing if the partition, or TensorRT, shows that this one must go.

        Args:
            split: the partition of the typing in force.
            networks: of its engines; None before they are defined.
            answers: what TensorRT said of single nodes.
        """

    def listed(
        self, truncated: Typing, judged: Judgements
    ) -> tuple[Typing, Judgements, Judgements | None]:
        """Returns typing and verdicts with what is truncated, and the verdicts in low types.

        The last is None without a low precision.
        """

    def deciding(self, judged: Judgements) -> Judgements:
        """Returns the verdicts that decide the partition.

        Args:
            judged: what `judge` returned.
        """

    def graph(self, truncated: Typing) -> GraphModule:
        """Returns the graph that is partitioned."""

    def repair(self, split: GraphModule, truncated: Typing) -> Repaired:
        """Inserts the casts that the borders of engines need, in place."""

    def reasons(self, truncated: Typing, judged: Judgements) -> dict[str, Counterfactual]:
        """Returns why nodes are refused: under the typing in force, else under another."""

    def constants(
        self, truncated: Typing, program: Program | None
    ) -> tuple[ConstantRecord, ...]:
        """Returns what happens to each constant.

        Args:
            truncated: what `narrow` returned.
            program: what `repair` returned; None if the partitioner failed.
        """

    def note(self, evidence: Evidence) -> None:
        """Adds to the evidence what only this timing has seen."""
