"""`trtdbg compare`: several policies on one or several models, side by side."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import click
import msgspec

from trtdbg.analysis import comparison as compared
from trtdbg.analysis.comparison import NamedPolicy, PolicyComparison, Row
from trtdbg.analysis.summary import base_name
from trtdbg.batch.journal import Journal
from trtdbg.batch.rows import Numbers, Task, compare_row, failed_row
from trtdbg.commands import models as shared
from trtdbg.commands.access import utf8
from trtdbg.commands.crew import HERE, Where, crew_options
from trtdbg.commands.options import (
    Choices,
    analysis_options,
    force_option,
    json_option,
    not_a_model,
    read_policy,
    verbose_option,
)
from trtdbg.commands.recorded import of_recordings
from trtdbg.commands.running import RunningCommand, numerics_options
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, TrtdbgError, UsageError, WorkerBugError
from trtdbg.files import refuse_existing, write_atomically
from trtdbg.outputs.compare import comparison_words as words
from trtdbg.outputs.report import is_saved_report
from trtdbg.plain import readable_path
from trtdbg.policy import Precision, Timing, TruncationPolicy

POLICY_FILE = ".toml"
"""How a policy in a file ends."""


@dataclass(frozen=True)
class Making:
    """How and where rows are made."""

    build: bool = True
    where: Where = HERE
    resume: str | None = None
    """File that keeps finished rows."""


@click.command(cls=RunningCommand)
@click.argument(
    "words",
    metavar="MODEL... [POLICY...]",
    nargs=-1,
    required=True,
    callback=of_recordings,
)
@analysis_options
@numerics_options
@click.option("--no-build", is_flag=True, help="Only analyse, which takes seconds a row.")
@click.option(
    "--html",
    "html_to",
    metavar="FILE",
    callback=not_a_model,
    help="Write the same with charts into one HTML page.",
)
@crew_options("rows")
@click.option(
    "--resume",
    metavar="FILE",
    callback=utf8,
    help="Keep rows in FILE as they finish, and make only those that it does not hold.",
)
@json_option
@force_option
@functools.partial(verbose_option, shows="Show tracebacks of bugs on stderr.")
@click.pass_obj
def command(
    shell: Shell,
    words: tuple[str, ...],
    choices: Choices,
    measured: shared.Run | None,
    no_build: bool,
    html_to: str | None,
    where: Where,
    resume: str | None,
    json_to: str | None,
    force: bool,
) -> ExitCode:
    """Build each MODEL under several policies and show what each costs, side by side.

    POLICY is a timing or a policy in a .toml file. Without one every timing is compared, the
    one of the flags (upstream) first, and that of --timing (late) with each of --inputs,
    --constants, --computed switched. Of a file that holds several programs each is compared,
    unless --program names one.

    The words none, float16 and bfloat16 are low precisions: each POLICY is compared in each of
    them, and late where no POLICY is named. With --low, float32 is the first row.

    Every row has a worker process of its own: a crash, or more than --memory-limit or
    --time-limit, costs only that row. An engine from the cache is shown with the seconds that
    it took then, and marked.
    """
    making = Making(not no_build, where, resume)
    return run(
        shell,
        words,
        choices,
        making,
        measured=measured,
        html_to=html_to,
        json_to=json_to,
        force=force,
    )


def run(
    shell: Shell,
    words: Sequence[str],
    choices: Choices,
    making: Making,
    *,
    measured: shared.Run | None = None,
    html_to: str | None = None,
    json_to: str | None = None,
    force: bool = False,
) -> ExitCode:
    """Compares the policies among `words` on the models among them.

    Returns the highest exit code that `build` has for any row.
    """
    written = [path for path in (html_to, json_to) if path not in (None, "-")]
    for path in written:
        refuse_existing(str(path), force=force)
    if len({*written, making.resume}) <= len(written):
        raise UsageError("two outputs go to the same file", remedy="name two files")
    models, policies = _sorted_out(words, choices)
    tasks = [
        _task(model, named, chosen, making, measured)
        for model in models
        for chosen in shared.of_each_program(model, choices)
        for named in policies
    ]
    with contextlib.ExitStack() as stack:
        journal = None
        if making.resume is not None:
            journal = stack.enter_context(Journal(making.resume))
        made = _made(shell, tasks, making, journal)
    side_by_side = making.where.jobs if making.where.jobs != 1 else None
    comparison = PolicyComparison(rows=tuple(made), side_by_side=side_by_side)
    _deliver(shell, comparison, html_to, json_to, force=force)
    return compared.worst_code(made)


def _sorted_out(given: Sequence[str], choices: Choices) -> tuple[list[str], list[NamedPolicy]]:
    """Returns models and policies among the words of the command line, each once, in order.

    Raises:
        UsageError: there is no model, or a word makes no sense.
    """
    words = list(dict.fromkeys(given))
    precisions = [Precision(word) for word in words if word in set(Precision)]
    named = [word for word in words if _is_policy(word)]
    models = [word for word in words if word not in named and word not in precisions]
    if not models:
        raise UsageError("there is no model to compare on", remedy="name a .pt2 file")
    for model in models:
        if is_saved_report(model):
            raise UsageError(f"{model} is a saved report", remedy="give the .pt2 file")
        near = get_close_matches(model, list(Timing), 1)
        if near and not os.path.exists(model):
            raise UsageError(
                f"{readable_path(model)} is neither a file nor a timing",
                remedy=f"did you mean {near[0]}?",
            )
    if named and "timing" in choices.given:
        raise UsageError(
            "--timing does not go with policies by name",
            remedy=f"write {choices.policy.timing.value} beside {named[0]}",
        )
    if named:
        found = [_policy(word, choices) for word in named]
    elif precisions:
        timing = choices.policy.timing if choices.timing_named else Timing.LATE
        base = compared.at(choices.policy, timing)
        found = [_called(base)]
    else:
        chosen = compared.policies(choices.policy, named=choices.timing_named)
        if choices.policy.is_low:
            plain = compared.with_precision(choices.policy, Precision.NONE)
            chosen = (plain, choices.policy, *chosen)
        found = list(map(_called, chosen))
    if precisions:
        found = [_in(each, precision) for each in found for precision in precisions]
    once: dict[TruncationPolicy, NamedPolicy] = {}
    for each in found:
        once.setdefault(each.policy, each)
    return models, list(once.values())


def _is_policy(word: str) -> bool:
    return word in set(Timing) or word.endswith(POLICY_FILE)


def _policy(word: str, choices: Choices) -> NamedPolicy:
    if word.endswith(POLICY_FILE):
        return NamedPolicy(name=base_name(word), policy=read_policy(word))
    return _called(compared.at(choices.policy, Timing(word)))


def _called(policy: TruncationPolicy) -> NamedPolicy:
    return NamedPolicy(name=compared.policy_name(policy), policy=policy)


def _in(each: NamedPolicy, precision: Precision) -> NamedPolicy:
    """Returns a policy in another low precision, under its name."""
    policy = compared.with_precision(each.policy, precision)
    if each.name == compared.policy_name(each.policy):
        return _called(policy)
    if policy == each.policy:
        return each
    word = "float32" if precision is Precision.NONE else precision.value
    return NamedPolicy(name=f"{each.name}, low {word}", policy=policy)


def _task(
    model: str,
    named: NamedPolicy,
    choices: Choices,
    making: Making,
    measured: shared.Run | None,
) -> Task:
    numbers = None
    if measured is not None:
        given = {
            name: value
            for name, value in dataclasses.asdict(measured).items()
            if value is not None
        }
        numbers = Numbers(**given)
    if numbers is not None and numbers.inputs is not None:
        inputs = making.where.path(numbers.inputs)
        numbers = msgspec.structs.replace(numbers, inputs=inputs)
    chosen = dataclasses.replace(choices, policy=named.policy)
    return Task(
        model=readable_path(model),
        name=named.name,
        policy=named.policy,
        job=making.where.job(shared.job(model, shared.calibrated(chosen, measured))),
        build=making.build,
        cache=choices.cache,
        numbers=numbers,
    )


def _made(
    shell: Shell, tasks: Sequence[Task], making: Making, journal: Journal | None
) -> list[Row]:
    """Returns the row of each task, in order, telling of each as it is finished."""
    made: dict[int, Row] = {}
    resumed = 0
    unreadable = _unreadable(shell, tasks)
    for place, task in enumerate(tasks):
        error = unreadable.get(task.job.model)
        if error is not None:
            made[place] = failed_row(task, error)
        elif journal is not None and (known := journal.find(task)) is not None:
            made[place] = known
            resumed += 1
    if resumed:
        shell.note(f"{resumed} of {len(tasks)} rows are taken from {making.resume}")
    left = [place for place in range(len(tasks)) if place not in made]
    shell.status(f"{len(made)} of {len(tasks)} rows are made")
    work = making.where.work(shell, [tasks[place] for place in left], compare_row)
    for number, answer in work:
        place = left[number]
        row = answer if isinstance(answer, Row) else failed_row(tasks[place], answer)
        if journal is not None:
            journal.keep(tasks[place], row)
        made[place] = row
        _tell(shell, row, f"[{len(made)}/{len(tasks)}]")
        shell.status(f"{len(made)} of {len(tasks)} rows are made")
    return [made[place] for place in range(len(tasks))]


def _unreadable(shell: Shell, tasks: Sequence[Task]) -> dict[str, TrtdbgError]:
    """Returns the error of each model that no worker need be asked for."""
    found: dict[str, TrtdbgError] = {}
    for job in dict.fromkeys(task.job for task in tasks):
        try:
            shared.check(shell, job)
        except TrtdbgError as error:
            shell.fail(error, readable_path(job.model))
            found[job.model] = error
    return found


def _tell(shell: Shell, row: Row, number: str) -> None:
    program = f", program {row.program}" if row.program is not None else ""
    subject = f"{base_name(row.model)}{program}, {row.name}"
    shell.note(f"{number} {subject}: {words.row_line(row)}")
    if row.traceback is not None:
        bug = WorkerBugError(row.error or "", row.traceback)
        bug.remedy = None  # The row's error says it already.
        shell.fail(bug, subject)


def _deliver(
    shell: Shell,
    comparison: PolicyComparison,
    html_to: str | None,
    json_to: str | None,
    *,
    force: bool,
) -> None:
    if json_to != "-":
        # rich is imported here so that --help stays fast.
        from trtdbg.outputs.compare import comparison_table

        shell.show(comparison_table.comparison(comparison))
    if html_to is not None:
        from trtdbg.outputs.compare import comparison_page

        page = comparison_page.page(comparison)
        write_atomically(html_to, page.encode(), force=force)
        shell.note(f"wrote {html_to}")
    if json_to is not None:
        shared.deliver(shell, [comparison], json_to, force=force)
