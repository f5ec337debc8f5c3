"""Timing `late`: engines are narrowed after lowering, and validators judge that."""

from __future__ import annotations

import time

from torch.fx import GraphModule

from trtdbg.analysis.findings import Evidence
from trtdbg.graphs.graph import Typing
from trtdbg.graphs.splits import Program
from trtdbg.policy import TruncationPolicy
from trtdbg.records import ConstantRecord, Counterfactual, Phase, TypingKind
from trtdbg.session import reasons
from trtdbg.session.analysed import Context
from trtdbg.session.lowered import Lowered
from trtdbg.session.timings.protocol import Judgements, Repaired
from trtdbg.stages import boundary
from trtdbg.stages import narrow as narrowing
from trtdbg.stages.capture import Recorder, compilation_settings


class Late:
    """Judges the truncated dtypes, narrows engines and leaves PyTorch's part wide."""

    typing_in_force = TypingKind.TRUNCATED
    validators_ask = False

    def __init__(self, context: Context, policy: TruncationPolicy, lowered: Lowered) -> None:
        self.context = context
        self.policy = policy
        self.lowered = lowered
        self.captured = lowered.captured
        self.recorder = Recorder.resume(lowered.captured)

    def lower(self) -> GraphModule | None:
        return self.lowered.module

    def narrow(self) -> Typing:
        start = time.perf_counter()
        self.context.progress("infer", "under the policy")
        truncated = self.lowered.truncated(self.policy)
        seconds = time.perf_counter() - start
        graph = truncated.module.graph
        self.recorder.snapshot(Phase.TRUNCATION, "truncate (late)", graph, seconds)
        return truncated

    def judge(self, truncated: Typing) -> Judgements:
        return self.lowered.judged(self.policy, self._options())

    def deciding(self, judged: Judgements) -> Judgements:
        return judged

    def graph(self, truncated: Typing) -> GraphModule:
        return truncated.module

    def repair(self, split: GraphModule, truncated: Typing) -> Repaired:
        lowered = self.lowered
        program = boundary.repair_late(split, lowered.inferred, truncated, lowered.narrowings)
        narrowing.narrow_engines(split, truncated, lowered.narrowings)
        return Repaired(program)

    def reasons(self, truncated: Typing, judged: Judgements) -> dict[str, Counterfactual]:
        self.context.progress("validate", "what would turn the refusals")
        in_force = reasons.explain(
            truncated.module, judged, self._options(), self.typing_in_force
        )
        return {**self.lowered.why_original, **self.lowered.why_refreshed, **in_force}

    def constants(
        self, truncated: Typing, program: Program | None
    ) -> tuple[ConstantRecord, ...]:
        held = narrowing.held_constants(program.module) if program is not None else None
        return narrowing.constant_records(self.lowered.inferred, truncated, held)

    def note(self, evidence: Evidence) -> None:
        pass

    def _options(self) -> object:
        return compilation_settings(self.context.settings, truncate_double=False)
