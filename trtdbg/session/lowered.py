"""A captured program with what inference and the validators say, for all policies to share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch.fx import GraphModule

from trtdbg.graphs.graph import Typing
from trtdbg.graphs.tensors import Narrowings
from trtdbg.policy import Timing, TruncationPolicy, VerdictSource
from trtdbg.records import Counterfactual
from trtdbg.stages import infer, validate
from trtdbg.stages.capture import Captured


@dataclass(frozen=True)
class FailedLowering:
    """A program whose lowering raised in one of its passes."""

    captured: Captured
    """Its `module` is None."""

    def error(self) -> str:
        """Returns which pass raised, and what."""
        return f"lowering pass {self.captured.failed_pass} raised {self.captured.error}"


@dataclass
class Lowered:
    """A captured program with what inference and the validators say of it.

    Its graphs are shared by all policies and must not be changed.
    """

    captured: Captured
    module: GraphModule
    """The captured graph."""
    inferred: Typing
    original: Mapping[str, validate.Judgement]
    refreshed: Mapping[str, validate.Judgement]
    narrowings: Narrowings = field(default_factory=Narrowings, kw_only=True)
    """Narrow copies of constants, shared by the engines of all policies."""
    why_original: Mapping[str, Counterfactual] = field(default_factory=dict)
    """Why nodes are refused on the metadata that lowering leaves."""
    why_refreshed: Mapping[str, Counterfactual] = field(default_factory=dict)
    """Why nodes are refused on refreshed metadata."""
    typings: dict[TruncationPolicy, Typing] = field(default_factory=dict, kw_only=True)
    judgements: dict[TruncationPolicy, Mapping[str, validate.Judgement]] = field(
        default_factory=dict, kw_only=True
    )

    def truncated(self, policy: TruncationPolicy) -> Typing:
        """Returns the typing with what the lists of a policy narrow, whatever its timing."""
        lists = _lists(policy)
        if lists not in self.typings:
            self.typings[lists] = infer.infer_truncated(self.inferred, lists)
        return self.typings[lists]

    def judged(
        self, policy: TruncationPolicy, options: Any
    ) -> Mapping[str, validate.Judgement]:
        """Returns the verdicts on the typing that the lists of a policy give.

        Args:
            policy: its timing does not matter.
            options: torch_tensorrt's CompilationSettings that all its verdicts are made with.
        """
        lists = _lists(policy)
        if lists not in self.judgements:
            self.judgements[lists] = validate.judge(self.truncated(lists).module, options)
        return self.judgements[lists]


def _lists(policy: TruncationPolicy) -> TruncationPolicy:
    return TruncationPolicy(
        timing=Timing.LATE,
        inputs=policy.inputs,
        constants=policy.constants,
        computed=policy.computed,
        verdicts=VerdictSource.VALIDATORS,
    )
