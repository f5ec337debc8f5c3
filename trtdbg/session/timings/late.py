"""Timing `late`: engines are narrowed after lowering, and validators judge that."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence

from torch.fx import GraphModule

from trtdbg.analysis.conclusions import REFUSED
from trtdbg.graphs.graph import Typing
from trtdbg.graphs.splits import Program
from trtdbg.policy import KeepRule, TruncationPolicy
from trtdbg.records import (
    ConstantRecord,
    Counterfactual,
    LowDecision,
    LowRule,
    Phase,
    TypingKind,
    Verdict,
)
from trtdbg.session import upstream_low
from trtdbg.session.analysed import Context
from trtdbg.session.lowered import Lowered
from trtdbg.session.timings.protocol import Judgements, Repaired
from trtdbg.session.timings.shared import OfLowered
from trtdbg.stages import boundary, low, validate
from trtdbg.stages import narrow as narrowing
from trtdbg.stages.network import Network
from trtdbg.stages.partition import Split
from trtdbg.stages.probe import TensorrtAnswer


class Late(OfLowered):
    """Judges the truncated dtypes, narrows engines and leaves PyTorch's part wide."""

    def __init__(self, context: Context, policy: TruncationPolicy, lowered: Lowered) -> None:
        super().__init__(context, lowered)
        self.policy = policy
        self.learned: dict[str, tuple[LowRule, str]] = {}
        """Nodes that stay in float32 for what validators, partition and TensorRT said."""
        self.judged_low: Judgements = {}
        if policy.is_low:
            self.typing_in_force = TypingKind.LOW

    def narrow(self) -> Typing:
        start = time.perf_counter()
        self.context.progress("infer", "under the policy")
        truncated = self.lowered.truncated(self.policy)
        seconds = time.perf_counter() - start
        graph = truncated.module.graph
        self.recorder.snapshot(Phase.TRUNCATION, "truncate (late)", graph, seconds)
        if not self.policy.is_low:
            return truncated
        return self._lower(truncated)

    def _lower(self, truncated: Typing) -> Typing:
        """Returns the low typing, without what its validators refuse in the low type.

        What they refuse in float32 too is in no engine, and so not low.
        """
        start = time.perf_counter()
        self.context.progress("infer", f"in {self.policy.precision.value}")
        wanted = KeepRule.RANGE in self.policy.keep_rules
        ranges = self.context.ranges() if wanted else {}
        bounds = low.bounds_of(truncated.module, self.policy)
        plain = self.lowered.judged(self.policy, self.options())
        while True:
            typing, decisions = low.lower(truncated, self.policy, ranges, bounds, self.learned)
            self.judged_low = validate.judge(typing.module, self.options())
            refused = self._refused(decisions.low(), plain)
            if not refused:
                break
            self.learned.update(refused)
        self.decisions = upstream_low.beside(decisions.of, self.lowered, self._theirs)
        seconds = time.perf_counter() - start
        name = f"{self.policy.precision.value} (late)"
        passes = self.recorder.passes
        if passes and passes[-1].name == name:
            passes.pop()
        self.recorder.snapshot(Phase.TRUNCATION, name, typing.module.graph, seconds)
        return typing

    @functools.cached_property
    def _theirs(self) -> Mapping[str, LowDecision]:
        """What torch_tensorrt's rules say of the exported graph, which stays the same."""
        return self.context.upstream_rules(self.policy)

    def _refused(
        self, names: frozenset[str], plain: Judgements
    ) -> Mapping[str, tuple[LowRule, str]]:
        found: dict[str, tuple[LowRule, str]] = {}
        for name in names:
            judged = self.judged_low.get(name)
            if judged is None or judged.verdict is Verdict.ACCEPT:
                continue
            if name in plain and plain[name].verdict is Verdict.ACCEPT:
                reason = next((a.reason for a in judged.answers if a.reason), None)
                says = f": {reason}" if reason else ""
                found[name] = (LowRule.REFUSED, f"its validators refuse it{says}")
            else:
                found[name] = (LowRule.IN_PYTORCH, IN_PYTORCH)
        return found

    def narrow_again(
        self,
        split: Split,
        networks: Sequence[Network] | None = None,
        answers: Mapping[str, TensorrtAnswer] | None = None,
    ) -> Typing | None:
        """Keeps low nodes in float32 that no engine holds, or that TensorRT refuses."""
        if not self.policy.is_low:
            return None
        names = {n for n, each in self.decisions.items() if each.rule is LowRule.LOW}
        before = len(self.learned)
        if networks is None:
            for name in names - set(split.engine_of):
                if name not in self._constants():
                    self.learned[name] = (LowRule.IN_PYTORCH, IN_PYTORCH)
        for network in networks or ():
            culprit = network.culprit()
            if culprit in names:
                assert culprit is not None
                reason = f"TensorRT refuses it: {network.error}"
                self.learned[culprit] = (LowRule.REFUSED, reason)
            for name in names & set(network.node_dtypes):
                kind = network.node_dtypes[name]
                if isinstance(kind, str) and kind in OTHER_KINDS:
                    reason = f"its converter makes {kind} of it in TensorRT"
                    self.learned[name] = (LowRule.REFUSED, reason)
        for name in names & set(answers or {}):
            answer = (answers or {})[name]
            if answer.verdict in REFUSED:
                reason = f"TensorRT refuses it: {answer.reason}"
                self.learned[name] = (LowRule.REFUSED, reason)
        if len(self.learned) == before:
            return None
        return self._lower(self.lowered.truncated(self.policy))

    def _constants(self) -> frozenset[str]:
        nodes = self.lowered.module.graph.nodes
        return frozenset(node.name for node in nodes if node.op == "get_attr")

    def judge(self, truncated: Typing) -> Judgements:
        if self.policy.is_low:
            return self.judged_low
        return self.lowered.judged(self.policy, self.options())

    def listed(
        self, truncated: Typing, judged: Judgements
    ) -> tuple[Typing, Judgements, Judgements | None]:
        if not self.policy.is_low:
            return truncated, judged, None
        plain = self.lowered.judged(self.policy, self.options())
        return self.lowered.truncated(self.policy), plain, judged

    def constants(
        self, truncated: Typing, program: Program | None
    ) -> tuple[ConstantRecord, ...]:
        if not self.policy.is_low:
            return super().constants(truncated, program)
        held = narrowing.held_constants(program.module) if program is not None else None
        base = self.lowered.truncated(self.policy)
        return narrowing.constant_records(self.lowered.inferred, base, held, truncated)

    def repair(self, split: GraphModule, truncated: Typing) -> Repaired:
        lowered = self.lowered
        program = boundary.repair_late(split, lowered.inferred, truncated, lowered.narrowings)
        narrowing.narrow_engines(split, truncated, lowered.narrowings)
        return Repaired(program)

    def reasons(self, truncated: Typing, judged: Judgements) -> dict[str, Counterfactual]:
        return self.reasons_in_force(truncated, judged)


OTHER_KINDS = ("INT32", "INT64", "INT8", "UINT8", "BOOL")
"""TensorRT's dtypes that no floating value may have."""

IN_PYTORCH = "it is in no engine, and PyTorch's part stays as exported"
