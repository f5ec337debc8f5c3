"""`trtdbg precision`: the fewest operators that must stay in float32."""

from __future__ import annotations

import time
from dataclasses import dataclass

import click
import msgspec

from trtdbg.analysis.summary import base_name, count
from trtdbg.batch.low_search import Evaluated, Found, Kept, LowSearch, SearchOverError
from trtdbg.commands import models as shared
from trtdbg.commands.access import utf8
from trtdbg.commands.options import (
    Choices,
    SectionedCommand,
    analysis_options,
    force_option,
    json_option,
    verbose_option,
)
from trtdbg.commands.recorded import of_recording
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, UsageError
from trtdbg.files import refuse_existing, write_atomically
from trtdbg.outputs import policy_file
from trtdbg.outputs import precision as told
from trtdbg.outputs.report import is_saved_report
from trtdbg.policy import Precision, TruncationPolicy, searched
from trtdbg.records.precision import (
    KeptLow,
    LowCandidate,
    LowRanking,
    LowTrial,
    PrecisionSearch,
    PrecisionTolerance,
    UpstreamSettings,
)
from trtdbg.worker.messages import ExpressLow, LowQuestion, RankLow, TryLow, portable_path

DEFAULT_LOW_RTOL = 1e-2


@click.command(cls=SectionedCommand)
@click.argument("model", metavar="MODEL", callback=of_recording)
@analysis_options
@click.option(
    "--rtol",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_LOW_RTOL,
    show_default=True,
    metavar="X",
    help="An element of an output may differ by this share of the original",
)
@click.option(
    "--atol",
    type=click.FloatRange(min=0),
    metavar="X",
    help="and by this much.  [default: --rtol times the largest magnitude of the output]",
)
@click.option(
    "--input-values",
    metavar="FILE",
    multiple=True,
    callback=lambda ctx, parameter, values: tuple(utf8(ctx, parameter, v) for v in values),
    help="Values to run on, a .pt or .npz file; repeat it for several.  [default: the model's "
    "example inputs]",
)
@click.option(
    "--resume",
    metavar="FILE",
    callback=utf8,
    help="Keep every evaluation in FILE, and take from it what an earlier search evaluated.",
)
@click.option(
    "--write-policy",
    metavar="FILE",
    callback=utf8,
    help="Write the set as a policy that --policy FILE reads.",
)
@json_option
@force_option
@verbose_option
@click.pass_obj
def command(
    shell: Shell,
    model: str,
    choices: Choices,
    rtol: float,
    atol: float | None,
    input_values: tuple[str, ...],
    resume: str | None,
    write_policy: str | None,
    json_to: str | None,
    force: bool,
) -> ExitCode:
    """Find the fewest operators of MODEL that must stay in float32 under --low.

    MODEL is run in PyTorch on the CPU: operands are rounded to the low type, operators
    computed in float32, results rounded. --time-limit bounds the search: the best set that was
    found by then is shown. Exits 1 where no set is within the tolerance.
    """
    if choices.policy.precision is Precision.NONE:
        raise UsageError(
            "precision searches for a low type", remedy="add --low float16 or --low bfloat16"
        )
    if is_saved_report(model):
        raise UsageError(
            f"the saved report {model} holds no program", remedy="give the .pt2 file"
        )
    for path in (write_policy, json_to):
        if path not in (None, "-"):
            refuse_existing(str(path), force=force)
    asked = _Asked(shell, model, choices, input_values, rtol, atol)
    with Evaluated(resume, asked.trial(frozenset())) as known:
        if len(known):
            shell.note(f"{count(len(known), 'evaluation')} are known from {resume}")
        found = asked.search(known)
    if write_policy is not None:
        data = policy_file.policy_toml(found.policy).encode()
        write_atomically(write_policy, data, force=force)
        shell.note(f"wrote {write_policy}")
    if json_to != "-":
        for line in told.lines(found):
            shell.write(f"{line}\n")
    if json_to is not None:
        shared.deliver(shell, [found], json_to, force=force)
    return ExitCode.CLEAN if found.found else ExitCode.FINDINGS


@dataclass
class _Asked:
    """One search, and the worker that evaluates for it."""

    shell: Shell
    model: str
    choices: Choices
    inputs: tuple[str, ...]
    rtol: float
    atol: float | None

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        # The limit is that of the search, which is watched here, and not of each request.
        access = msgspec.structs.replace(self.choices.access, time_limit=None)
        self.job = msgspec.structs.replace(shared.job(self.model, self.choices), access=access)
        self.policy = searched(self.choices.policy)
        self.paths = tuple(map(portable_path, self.inputs))

    def trial(self, keep: Kept) -> TryLow:
        """Returns the request of one evaluation."""
        return TryLow(
            job=self.job,
            policy=self.policy,
            inputs=self.paths,
            rtol=self.rtol,
            atol=self.atol,
            keep=tuple(sorted(keep)),
        )

    def ask(self, request: LowQuestion) -> LowRanking | LowTrial | UpstreamSettings:
        """Returns the worker's answer."""
        answer = self.shell.submit(request).result()
        assert isinstance(answer, LowRanking | LowTrial | UpstreamSettings)
        return answer

    def search(self, known: Evaluated) -> PrecisionSearch:
        """Returns what the search found."""
        shared.check(self.shell, self.job)
        self.shell.working_on(self.model)
        self.shell.status(f"{self.model}: opening, lowering and running the original")
        ranking = self.ask(
            RankLow(
                job=self.job,
                policy=self.policy,
                inputs=self.paths,
                rtol=self.rtol,
                atol=self.atol,
            )
        )
        assert isinstance(ranking, LowRanking)

        def evaluate(keep: Kept) -> LowTrial:
            trial = known.find(keep)
            if trial is not None:
                return trial
            limit = self.choices.access.time_limit
            if limit is not None and time.monotonic() - self.started >= limit:
                raise SearchOverError
            answer = self.ask(self.trial(keep))
            assert isinstance(answer, LowTrial)
            known.keep(keep, answer)
            return answer

        found = LowSearch(ranking.candidates, evaluate, self._told).run()
        settings = self._expressed(found)
        return self._result(ranking, found, settings)

    def _told(self, kept: int, total: int, evaluations: int) -> None:
        self.shell.status(
            f"{self.model}: {kept} of {total} kept so far, {count(evaluations, 'evaluation')}"
        )

    def _expressed(self, found: Found) -> UpstreamSettings | None:
        if not found.possible or found.trial is None:
            return None
        answer = self.ask(ExpressLow(job=self.job, policy=self.policy, keep=found.keep))
        assert isinstance(answer, UpstreamSettings)
        return answer

    def _result(
        self, ranking: LowRanking, found: Found, settings: UpstreamSettings | None
    ) -> PrecisionSearch:
        of = {each.name: each for each in ranking.candidates}
        within = found.trial is not None and found.trial.passes
        policy: TruncationPolicy = msgspec.structs.replace(
            self.policy, keep_measured=found.keep
        )
        return PrecisionSearch(
            model=base_name(self.model),
            precision=policy.precision.value,
            keep=tuple(_kept(of[name], found) for name in found.keep) if within else (),
            error=found.trial.error if found.trial is not None else None,
            max_abs_error=found.trial.max_abs_error if found.trial is not None else None,
            tolerance=PrecisionTolerance(rtol=self.rtol, atol=self.atol),
            evaluations=found.evaluations,
            candidates=len(ranking.candidates),
            minimal=found.minimal and within,
            smallest=found.smallest and within,
            found=within,
            finished=found.finished,
            ending=told.ending(
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
            seconds=time.monotonic() - self.started,
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
