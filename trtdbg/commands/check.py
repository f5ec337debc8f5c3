"""`trtdbg check`: the findings of models, with an exit code for CI."""

from __future__ import annotations

from typing import Any

import click

from trtdbg.commands import models as shared
from trtdbg.commands.options import (
    Choices,
    SectionedCommand,
    analysis_options,
    verbose_option,
)
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, UsageError
from trtdbg.outputs.explain import CATALOGUE
from trtdbg.outputs.report import Entry
from trtdbg.outputs.summary import count
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import FailedReport, Finding, Level, ModelPath, Record, Report

CHECK_SCHEMA = "trtdbg.check/1"

_LEVELS = tuple(Level)
"""Mildest first, as the enum lists them."""


class CheckedModel(Record, frozen=True, kw_only=True):
    """The selected findings of one model, as `--format json` writes them."""

    schema: str = CHECK_SCHEMA
    model: ModelPath
    policy: TruncationPolicy
    settings: Settings
    findings: tuple[Finding, ...]


def _codes(ctx: click.Context, parameter: click.Parameter, value: Any) -> tuple[str, ...]:
    names = [name.strip().upper() for text in value for name in text.split(",")]
    for name in names:
        if not name or not any(code.startswith(name) for code in CATALOGUE):
            raise UsageError(
                f"--{parameter.name}: {name!r} begins no code",
                remedy="`trtdbg explain` lists all of them",
            )
    return tuple(names)


@click.command(cls=SectionedCommand)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@analysis_options
@click.option(
    "--select",
    multiple=True,
    metavar="CODE",
    callback=_codes,
    help="Only these codes or beginnings of codes, like TD1; with commas or several times.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="CODE",
    callback=_codes,
    help="Not these codes, even if selected.",
)
@click.option(
    "--fail-on",
    type=click.Choice([level.value for level in _LEVELS]),
    default=Level.WARNING.value,
    show_default=True,
    help="The mildest level that makes the exit code 1.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
)
@verbose_option
@click.pass_obj
def command(
    shell: Shell,
    models: tuple[str, ...],
    choices: Choices,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str,
    style: str,
) -> ExitCode:
    """Print the findings of each MODEL, for CI.

    MODEL is a .pt2 file that torch.export saved, or a report that `trtdbg report --json`
    saved.
    """
    return run(
        shell,
        models,
        choices,
        select=select,
        ignore=ignore,
        fail_on=Level(fail_on),
        as_json=style == "json",
    )


def run(
    shell: Shell,
    models: tuple[str, ...],
    choices: Choices,
    *,
    select: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    fail_on: Level = Level.WARNING,
    as_json: bool = False,
) -> ExitCode:
    """Checks each model; returns 1 if a selected finding is at or above `fail_on`.

    An analysis that could not be completed (2, 3, 4) outweighs findings and cannot be ignored.
    """
    results: list[CheckedModel | FailedReport] = []
    codes: list[ExitCode] = []
    for entry in shared.each(shell, models, lambda m: shared.analyse(shell, m, choices)):
        result = _checked(entry, select, ignore)
        results.append(result)
        codes += [shared.analysis_code(entry), _code(result, fail_on)]
        if not as_json and isinstance(result, CheckedModel):
            _show(shell, result)
    if as_json:
        shared.deliver(shell, results, "-", force=False)
    else:
        shell.show(_summary(results))
    return shared.worst(codes)


def _checked(
    entry: Entry, select: tuple[str, ...], ignore: tuple[str, ...]
) -> CheckedModel | FailedReport:
    if not isinstance(entry, Report):
        return entry
    kept = tuple(
        finding
        for finding in entry.findings
        if (not select or finding.code.startswith(select))
        and not (ignore and finding.code.startswith(ignore))
    )
    return CheckedModel(
        model=ModelPath(path=entry.model.path),
        policy=entry.policy,
        settings=entry.settings,
        findings=kept,
    )


def _code(result: CheckedModel | FailedReport, fail_on: Level) -> ExitCode:
    if isinstance(result, FailedReport):
        return ExitCode(result.exit_code)
    failing = _LEVELS[_LEVELS.index(fail_on) :]
    found = any(finding.level in failing for finding in result.findings)
    return ExitCode.FINDINGS if found else ExitCode.CLEAN


def _show(shell: Shell, result: CheckedModel) -> None:
    # rich is imported here so that --help stays fast.
    from trtdbg.outputs import pages

    lines = pages.findings(result.findings, prefix=f"{result.model.path}: ")
    if lines is not None:
        # One line a finding however narrow the terminal is, for grep and editors.
        shell.show(lines, wrap=False)


def _summary(results: list[CheckedModel | FailedReport]) -> str:
    checked = [result for result in results if isinstance(result, CheckedModel)]
    found = [finding for result in checked for finding in result.findings]
    levels = [
        count(number, level.value)
        for level in reversed(_LEVELS)
        if (number := sum(finding.level is level for finding in found))
    ]
    detail = f" ({', '.join(levels)})" if levels else ""
    text = f"{count(len(found), 'finding')}{detail} in {count(len(checked), 'model')}"
    failed = len(results) - len(checked)
    return f"{text}; {count(failed, 'model')} could not be checked" if failed else text
