"""Cuts what is refused, an engine or a program, down to the smallest part, and writes it."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from trtdbg.analysis.codes import Code
from trtdbg.analysis.summary import count, failed_pass
from trtdbg.batch.reduction import Search, Smallest, Tried
from trtdbg.commands import models as shared
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, StageError
from trtdbg.outputs.repro import lowering, reduced
from trtdbg.outputs.repro.lowering import RaisingPart
from trtdbg.outputs.repro.reduced import Reduced
from trtdbg.records import EngineRecord, Report
from trtdbg.worker import trial
from trtdbg.worker.deadline import HANDLER, Conversation
from trtdbg.worker.messages import PROGRAM, Attempt, Job


@dataclass(frozen=True)
class Reduction:
    """What is to be cut down, and where it goes."""

    job: Job
    """Its `access.time_limit` bounds all of it together."""
    codes: tuple[str, ...]
    """TD503, and TD102 for engines whose refusal names a node."""
    folder: Path
    resume: str | None = None
    """File of what was tried before; None keeps nothing."""
    issue: bool = False
    force: bool = False
    started: float | None = None
    """When the command began, by `time.monotonic`; None is now."""


def run(
    shell: Shell, report: Report, wanted: Reduction, engines: Sequence[EngineRecord]
) -> ExitCode:
    """Writes the smallest part of each engine that is refused; 4 if one cannot be.

    Raises:
        TrtdbgError: the engines cannot be tried.
    """
    job = _unlimited(wanted.job)
    failed = written = 0
    with _searching(shell, wanted) as (worker, tried):
        for engine in engines:
            search = Search(worker, tried, _Teller(shell, f"engine {engine.index}"))
            shell.status(f"engine {engine.index}: building it as it is")
            attempt = Attempt(job=job, policy=report.policy, engine=engine.index)
            whole = search.whole(attempt)
            if whole.error is None:
                continue
            code = Code.TD102 if whole.node in engine.nodes else Code.TD503
            if code not in wanted.codes:
                shell.note(
                    f"engine {engine.index} is refused for {whole.node}, which is {code}: "
                    f"--code {code} reproduces it"
                )
                continue
            try:
                smallest = search.smallest(attempt, whole)
                written += 1
                told = _reduced(code, smallest)
                good = _written(shell, report, wanted, search, smallest, told)
            except StageError as error:
                shell.note(f"engine {engine.index} cannot be cut down: {error}")
                good = False
            failed += not good
    if not written and not failed:
        shell.note(f"{report.model.path}: nothing to reproduce, TensorRT refuses no engine")
    return ExitCode.FAILED if failed else ExitCode.CLEAN


def run_lowering(shell: Shell, report: Report, wanted: Reduction) -> ExitCode:
    """Writes the smallest part of the program that a pass raises on; 4 if it cannot be.

    Raises:
        TrtdbgError: the program cannot be tried.
    """
    failed = failed_pass(report)
    assert failed is not None
    attempt = Attempt(job=_unlimited(wanted.job), policy=report.policy, engine=PROGRAM)
    with _searching(shell, wanted) as (worker, tried):
        search = Search(worker, tried, _Teller(shell, "the program"))
        shell.status("the program: lowering it as it is")
        whole = search.whole(attempt)
        if whole.error is None:
            shell.note(
                f"{report.model.path}: nothing to reproduce, the program as it was exported "
                f"is lowered without an exception; pass {failed.name} raises under timing "
                f"{report.policy.timing.value}, which narrows it first"
            )
            return ExitCode.FAILED
        try:
            found = search.smallest(attempt, whole)
        except StageError as error:
            shell.note(f"the program cannot be cut down and is taken as it is: {error}")
            found = search.uncut(attempt, whole)
        told = RaisingPart(
            pass_name=failed.name,
            operators=found.outcome.operators,
            graph=found.outcome.graph,
            whole=found.whole,
            sentence=found.outcome.error or "",
            crashed=found.outcome.crashed,
            complete=found.complete,
        )
        good = _written_part(shell, report, wanted, search, found, told)
    return ExitCode.CLEAN if good else ExitCode.FAILED


def _unlimited(job: Job) -> Job:
    """Returns a job whose limit of time is not that of each request: the search watches it."""
    access = msgspec.structs.replace(job.access, time_limit=None)
    return msgspec.structs.replace(job, access=access)


@contextlib.contextmanager
def _searching(shell: Shell, wanted: Reduction) -> Iterator[tuple[Conversation, Tried]]:
    """Gives the worker of a search and what was tried before."""
    started = time.monotonic() if wanted.started is None else wanted.started
    limit = wanted.job.access.time_limit
    with (
        Tried(wanted.resume) as tried,
        Conversation(limit, started=started, handler=HANDLER) as worker,
    ):
        if len(tried):
            shell.note(f"{count(len(tried), 'attempt')} are known from {wanted.resume}")
        yield worker, tried


class _Teller:
    """Says how far a search is: on the last line, or a line for each gain with `-v`."""

    def __init__(self, shell: Shell, subject: str) -> None:
        self._shell = shell
        self._subject = subject
        self._fewest: int | None = None

    def __call__(self, fewest: int, whole: int, attempts: int) -> None:
        text = (
            f"{self._subject}: {fewest} of {count(whole, 'operator')} left, attempt {attempts}"
        )
        if self._shell.verbose and fewest != self._fewest:
            self._shell.note(text)
        self._fewest = fewest
        self._shell.status(text)


def _reduced(code: str, found: Smallest) -> Reduced:
    return Reduced(
        code=code,
        engine=found.part.engine,
        operators=found.outcome.operators,
        graph=found.outcome.graph,
        whole=found.whole,
        sentence=found.outcome.error or "",
        crashed=found.outcome.crashed,
        complete=found.complete,
    )


def _written(
    shell: Shell,
    report: Report,
    wanted: Reduction,
    search: Search,
    found: Smallest,
    told: Reduced,
) -> bool:
    """Writes a part that a fresh process finds refused as well; returns whether it does."""
    stem = reduced.file_stem(told)
    return _tried_and_written(
        shell,
        wanted,
        search,
        found,
        _Files(
            subject=f"engine {told.engine}",
            stem=stem,
            text=reduced.script(report, told, stem),
            issue=lambda text, printed: reduced.issue(report, told, text, printed),
            operators=len(told.operators),
            whole=told.whole,
            sentence=told.sentence,
        ),
    )


def _written_part(
    shell: Shell,
    report: Report,
    wanted: Reduction,
    search: Search,
    found: Smallest,
    told: RaisingPart,
) -> bool:
    """Writes a part of the program that is not lowered in a fresh process either."""
    return _tried_and_written(
        shell,
        wanted,
        search,
        found,
        _Files(
            subject=f"lowering pass {told.pass_name}",
            stem=lowering.STEM,
            text=lowering.script(report, told),
            issue=lambda text, printed: lowering.issue(report, told, text, printed),
            operators=len(told.operators),
            whole=told.whole,
            sentence=told.sentence,
        ),
    )


@dataclass(frozen=True)
class _Files:
    """What is to be written of a part, and what is said of it."""

    subject: str
    stem: str
    text: str
    """Of the script."""
    issue: Callable[[str, str], str]
    """Makes a bug report of the script and of what it printed."""
    operators: int
    whole: int
    sentence: str


def _tried_and_written(
    shell: Shell, wanted: Reduction, search: Search, found: Smallest, files: _Files
) -> bool:
    stem, subject = files.stem, files.subject
    shell.status(f"{subject}: running {stem}.py in a fresh process")
    with tempfile.TemporaryDirectory(prefix="trtdbg-") as scratch:
        saved = Path(scratch, f"{stem}.pt2")
        search.save(found.part, str(saved))
        program = saved.read_bytes()
    ended = trial.run(f"{stem}.py", files.text, beside={f"{stem}.pt2": program})
    if not ended.reproduced:
        shell.note(
            f"{subject}: the {count(files.operators, 'operator')} that were left do not "
            f"reproduce in a fresh process and are not written: {ended.why_not}"
        )
        return False
    written = {f"{stem}.pt2": program, f"{stem}.py": files.text.encode()}
    if wanted.issue:
        written[f"{stem}.md"] = files.issue(files.text, ended.printed).encode()
    shared.deliver_files(shell, wanted.folder, written, force=wanted.force)
    shell.note(
        f"reproduced: {subject}, {files.operators} of {count(files.whole, 'operator')}, "
        f"{count(found.attempts, 'attempt')}: {files.sentence}"
    )
    if not found.complete and found.part.kept is not None:
        shell.note(
            "the search was ended by --time-limit: fewer operators may do; raise it, with "
            "--resume FILE nothing is tried twice"
        )
    return True
