"""Cuts engines that TensorRT refuses down to the smallest part, and writes that down."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from trtdbg.analysis.codes import Code
from trtdbg.analysis.summary import count
from trtdbg.batch.reduction import Search, Smallest, Tried
from trtdbg.commands import models as shared
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, StageError
from trtdbg.outputs.repro import reduced
from trtdbg.outputs.repro.reduced import Reduced
from trtdbg.records import EngineRecord, Report
from trtdbg.worker import trial
from trtdbg.worker.deadline import HANDLER, Conversation
from trtdbg.worker.messages import Attempt, Job


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
    access = wanted.job.access
    # The limit is that of the search, which is watched here, and not of each request.
    unlimited = msgspec.structs.replace(access, time_limit=None)
    job = msgspec.structs.replace(wanted.job, access=unlimited)
    started = time.monotonic() if wanted.started is None else wanted.started
    failed = written = 0
    with (
        Tried(wanted.resume) as tried,
        Conversation(access.time_limit, started=started, handler=HANDLER) as worker,
    ):
        if len(tried):
            shell.note(f"{count(len(tried), 'attempt')} are known from {wanted.resume}")
        for engine in engines:
            search = Search(worker, tried, _Teller(shell, engine.index))
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


class _Teller:
    """Says how far a search is: on the last line, or a line for each gain with `-v`."""

    def __init__(self, shell: Shell, engine: int) -> None:
        self._shell = shell
        self._engine = engine
        self._fewest: int | None = None

    def __call__(self, fewest: int, whole: int, attempts: int) -> None:
        text = (
            f"engine {self._engine}: {fewest} of {count(whole, 'operator')} left, "
            f"attempt {attempts}"
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
    """Writes a part that a fresh process finds refused as well; tells whether it does."""
    stem = reduced.file_stem(told)
    shell.status(f"engine {told.engine}: running {stem}.py in a fresh process")
    with tempfile.TemporaryDirectory(prefix="trtdbg-") as scratch:
        saved = Path(scratch, f"{stem}.pt2")
        search.save(found.part, str(saved))
        program = saved.read_bytes()
    text = reduced.script(report, told, stem)
    ended = trial.run(f"{stem}.py", text, beside={f"{stem}.pt2": program})
    if not ended.reproduced:
        shell.note(
            f"engine {told.engine}: the {count(len(told.operators), 'operator')} that were "
            f"left do not reproduce in a fresh process and are not written: {ended.why_not}"
        )
        return False
    files = {f"{stem}.pt2": program, f"{stem}.py": text.encode()}
    if wanted.issue:
        files[f"{stem}.md"] = reduced.issue(report, told, text, ended.printed).encode()
    shared.deliver_files(shell, wanted.folder, files, force=wanted.force)
    shell.note(
        f"reproduced: engine {told.engine}, {len(told.operators)} of "
        f"{count(told.whole, 'operator')}, {count(found.attempts, 'attempt')}: {told.sentence}"
    )
    if not told.complete:
        shell.note(
            "the search was ended by --time-limit: fewer operators may do; raise it, with "
            "--resume FILE nothing is tried twice"
        )
    return True
