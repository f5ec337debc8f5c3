"""A search for what must stay in float32, from first question to record. Free of torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from trtdbg.analysis.summary import base_name
from trtdbg.batch.low_search import Evaluated, Found, Kept, LowSearch, SearchOverError
from trtdbg.outputs.precision import ending
from trtdbg.policy import TruncationPolicy
from trtdbg.records.precision import (
    KeptLow,
    LowCandidate,
    LowRanking,
    LowTrial,
    PrecisionSearch,
    PrecisionTolerance,
    UpstreamSettings,
)
from trtdbg.worker.messages import ExpressLow, Job, LowAnswer, LowQuestion, RankLow, TryLow

DEFAULT_LOW_RTOL = 1e-2

Answering = Callable[[LowQuestion], LowAnswer]
"""Asks a worker, and waits for its answer."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a search is about."""

    model: str
    """As the user calls it."""
    job: Job
    policy: TruncationPolicy
    """What it evaluates under; see `trtdbg.policy.searched`."""
    inputs: tuple[str, ...] = ()
    """Files of values to run on."""
    rtol: float = DEFAULT_LOW_RTOL
    atol: float | None = None
    accumulate_low: bool = False

    def trial(self, keep: Kept) -> TryLow:
        """Returns the request of one evaluation."""
        return TryLow(
            job=self.job,
            policy=self.policy,
            inputs=self.inputs,
            rtol=self.rtol,
            atol=self.atol,
            accumulate_low=self.accumulate_low,
            keep=tuple(sorted(keep)),
        )

    def ranking(self) -> RankLow:
        """Returns the request of what can be kept, and of what one run shows."""
        return RankLow(
            job=self.job,
            policy=self.policy,
            inputs=self.inputs,
            rtol=self.rtol,
            atol=self.atol,
            accumulate_low=self.accumulate_low,
        )


Seen = Callable[[LowRanking, Kept, LowTrial], None]


def search(
    question: Question,
    ask: Answering,
    *,
    known: Evaluated | None = None,
    is_over: Callable[[], bool] = lambda: False,
    seen: Seen = lambda ranking, keep, trial: None,
    told: Callable[[int, int, int], None] = lambda kept, total, evaluations: None,
) -> PrecisionSearch:
    """Returns what a search found until its end, or until its time was over.

    Args:
        question: what it is about.
        ask: asks the worker; may raise SearchOverError.
        known: evaluations of an earlier search; those of this one are kept there too.
        is_over: returns whether the time is over; asked before each evaluation.
        seen: called after each evaluation.
        told: see `LowSearch`.

    Raises:
        SearchOverError: the time was over before anything was known.
    """
    started = time.monotonic()
    ranking = ask(question.ranking())
    assert isinstance(ranking, LowRanking)

    def evaluate(keep: Kept) -> LowTrial:
        trial = known.find(keep) if known is not None else None
        if trial is None:
            if is_over():
                raise SearchOverError
            answer = ask(question.trial(keep))
            assert isinstance(answer, LowTrial)
            trial = answer
            if known is not None:
                known.keep(keep, trial)
        seen(ranking, keep, trial)
        return trial

    found = LowSearch(ranking.candidates, evaluate, told).run()
    settings = _expressed(question, ask, found)
    return _record(question, ranking, found, settings, time.monotonic() - started)


def _expressed(question: Question, ask: Answering, found: Found) -> UpstreamSettings | None:
    if not found.possible or found.trial is None:
        return None
    request = ExpressLow(job=question.job, policy=question.policy, keep=found.keep)
    try:
        answer = ask(request)
    except SearchOverError:
        return None
    assert isinstance(answer, UpstreamSettings)
    return answer


def _record(
    question: Question,
    ranking: LowRanking,
    found: Found,
    settings: UpstreamSettings | None,
    seconds: float,
) -> PrecisionSearch:
    of = {each.name: each for each in ranking.candidates}
    within = found.trial is not None and found.trial.passes
    policy: TruncationPolicy = msgspec.structs.replace(
        question.policy, keep_measured=found.keep
    )
    return PrecisionSearch(
        model=base_name(question.model),
        precision=policy.precision.value,
        accumulate="low" if question.accumulate_low else "float32",
        keep=tuple(_kept(of[name], found) for name in found.keep) if within else (),
        error=found.trial.error if found.trial is not None else None,
        max_abs_error=found.trial.max_abs_error if found.trial is not None else None,
        tolerance=PrecisionTolerance(rtol=question.rtol, atol=question.atol),
        evaluations=found.evaluations,
        candidates=len(ranking.candidates),
        minimal=found.minimal and within,
        smallest=found.smallest and within,
        found=within,
        finished=found.finished,
        ending=ending(
            possible=found.possible,
            finished=found.finished,
            keep=len(found.keep),
            minimal=found.minimal,
            smallest=found.smallest,
        ),
        inputs=ranking.inputs,
        curve=found.curve,
        settings=settings,
        policy=policy,
        seconds=seconds,
    )


def _kept(candidate: LowCandidate, found: Found) -> KeptLow:
    without = found.without.get(candidate.name)
    if candidate.local_error is None:
        reason = "by itself it makes a finite value infinite or nan in the low type"
    elif candidate.leaves:
        reason = f"it reads or makes up to {candidate.largest:.4g}, which leaves the type"
    else:
        error = candidate.local_error or 0.0
        reason = f"by itself it errs by {error:.3g} times the tolerance"
    return KeptLow(
        name=candidate.name,
        target=candidate.target,
        source=candidate.source,
        reason=reason,
        error_without=without.error if without is not None else None,
        tried_without=without is not None,
    )
