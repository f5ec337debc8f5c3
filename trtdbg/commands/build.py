"""`trtdbg build`: builds every engine with the real TensorRT and says how it went."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from trtdbg.analysis.codes import Code
from trtdbg.analysis.cure_words import timing_flags
from trtdbg.analysis.headline import build_headline
from trtdbg.analysis.summary import base_name
from trtdbg.commands import models as shared
from trtdbg.commands.access import utf8
from trtdbg.commands.crew import HERE, Where, crew_options
from trtdbg.commands.options import (
    MOST,
    Choices,
    SectionedCommand,
    building_options,
    force_option,
    json_option,
    verbose_option,
)
from trtdbg.commands.recorded import models_argument
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, TrtdbgError, UsageError
from trtdbg.files import refuse_existing, refuse_filled_folder
from trtdbg.outputs.report import Entry, is_saved_report
from trtdbg.plain import readable_path
from trtdbg.records import BuildStatus, Report
from trtdbg.worker.alone import answered
from trtdbg.worker.messages import Build


@click.command(cls=SectionedCommand)
@models_argument
@building_options
@click.option(
    "--save",
    metavar="DIR",
    callback=utf8,
    help="Write the engines and a manifest into DIR; with several models, into a folder each.",
)
@click.option("--layers", is_flag=True, help="Show every layer of each engine's network.")
@click.option(
    "--runs",
    metavar="N",
    type=click.IntRange(0, MOST),
    default=100,
    show_default=True,
    help="On a GPU, time the whole program and each engine N times, against PyTorch and "
    "torch_tensorrt's own compile; 0 times nothing.",
)
@crew_options("models")
@json_option
@force_option
@verbose_option
@click.pass_obj
def command(
    shell: Shell,
    models: tuple[str, ...],
    choices: Choices,
    save: str | None,
    layers: bool,
    runs: int,
    where: Where,
    json_to: str | None,
    force: bool,
) -> ExitCode:
    """Build every engine of each MODEL with TensorRT, under timing late unless told otherwise.

    For each engine the result, seconds and bytes, or TensorRT's own sentence where it refuses.
    TensorRT-RTX builds for another GPU on a machine without one; running needs a GPU,
    which is not yet run by its authors, nor is standard TensorRT.
    """
    return run(
        shell,
        models,
        choices,
        save=save,
        layers=layers,
        runs=runs,
        where=where,
        json_to=json_to,
        force=force,
    )


def run(
    shell: Shell,
    models: tuple[str, ...],
    choices: Choices,
    *,
    save: str | None = None,
    layers: bool = False,
    runs: int = 0,
    where: Where = HERE,
    json_to: str | None = None,
    force: bool = False,
) -> ExitCode:
    """Builds each model; returns 4 if a build failed, 3 if this machine cannot build."""
    if json_to not in (None, "-"):
        refuse_existing(json_to, force=force)
    if save is not None:
        refuse_filled_folder(save, force=force)
    requests = [
        Build(
            job=where.job(shared.job(model, choices)),
            policy=choices.policy,
            save=None if folder is None else where.path(folder),
            cache=choices.cache,
            runs=runs,
        )
        for model, folder in zip(models, _save_folders(models, save), strict=True)
    ]
    answers = iter(_elsewhere(shell, models, requests, where) if where.chosen else requests)
    entries: list[Entry] = []

    def build(model: str) -> Report:
        answer = next(answers)
        _refuse_saved(model)
        if isinstance(answer, TrtdbgError):
            raise answer
        return answer if isinstance(answer, Report) else shared.ask(shell, answer)

    for entry in shared.each(shell, models, build):
        if json_to != "-" and isinstance(entry, Report):
            _show(shell, entry, layers=layers, first=not entries)
            _point_on(shell, entry)
        entries.append(entry)
    if json_to is not None:
        shared.deliver(shell, entries, json_to, force=force)
    return shared.worst(_code(entry) for entry in entries)


def _elsewhere(
    shell: Shell, models: Sequence[str], requests: Sequence[Build], where: Where
) -> list[Report | TrtdbgError]:
    """Returns the report of each model, or its error, made side by side or on a cluster."""
    answers: dict[int, Report | TrtdbgError] = {}
    for place, (model, request) in enumerate(zip(models, requests, strict=True)):
        try:
            _refuse_saved(model)
            shared.check(shell, request.job)
        except TrtdbgError as error:
            answers[place] = error
    left = [place for place in range(len(requests)) if place not in answers]
    work = where.work(shell, [requests[place] for place in left], answered)
    for number, answer in work:
        place = left[number]
        answers[place] = answer
        ended = str(answer) if isinstance(answer, TrtdbgError) else build_headline(answer)
        shell.note(f"[{len(answers)}/{len(models)}] {base_name(models[place])}: {ended}")
    return [answers[place] for place in range(len(requests))]


def _point_on(shell: Shell, report: Report) -> None:
    """Says what finds the operators of a refusal that names none."""
    if any(finding.code == Code.TD503 for finding in report.findings):
        path = shlex.quote(report.model.path)
        if report.model.program is not None:
            path += f" --program {shlex.quote(report.model.program)}"
        shell.note(
            "TensorRT names no operator that it refuses; to find which: "
            f"trtdbg repro {path}{timing_flags(report.policy)} -o DIR --code TD503"
        )


def _refuse_saved(model: str) -> None:
    if is_saved_report(model):
        raise UsageError(f"{model} is a saved report", remedy="give the .pt2 file to build")


def _save_folders(models: tuple[str, ...], save: str | None) -> list[str | None]:
    """Returns the folder of each model: DIR itself for one, else DIR/NAME, kept apart."""
    if save is None or len(models) == 1:
        return [save] * len(models)
    folders: list[str | None] = []
    for model in models:
        name = readable_path(Path(model).stem)
        if name in (".", ".."):
            name = "model"
        folder, number = str(Path(save, name)), 2
        while folder in folders:
            folder, number = str(Path(save, f"{name}-{number}")), number + 1
        folders.append(folder)
    return folders


def _code(entry: Entry) -> ExitCode:
    code = shared.analysis_code(entry)
    if not isinstance(entry, Report) or code is not ExitCode.CLEAN:
        return code
    statuses = {engine.build.status for engine in entry.engines}
    if statuses & {BuildStatus.FAILED, BuildStatus.CANCELLED}:
        return ExitCode.FAILED
    return ExitCode.UNAVAILABLE if BuildStatus.UNAVAILABLE in statuses else ExitCode.CLEAN


def _show(shell: Shell, report: Report, *, layers: bool, first: bool) -> None:
    # rich is imported here so that --help stays fast.
    from trtdbg.outputs import pages

    if not first:
        shell.show("")
    shell.show(pages.build(report, layers=layers))
