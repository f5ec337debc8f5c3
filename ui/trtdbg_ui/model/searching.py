"""A search for the operators that must stay in float32, as it is at one moment."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trtdbg.records.precision import LowCandidate, LowRanking, LowTrial, Point, PrecisionSearch


@dataclass(frozen=True)
class Searching:
    """What a search knows so far; frozen, so that a thread can hand it to the screen."""

    precision: str
    rtol: float
    candidates: tuple[LowCandidate, ...] = ()
    """In graph order; empty until the original was run."""
    curve: tuple[Point, ...] = ()
    """Of each evaluation, in order."""
    tried: frozenset[str] | None = None
    """The set of the last evaluation."""
    best: frozenset[str] | None = None
    """The smallest set within the tolerance."""
    found: PrecisionSearch | None = None
    """What it came to; None while it runs."""
    error: str | None = None
    """Why it ended without an answer."""

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.found is None and self.error is None

    def having_seen(
        self, ranking: LowRanking, keep: frozenset[str], trial: LowTrial
    ) -> Searching:
        """Returns the search with one more evaluation."""
        total = len(ranking.candidates)
        share = (total - len(keep)) / total if total else 0.0
        point = Point(kept=len(keep), share_low=share, error=trial.error)
        better = trial.passes and (self.best is None or len(keep) < len(self.best))
        return replace(
            self,
            candidates=ranking.candidates,
            curve=(*self.curve, point),
            tried=keep,
            best=keep if better else self.best,
        )
