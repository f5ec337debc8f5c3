"""What the worker is doing at the moment, as far as its progress messages tell."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import BuildRecord
from trtdbg.worker.messages import (
    Build,
    EngineBuilt,
    Measure,
    Progress,
    Reproduce,
    Weigh,
)
from trtdbg_ui.model.questions import Ask


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
    verb: str = "analysing"
    building: bool = False
    settings: Settings | None = None
    stages: tuple[StageTime, ...] = ()
    finished: tuple[tuple[int, BuildRecord], ...] = ()
    """Engines that a running build has done."""
    engines: tuple[int, ...] = ()
    """Engines that it builds, in order."""
    engine_started: float = 0.0

    @classmethod
    def of(cls, request: Ask, started: float) -> Activity:
        """Returns the activity of a request that begins."""
        verbs = {
            Build: "building",
            Measure: "measuring",
            Reproduce: "reproducing",
            Weigh: "weighing",
        }
        return cls(
            request.policy,
            started,
            verbs.get(type(request), "analysing"),
            isinstance(request, Build),
            request.job.settings,
            engines=(request.engines or ()) if isinstance(request, Build) else (),
        )

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from another activity."""
        return self.policy, self.settings, self.verb

    @property
    def engine(self) -> int | None:
        """Index of the engine that is being built, None if none is."""
        stage = self.current
        if stage is None or stage.name != "build" or stage.done is None:
            return None
        return self.engines[stage.done] if stage.done < len(self.engines) else None

    def having_built(self, event: EngineBuilt) -> Activity:
        """Returns the activity after an engine is done."""
        return replace(self, finished=(*self.finished, (event.index, event.build)))

    @property
    def current(self) -> StageTime | None:
        """The stage that runs, None before the first progress message."""
        return self.stages[-1] if self.stages else None

    def advanced(self, progress: Progress, now: float) -> Activity:
        """Returns the activity after a progress message."""
        stage = StageTime(
            progress.stage,
            now,
            detail=progress.detail,
            done=progress.done,
            total=progress.total,
        )
        if self.building and progress.stage == "build":
            return replace(self.on(stage), engine_started=now)
        return self.on(stage)

    def on(self, stage: StageTime) -> Activity:
        """Returns the activity in a stage, a new one or the one it is in."""
        last, now = self.current, stage.started
        if last is None:
            return replace(self, stages=(stage,))
        if last.name == stage.name:
            stage = replace(stage, started=last.started)
            return replace(self, stages=(*self.stages[:-1], stage))
        return replace(self, stages=(*self.stages[:-1], replace(last, ended=now), stage))
