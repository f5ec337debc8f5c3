"""Timing `late`: engines are narrowed after lowering, and validators judge that."""

from __future__ import annotations

import time

from torch.fx import GraphModule

from trtdbg.graphs.graph import Typing
from trtdbg.policy import TruncationPolicy
from trtdbg.records import Counterfactual, Phase
from trtdbg.session.analysed import Context
from trtdbg.session.lowered import Lowered
from trtdbg.session.timings.protocol import Judgements, Repaired
from trtdbg.session.timings.shared import OfLowered
from trtdbg.stages import boundary
from trtdbg.stages import narrow as narrowing


class Late(OfLowered):
    """Judges the truncated dtypes, narrows engines and leaves PyTorch's part wide."""

    def __init__(self, context: Context, policy: TruncationPolicy, lowered: Lowered) -> None:
        super().__init__(context, lowered)
        self.policy = policy

    def narrow(self) -> Typing:
        start = time.perf_counter()
        self.context.progress("infer", "under the policy")
        truncated = self.lowered.truncated(self.policy)
        seconds = time.perf_counter() - start
        graph = truncated.module.graph
        self.recorder.snapshot(Phase.TRUNCATION, "truncate (late)", graph, seconds)
        return truncated

    def judge(self, truncated: Typing) -> Judgements:
        return self.lowered.judged(self.policy, self.options())

    def repair(self, split: GraphModule, truncated: Typing) -> Repaired:
        lowered = self.lowered
        program = boundary.repair_late(split, lowered.inferred, truncated, lowered.narrowings)
        narrowing.narrow_engines(split, truncated, lowered.narrowings)
        return Repaired(program)

    def reasons(self, truncated: Typing, judged: Judgements) -> dict[str, Counterfactual]:
        return self.reasons_in_force(truncated, judged)
