"""Timing `upstream`: what torch_tensorrt does with `truncate_double=True`."""

from __future__ import annotations

from torch.fx import GraphModule

from trtdbg.analysis.findings import Evidence
from trtdbg.graphs.graph import Typing
from trtdbg.graphs.splits import Program
from trtdbg.policy import TruncationPolicy
from trtdbg.records import ConstantRecord, Counterfactual, TypingKind
from trtdbg.session.analysed import Context
from trtdbg.session.lowered import Lowered
from trtdbg.session.timings.protocol import Judgements, Repaired
from trtdbg.stages import narrow as narrowing
from trtdbg.stages import upstream
from trtdbg.stages.capture import Recorder, compilation_settings

FLOAT64_ONLY = TruncationPolicy()
"""What torch_tensorrt narrows behind the validators' back, whatever a policy's lists say."""


class Upstream:
    """Partitions by the verdicts on the original dtypes and repairs as torch_tensorrt does."""

    typing_in_force = TypingKind.ORIGINAL
    validators_ask = True

    def __init__(self, context: Context, lowered: Lowered) -> None:
        self.context = context
        self.lowered = lowered
        self.captured = lowered.captured
        self.recorder = Recorder.resume(lowered.captured)

    def lower(self) -> GraphModule | None:
        return self.lowered.module

    def narrow(self) -> Typing:
        self.context.progress("infer", "under the policy")
        return self.lowered.truncated(FLOAT64_ONLY)

    def judge(self, truncated: Typing) -> Judgements:
        options = compilation_settings(self.context.settings, truncate_double=False)
        return self.lowered.judged(FLOAT64_ONLY, options)

    def deciding(self, judged: Judgements) -> Judgements:
        return self.lowered.original

    def graph(self, truncated: Typing) -> GraphModule:
        return self.lowered.module

    def repair(self, split: GraphModule, truncated: Typing) -> Repaired:
        options = compilation_settings(self.context.settings, truncate_double=True)
        made = upstream.repair_upstream(split, self.lowered.module, options)
        return Repaired(made.program, made.inputs, made.crashed_engine, made.crash)

    def reasons(self, truncated: Typing, judged: Judgements) -> dict[str, Counterfactual]:
        return {**self.lowered.why_refreshed, **self.lowered.why_original}

    def constants(
        self, truncated: Typing, program: Program | None
    ) -> tuple[ConstantRecord, ...]:
        held = narrowing.held_constants(program.module) if program is not None else None
        return narrowing.constant_records(self.lowered.inferred, truncated, held)

    def note(self, evidence: Evidence) -> None:
        pass
