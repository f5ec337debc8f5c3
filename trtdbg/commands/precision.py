"""`trtdbg precision`: the fewest operators that must stay in float32."""

from __future__ import annotations

import time

import click
import msgspec

from trtdbg.analysis.summary import count
from trtdbg.batch.low_search import Evaluated
from trtdbg.batch.precision import DEFAULT_LOW_RTOL, Question, search
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
from trtdbg.policy import Precision, searched
from trtdbg.records.precision import (
    LowRanking,
    LowTrial,
    PrecisionSearch,
    UpstreamSettings,
)
from trtdbg.worker.messages import LowAnswer, LowQuestion, portable_path


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
    "--accumulate",
    type=click.Choice(["float32", "low"], case_sensitive=False),
    help="What sums are added up in: float32, as tensor cores do, or the low type, for the "
    "worst case.  [default: float32]",
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
    accumulate: str | None,
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
    question = _question(model, choices, input_values, rtol, atol, accumulate)
    with Evaluated(resume, question.trial(frozenset())) as known:
        if len(known):
            shell.note(f"{count(len(known), 'evaluation')} are known from {resume}")
        found = _searched(shell, question, known, choices.access.time_limit)
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


def _question(
    model: str,
    choices: Choices,
    inputs: tuple[str, ...],
    rtol: float,
    atol: float | None,
    accumulate: str | None,
) -> Question:
    # The limit is that of the search, which is watched here, and not of each request.
    access = msgspec.structs.replace(choices.access, time_limit=None)
    return Question(
        model=model,
        job=msgspec.structs.replace(shared.job(model, choices), access=access),
        policy=searched(choices.policy),
        inputs=tuple(map(portable_path, inputs)),
        rtol=rtol,
        atol=atol,
        accumulate_low=accumulate == "low",
    )


def _searched(
    shell: Shell, question: Question, known: Evaluated, limit: float | None
) -> PrecisionSearch:
    """Returns what the search found before the time limit."""
    shared.check(shell, question.job)
    shell.working_on(question.model)
    shell.status(f"{question.model}: opening, lowering and running the original")
    started = time.monotonic()

    def ask(request: LowQuestion) -> LowAnswer:
        answer = shell.submit(request).result()
        assert isinstance(answer, LowRanking | LowTrial | UpstreamSettings)
        return answer

    def tell(kept: int, total: int, evaluations: int) -> None:
        shell.status(
            f"{question.model}: {kept} of {total} kept so far, "
            f"{count(evaluations, 'evaluation')}"
        )

    def is_over() -> bool:
        return limit is not None and time.monotonic() - started >= limit

    return search(question, ask, known=known, is_over=is_over, told=tell)
