"""The rows about a low precision: what its analysis costs, and an evaluation of its search."""

from __future__ import annotations

import itertools

from benchmarks import analysis
from benchmarks.measure import Sides, seconds
from benchmarks.models import model
from trtdbg.policy import Precision, Settings, TruncationPolicy
from trtdbg.worker.messages import Job, RankLow, TryLow

HALF = TruncationPolicy(precision=Precision.FLOAT16)
RTOL = 1e-2


def low_analysis(subject: str) -> Sides:
    """Loads and analyses with `--low float16`, its run for ranges included, and without."""
    path = model(subject)
    analysis.options()

    def under(policy: TruncationPolicy) -> None:
        analysis.session(path, networks=False).analyze(policy)

    return Sides(seconds(lambda: under(HALF)), seconds(lambda: under(analysis.LATE)))


def low_evaluation(subject: str) -> Sides:
    """One evaluation of the search, against a plain run of the numbers."""
    path = model(subject)
    analysis.options()
    session = analysis.session(path, networks=False)
    job = Job(model=str(path), settings=Settings())
    ranking = session.rank_low(RankLow(job=job, policy=HALF, rtol=RTOL))
    names = [each.name for each in ranking.candidates]
    sets = itertools.cycle((name,) for name in names)
    session.numerics(analysis.LATE)

    def evaluate() -> None:
        keep = next(sets)
        session.try_low(TryLow(job=job, policy=HALF, rtol=RTOL, keep=keep))

    return Sides(seconds(evaluate), seconds(lambda: session.numerics(analysis.LATE)))
