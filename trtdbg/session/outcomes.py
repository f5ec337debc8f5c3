"""What is left of a model's breaks, so that two analyses of it can be compared."""

from __future__ import annotations

from dataclasses import dataclass

from trtdbg.analysis.cure_words import State
from trtdbg.analysis.summary import broken_end
from trtdbg.records import BuildStatus, Cause, CauseKind, EngineRecord, Report


@dataclass(frozen=True)
class Outcome:
    """How many breaks an analysis ends with; less of each is better."""

    broken: bool
    """There is no partition."""
    failing: int
    """Engines that TensorRT refuses."""
    unusable: int
    """Engines that are built for no run: for empty tensors, or for sizes out of order."""
    torch_ops: int
    engines: int

    @classmethod
    def of(cls, report: Report) -> Outcome:
        """Returns the outcome of a report."""
        return cls(
            broken=broken_end(report) is not None,
            failing=_failing_engines(report),
            unusable=sum(map(_is_unusable, report.engines)),
            torch_ops=len(report.torch_ops),
            engines=len(report.engines),
        )

    def is_better(self, other: Outcome) -> bool:
        """Returns whether it is strictly better, nothing being traded for something worse.

        A partition where there was none, and an engine less that fails, are worth more
        engines and more operators in PyTorch. So is the first engine.
        """
        if self.broken is not other.broken:
            return other.broken
        mine, before = (self.failing, self.unusable), (other.failing, other.unusable)
        if mine != before:
            return mine < before
        if self.torch_ops > other.torch_ops or (
            other.engines and self.engines > other.engines
        ):
            return False
        return (self.torch_ops, self.engines) != (other.torch_ops, other.engines)

    def holds_more(self, other: Outcome) -> bool:
        """Returns whether engines hold more operators, in however many engines."""
        breaks = (self.broken, self.failing, self.unusable)
        others = (other.broken, other.failing, other.unusable)
        return breaks <= others and self.torch_ops < other.torch_ops

    @property
    def state(self) -> State:
        """What sentences say of it."""
        return self.engines, self.torch_ops, self.failing, self.broken, self.unusable

    @property
    def rank(self) -> tuple[bool, int, int, int, int]:
        """What outcomes are ordered by, the best first."""
        return self.broken, self.failing, self.unusable, self.torch_ops, self.engines


def is_refused_by_tensorrt(one: Cause) -> bool:
    """Returns whether validators accept what a cause is about."""
    return one.kind in (
        CauseKind.ENGINE_FAILED,
        CauseKind.TENSORRT_REFUSES,
        CauseKind.INSIDE_ENGINE,
    )


def _failing_engines(report: Report) -> int:
    """Returns how many engines hold something that TensorRT refuses."""
    failed = {e.index for e in report.engines if e.build.status is BuildStatus.FAILED}
    refused = {n for c in report.causes if is_refused_by_tensorrt(c) for n in c.nodes}
    return len(failed | {n.engine for n in report.nodes if n.name in refused} - {None})


def _is_unusable(engine: EngineRecord) -> bool:
    profiles = [given.profile for given in engine.inputs if given.profile is not None]
    return any(profile.empty or not profile.valid for profile in profiles)
