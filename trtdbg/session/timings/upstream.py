"""Timing `upstream`: what torch_tensorrt does, `truncate_double` as the settings say."""

from __future__ import annotations

from torch.fx import GraphModule

from trtdbg.analysis.findings import Evidence
from trtdbg.graphs.graph import Typing
from trtdbg.policy import TruncationPolicy
from trtdbg.records import Counterfactual, TypingKind
from trtdbg.session import upstream_low
from trtdbg.session.analysed import Context
from trtdbg.session.lowered import Lowered
from trtdbg.session.timings.protocol import Judgements, Repaired
from trtdbg.session.timings.shared import OfLowered
from trtdbg.stages import upstream

FLOAT64_ONLY = TruncationPolicy()
"""What torch_tensorrt narrows behind the validators' back, whatever a policy's lists say."""


class Upstream(OfLowered):
    """Partitions by the verdicts on the original dtypes and repairs as torch_tensorrt does."""

    typing_in_force = TypingKind.ORIGINAL
    validators_ask = True

    def __init__(self, context: Context, lowered: Lowered) -> None:
        super().__init__(context, lowered)
        self.decisions = upstream_low.decisions(lowered)
        failed = context.autocast_failure
        if failed is not None:
            message = f"lowering pass {failed.name} raised {failed.error}"
            self.decisions = upstream_low.raised(lowered, message)

    def note(self, evidence: Evidence) -> None:
        evidence.autocast_failure = self.context.autocast_failure

    def narrow(self) -> Typing:
        if not self.context.settings.truncate_double:
            return self.lowered.inferred
        self.context.progress("infer", "under the policy")
        return self.lowered.truncated(FLOAT64_ONLY)

    def judge(self, truncated: Typing) -> Judgements:
        # Where torch_tensorrt truncates nothing, still the answers if it did: they say what
        # truncation before the verdicts would change.
        return self.lowered.judged(FLOAT64_ONLY, self.options())

    def deciding(self, judged: Judgements) -> Judgements:
        return self.lowered.original

    def graph(self, truncated: Typing) -> GraphModule:
        return self.lowered.module

    def repair(self, split: GraphModule, truncated: Typing) -> Repaired:
        options = self.options(truncate_double=self.context.settings.truncate_double)
        made = upstream.repair_upstream(split, self.lowered.module, options)
        return Repaired(made.program, made.inputs, made.crashed_engine, made.crash)

    def reasons(self, truncated: Typing, judged: Judgements) -> dict[str, Counterfactual]:
        return {**self.lowered.why_refreshed, **self.lowered.why_original}
