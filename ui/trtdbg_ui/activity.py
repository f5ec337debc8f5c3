"""What the worker is doing at the moment, as far as its progress messages tell."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trtdbg.policy import TruncationPolicy
from trtdbg.session.messages import Progress


@dataclass(frozen=True)
class StageTime:
    """One stage of a running request."""

    name: str
    started: float
    ended: float | None = None
    """None while it runs."""
    detail: str = ""
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True)
class Activity:
    """A request that runs in the worker; times are seconds of the app's clock."""

    policy: TruncationPolicy
    started: float
    building: bool = False
    stages: tuple[StageTime, ...] = ()

    @property
    def current(self) -> StageTime | None:
        """The stage that runs, None before the first progress message."""
        return self.stages[-1] if self.stages else None

    def advanced(self, progress: Progress, now: float) -> Activity:
        """Returns the activity after a progress message."""
        last = self.current
        stage = StageTime(
            progress.stage,
            now,
            detail=progress.detail,
            done=progress.done,
            total=progress.total,
        )
        if last is None:
            return replace(self, stages=(stage,))
        if last.name == progress.stage:
            stage = replace(stage, started=last.started)
            return replace(self, stages=(*self.stages[:-1], stage))
        return replace(self, stages=(*self.stages[:-1], replace(last, ended=now), stage))
