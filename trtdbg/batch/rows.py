"""One row of a comparison, made in a worker process of its own. Free of torch.

`compare_row` is what executors run: a pure function of its task, in this process or on another
machine. Whatever happens to the worker, it returns a row.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from trtdbg.analysis.comparison import (
    BuildTotals,
    Row,
    build_totals,
    no_builds,
    row_of,
    without_figures,
)
from trtdbg.cache.client import CachingClient
from trtdbg.errors import TrtdbgError, UnavailableError
from trtdbg.policy import TruncationPolicy
from trtdbg.records import Report
from trtdbg.worker.alone import allow_children
from trtdbg.worker.deadline import HANDLER, Conversation
from trtdbg.worker.messages import (
    DEFAULT_ATOL,
    DEFAULT_RTOL,
    Analyze,
    Build,
    Job,
    Measure,
    News,
)


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """How the original and the truncated program are run; as in `Measure`."""

    inputs: str | None = None
    seed: int | None = None
    atol: float = DEFAULT_ATOL
    rtol: float = DEFAULT_RTOL


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a row is made of."""

    model: str
    """Path of the model as the user gave it; where it really is, the job says."""
    name: str
    """What the policy is called."""
    policy: TruncationPolicy
    job: Job
    """Its `access.time_limit` is the wall time of the whole row."""
    build: bool = True
    cache: bool = True
    numbers: Numbers | None = None
    """None runs neither program."""
    handler: str = HANDLER
    """What answers in the worker process."""


def compare_row(task: Task) -> Row:
    """Returns the row of a task; if its worker fails, crashes or hangs, a row that says so."""
    started = time.monotonic()
    allow_children()
    try:
        limit = task.job.access.time_limit
        with Conversation(
            limit, started=started, handler=task.handler, make_client=_caching
        ) as worker:
            row = _made(task, worker)
    except TrtdbgError as error:
        row = failed_row(task, error)
    return msgspec.structs.replace(row, seconds=time.monotonic() - started)


def _caching(heard: Callable[[News], None], handler: str) -> CachingClient:
    return CachingClient(heard, handler=None if handler == HANDLER else handler)


def failed_row(task: Task, error: TrtdbgError) -> Row:
    """Returns the row of a task of which there is only the error."""
    row = without_figures(task.model, task.name, task.policy, task.job.settings, error)
    return msgspec.structs.replace(row, program=task.job.access.program)


def _made(task: Task, worker: Conversation) -> Row:
    def ask(request: Analyze | Build | Measure) -> Report:
        answer = worker.ask(request)
        assert isinstance(answer, Report)
        return answer

    # The limit is that of the row, which is watched here, and not of each request.
    access = msgspec.structs.replace(task.job.access, time_limit=None)
    job = msgspec.structs.replace(task.job, access=access)
    totals: BuildTotals | None = None
    if task.build:
        try:
            report = ask(Build(job=job, policy=task.policy, cache=task.cache))
            totals = build_totals(report)
        except UnavailableError as error:
            report = ask(_analysis(task, job))
            totals = no_builds(report, error.message)
    else:
        report = ask(_analysis(task, job))
    if task.numbers is not None:
        how = msgspec.structs.asdict(task.numbers)
        report = ask(Measure(job=job, policy=task.policy, **how))
    return row_of(task.model, task.name, report, totals)


def _analysis(task: Task, job: Job) -> Analyze:
    return Analyze(job=job, policy=task.policy, headline=False, anew=not task.cache)
