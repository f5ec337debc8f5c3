"""Timing `off`: nothing is truncated."""

from __future__ import annotations

from torch.fx import GraphModule

from trtdbg.analysis.findings import Evidence
from trtdbg.graphs.graph import Typing
from trtdbg.graphs.splits import Program
from trtdbg.records import ConstantRecord, Counterfactual, TypingKind
from trtdbg.session.lowered import Lowered
from trtdbg.session.timings.protocol import Judgements, Repaired
from trtdbg.stages import boundary
from trtdbg.stages import narrow as narrowing
from trtdbg.stages.capture import Recorder


class Off:
    """Partitions the graph as lowered, its dtypes inferred and none of them narrowed."""

    typing_in_force = TypingKind.TRUNCATED
    validators_ask = False

    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered
        self.captured = lowered.captured
        self.recorder = Recorder.resume(lowered.captured)

    def lower(self) -> GraphModule | None:
        return self.lowered.module

    def narrow(self) -> Typing:
        return self.lowered.inferred

    def judge(self, truncated: Typing) -> Judgements:
        return self.lowered.refreshed

    def deciding(self, judged: Judgements) -> Judgements:
        return judged

    def graph(self, truncated: Typing) -> GraphModule:
        return truncated.module

    def repair(self, split: GraphModule, truncated: Typing) -> Repaired:
        return Repaired(boundary.leave_unrepaired(split))

    def reasons(self, truncated: Typing, judged: Judgements) -> dict[str, Counterfactual]:
        return {**self.lowered.why_original, **self.lowered.why_refreshed}

    def constants(
        self, truncated: Typing, program: Program | None
    ) -> tuple[ConstantRecord, ...]:
        held = narrowing.held_constants(program.module) if program is not None else None
        return narrowing.constant_records(self.lowered.inferred, truncated, held)

    def note(self, evidence: Evidence) -> None:
        pass
