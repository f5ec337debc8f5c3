"""What commands with several models share: one answer a model, the worst exit code."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import msgspec

from trtdbg import __version__, foreign, prebuilt
from trtdbg.analysis import block_sizes
from trtdbg.analysis.summary import broken_end, model_place
from trtdbg.commands.options import Choices
from trtdbg.commands.recorded import access_for, settings_for
from trtdbg.commands.shell import Shell
from trtdbg.commands.side_by_side import in_order
from trtdbg.errors import (
    CancelledError,
    ExitCode,
    ModelError,
    TrtdbgError,
    UsageError,
)
from trtdbg.files import write_atomically, write_into
from trtdbg.outputs.report import Entry, encode, is_saved_report, read_report
from trtdbg.plain import readable_path
from trtdbg.policy import Precision, TruncationPolicy, upstream_precision
from trtdbg.recordings import folder as recordings
from trtdbg.records import FailedReport, ModelPath, Report
from trtdbg.worker.messages import (
    Analyze,
    Build,
    Job,
    Measure,
    Reproduce,
    Weigh,
    native_path,
    portable_path,
)


def job(model: str, choices: Choices) -> Job:
    """Returns the job that a worker is given for a model."""
    return Job(
        model=portable_path(model),
        settings=settings_for(model, choices),
        target=choices.target,
        probe_seconds=choices.probe_seconds,
        access=access_for(model, choices),
    )


@dataclass(frozen=True)
class Run:
    """How the original and the truncated program are to be run and compared."""

    inputs: str | None = None
    """A .pt or .npz file; None takes example inputs, or random ones."""
    seed: int | None = None
    atol: float | None = None
    rtol: float | None = None
    accumulate: str | None = None
    """`float32` or `low`: what sums of low operands are added up in."""

    def request(self, job: Job, policy: TruncationPolicy) -> Measure:
        """Returns the worker's request, its own defaults where the user chose nothing."""
        plain = Measure(job=job, policy=policy, inputs=self.inputs, seed=self.seed)
        chosen = {"atol": self.atol, "rtol": self.rtol}
        given: dict[str, Any] = {k: v for k, v in chosen.items() if v is not None}
        given["accumulate_low"] = self.accumulate == "low"
        return msgspec.structs.replace(plain, **given)


def calibrated(choices: Choices, run: Run | None) -> Choices:
    """Returns choices under which torch_tensorrt's own low precision sees the values too.

    Its range rule decides by a calibration run; it is what the program is run on anyway,
    unless the settings name another file.
    """
    low = upstream_precision(choices.policy, choices.settings)
    known = choices.settings.autocast_calibration_file
    if run is None or run.inputs is None or low is Precision.NONE or known is not None:
        return choices
    layer = {"autocast_calibration_file": run.inputs}
    return dataclasses.replace(
        choices,
        settings=msgspec.structs.replace(choices.settings, **layer),
        overrides=(*choices.overrides, ("--input-values", layer)),
    )


def analyse(shell: Shell, model: str, choices: Choices, run: Run | None = None) -> Report:
    """Returns the report of a model, with a `run` measured too, or one saved as .json.

    Raises:
        TrtdbgError: there is none; a class of `trtdbg.errors` says why.
    """
    if not is_saved_report(model):
        if prebuilt.is_compiled(model):
            return _compiled(model, choices, run)
        work = job(model, choices)
        if run is not None:
            # First, so that wrong inputs are refused before all else.
            measured = ask(shell, run.request(work, choices.policy))
        analysed = ask(shell, Analyze(job=work, policy=choices.policy, anew=not choices.cache))
        if run is None:
            return analysed
        return msgspec.structs.replace(measured, headline=analysed.headline)
    if run is not None:
        _need_program(model, "--numerics does")
    if choices.given:
        flag = _flag(choices.given[0])
        raise UsageError(
            f"--{flag} does not go with the saved report {model}, whose policy is fixed",
            remedy="give the .pt2 file",
        )
    check_readable(model)
    return read_report(model)


def _compiled(model: str, choices: Choices, run: Run | None) -> Report:
    """Returns what is known of a program whose engines are built already."""
    given = ["numerics"] if run is not None else [*choices.given]
    if given:
        raise UsageError(
            f"--{_flag(given[0])} does not go with {model}, which is {prebuilt.KIND} already",
            remedy="give the .pt2 that it was compiled from",
        )
    return prebuilt.read(model, __version__)


def _flag(name: str) -> str:
    """Returns how the command line calls a choice."""
    return name.removesuffix("_file").replace("_", "-")


def _need_program(model: str, flags: str) -> None:
    """Refuses a saved report where a program is needed.

    Args:
        model: what was named.
        flags: what needs the program, with its verb: "--build does".
    """
    if is_saved_report(model):
        raise UsageError(
            f"{flags} not go with the saved report {model}, which holds no program",
            remedy="give the .pt2 file",
        )


def build(shell: Shell, model: str, choices: Choices) -> Report:
    """Returns the report of a model with every engine built, or why TensorRT refuses it.

    Raises:
        TrtdbgError: there is none; a class of `trtdbg.errors` says why.
    """
    _need_program(model, "--build does")
    work = job(model, choices)
    return ask(shell, Build(job=work, policy=choices.policy, cache=choices.cache))


def weigh(
    shell: Shell,
    model: str,
    choices: Choices,
    *,
    consequences: bool,
    suggestion: bool,
    cures: bool = False,
) -> Report:
    """Returns the report of a model with what to do about refusals.

    Raises:
        TrtdbgError: there is none; a class of `trtdbg.errors` says why.
    """
    _need_program(model, "--advice, --consequences and --suggest do")
    request = Weigh(
        job=job(model, choices),
        policy=choices.policy,
        consequences=consequences,
        suggestion=suggestion,
        cures=cures,
        anew=not choices.cache,
    )
    return ask(shell, request)


def try_block_sizes(shell: Shell, model: str, choices: Choices, report: Report) -> Report:
    """Returns a report with the partition under other minimum block sizes.

    Raises:
        TrtdbgError: there is none; a class of `trtdbg.errors` says why.
    """
    _need_program(model, "--block-sizes does")
    sizes = sorted({*block_sizes.SIZES, report.settings.min_block_size})
    rows = []
    for size in sizes:
        settings = msgspec.structs.replace(choices.settings, min_block_size=size)
        chosen = dataclasses.replace(choices, settings=settings)
        work = job(model, chosen)
        request = Analyze(
            job=work, policy=choices.policy, anew=not choices.cache, headline=False
        )
        rows.append(block_sizes.row(ask(shell, request)))
    return msgspec.structs.replace(report, block_sizes=tuple(rows))


def ask(shell: Shell, request: Analyze | Build | Measure | Reproduce | Weigh) -> Report:
    """Returns the worker's report on a model, after a look whether the file is there at all.

    Raises:
        TrtdbgError: the worker could not make one.
    """
    check(shell, request.job)
    answer = shell.submit(request).result()
    if not isinstance(answer, Report):
        raise TypeError(f"the worker answered {type(request).__name__} with {type(answer)}")
    return answer


def check(shell: Shell, job: Job) -> None:
    """Looks whether the file of a job is there at all, and says whether it is trusted.

    Raises:
        ModelError: there is none.
        UsageError: its engines are built already.
    """
    path = native_path(job.model)
    check_readable(path)
    prebuilt.refuse(path)
    if job.access.trust:
        shell.note(f"{job.model} is trusted (--trust): code in it may run")


def check_readable(path: str) -> None:
    """Checks a file before torch is imported: that it is there, and of the right kind.

    Raises:
        ModelError: it is not.
    """
    if is_saved_report(path):
        _check_report(path)
        return
    folder = recordings.folder_of(path)
    if folder is not None:
        recordings.read(folder)
    foreign.check(path)


def _check_report(path: str) -> None:
    try:
        if not os.path.getsize(path):
            raise ModelError(f"{path} is empty", remedy="make the report again")
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


def each(
    shell: Shell, models: Sequence[str], answer: Callable[[str], Report]
) -> Iterator[Entry]:
    """Yields one entry a model, in order; a model that fails does not keep others from it.

    Raises:
        CancelledError: the user ended it all.
    """
    for model in models:
        yield _entry(shell, ModelPath(path=model), functools.partial(answer, model))


def each_program(
    shell: Shell,
    models: Sequence[str],
    choices: Choices,
    answer: Callable[[str, Choices], Report],
    jobs: int = 1,
) -> Iterator[Entry]:
    """Yields one entry a program of each model, as `each` does; all but if one is chosen.

    Args:
        shell: gives each job a worker.
        models: paths.
        choices: for all of them.
        answer: makes the report of one.
        jobs: how many are made at a time.

    Raises:
        CancelledError: the user ended it all.
    """
    works = []
    for model in models:
        for chosen in of_each_program(model, choices):
            about = ModelPath(path=model, program=chosen.access.program)
            make = functools.partial(answer, model, chosen)
            works.append(functools.partial(_entry, shell, about, make))
    yield from in_order(works, jobs, shell.counted)


def of_each_program(model: str, choices: Choices) -> tuple[Choices, ...]:
    """Returns the choices for each program of a model that holds several, each named in them.

    They stay as they are where one is chosen, or the model holds one.
    """
    names: tuple[str | None, ...]
    if is_saved_report(model):
        return (choices,)
    if choices.access.program is not None:
        names = (_program(model, choices),)
    else:
        names = foreign.programs(model)
        if len(names) < 2:
            return (choices,)
    return tuple(
        dataclasses.replace(
            choices, access=msgspec.structs.replace(choices.access, program=name)
        )
        for name in names
    )


def _program(model: str, choices: Choices) -> str | None:
    try:
        return access_for(model, choices).program
    except ModelError:
        # Whoever makes the report says so.
        return choices.access.program


def _entry(shell: Shell, model: ModelPath, answer: Callable[[], Report]) -> Entry:
    """Returns the report on a model, or why there is none."""
    subject = model_place(model)
    shell.working_on(subject)
    try:
        return answer()
    except CancelledError:
        raise
    except TrtdbgError as error:
        shell.fail(error, subject)
        return FailedReport(
            model=ModelPath(path=readable_path(model.path), program=model.program),
            error=str(error),
            exit_code=error.exit_code,
        )


def deliver(
    shell: Shell, records: Sequence[msgspec.Struct], json_to: str, *, force: bool
) -> None:
    """Writes records as JSON to a file, or to stdout for `-`."""
    data = encode(records)
    if json_to == "-":
        shell.write(data.decode())
        return
    write_atomically(json_to, data, force=force)
    shell.note(f"wrote {json_to}")


def analysis_code(entry: Entry) -> ExitCode:
    """Returns how the analysis of one model ended."""
    if isinstance(entry, FailedReport):
        return ExitCode(entry.exit_code)
    return ExitCode.FAILED if broken_end(entry) is not None else ExitCode.CLEAN


def is_good(entry: Entry) -> TypeGuard[Report]:
    """Returns whether a model was analysed to the end."""
    return isinstance(entry, Report) and broken_end(entry) is None


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Returns the highest exit code; an unreadable model outweighs a finding in another."""
    return max(codes, default=ExitCode.CLEAN)


def deliver_files(
    shell: Shell, folder: Path, files: Mapping[str, bytes], *, force: bool
) -> None:
    """Writes files into a folder, which is made if it is missing, and prints their paths.

    Raises:
        OutputError: one cannot be written, or exists and `force` is off.
    """
    for path in write_into(folder, files, force=force):
        shell.write(f"{path}\n")
