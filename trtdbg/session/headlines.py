"""The numbers of the first line: what users run, what is analysed, what `late` would bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from trtdbg.analysis.headline import counts, failing_engines
from trtdbg.graphs.graph import engine_nodes
from trtdbg.policy import Settings, Timing, TruncationPolicy, VerdictSource, truncates_double
from trtdbg.records import Counts, Headline, Report
from trtdbg.session.analysed import Analysed, Context
from trtdbg.session.lowered import FailedLowering, Lowered
from trtdbg.session.steps import Draft, EngineKey, PartitionFailedError, Steps, engine_key

Choice = tuple[TruncationPolicy, Settings]

Lower = Callable[[TruncationPolicy, Settings], Lowered | FailedLowering]
"""Lowers the program under a policy and settings, or returns what was lowered before."""

UPSTREAM = TruncationPolicy(timing=Timing.UPSTREAM)


class Headlines:
    """Makes headlines of one program's reports; what was counted once is kept."""

    def __init__(self, lower: Lower) -> None:
        """Takes what lowers the program."""
        self._lower = lower
        self._counted: dict[Choice, Counts] = {}

    def of(
        self, report: Report, analysed: Analysed, context: Context, own: Settings
    ) -> Headline:
        """Returns the headline of a report.

        Args:
            report: under any policy and settings.
            analysed: what the report was made of.
            context: what the report was made in.
            own: settings of the user's `torch_tensorrt.compile`.
        """
        here = counts(report)
        known = _known(report, analysed)
        late = msgspec.structs.replace(
            report.policy, timing=Timing.LATE, verdicts=VerdictSource.VALIDATORS
        )
        return Headline(
            compiled=self._count(UPSTREAM, own, report, context, known),
            here=here,
            late=None
            if report.policy.timing is Timing.LATE
            else self._count(late, report.settings, report, context, known),
        )

    def _count(
        self,
        policy: TruncationPolicy,
        settings: Settings,
        report: Report,
        context: Context,
        known: Mapping[EngineKey, bool],
    ) -> Counts:
        choice = _choice(policy, settings)
        if choice not in self._counted:
            self._counted[choice] = self._drafted(policy, settings, context, known)
        return self._counted[choice]

    def _drafted(
        self,
        policy: TruncationPolicy,
        settings: Settings,
        context: Context,
        known: Mapping[EngineKey, bool],
    ) -> Counts:
        truncates = truncates_double(policy, settings)
        blank = Counts(timing=policy.timing, settings=settings, truncate_double=truncates)
        lowered = self._lower(policy, settings)
        if isinstance(lowered, FailedLowering):
            name = lowered.captured.failed_pass
            return msgspec.structs.replace(blank, error=f"pass {name!r} failed")
        try:
            steps = Steps(replace(context, settings=settings), policy, lowered)
            draft: Draft = steps.draft(known)
        except PartitionFailedError:
            return msgspec.structs.replace(blank, error="the partitioner failed")
        return msgspec.structs.replace(
            blank,
            engines=draft.engines,
            torch_ops=draft.torch_ops,
            casts=draft.casts,
            failed=draft.failed,
        )


def _choice(policy: TruncationPolicy, settings: Settings) -> Choice:
    """Returns policy and settings without what makes no difference under the timing."""
    if not policy.timing.follows_lists:
        policy = TruncationPolicy(timing=policy.timing)
    if not policy.timing.is_upstream:
        settings = msgspec.structs.replace(settings, truncate_double=True)
    return policy, settings


def _known(report: Report, analysed: Analysed) -> dict[EngineKey, bool]:
    """Returns whether TensorRT refuses the engines of a report that hold no wide floats.

    What truncates makes no difference to those: their network is the same whenever their
    nodes and dtypes are.
    """
    if analysed.program is None:
        return {}
    failing = failing_engines(report)
    refused = {engine.name: engine.index in failing for engine in report.engines}
    keys = {
        str(call.target): engine_key(module)
        for call, module in engine_nodes(analysed.program.module)
    }
    return {
        key: refused[name]
        for name, key in keys.items()
        if name in refused and not any(_is_wide(dtype) for _, dtype in key)
    }


def _is_wide(dtype: str) -> bool:
    return "float64" in dtype or "complex128" in dtype
