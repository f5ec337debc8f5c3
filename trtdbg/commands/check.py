"""`trtdbg check`: the findings of models, with an exit code for CI."""

from __future__ import annotations

import dataclasses
import functools
import io
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import click
import msgspec

from trtdbg.analysis import checked
from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.analysis.checked import CheckedModel, Fingerprint, Result
from trtdbg.commands import models as shared
from trtdbg.commands.options import (
    Choices,
    SectionedCommand,
    analysis_options,
    force_option,
    verbose_option,
)
from trtdbg.commands.project import PROJECT_TABLE, read_project
from trtdbg.commands.recorded import models_argument
from trtdbg.commands.redacting import Redaction, redaction_options
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, UsageError
from trtdbg.files import refuse_existing, write_atomically
from trtdbg.outputs.ci import baseline as baselines
from trtdbg.outputs.ci import github
from trtdbg.outputs.report import encode
from trtdbg.plain import readable_path, visible, without_commands
from trtdbg.policy import Timing
from trtdbg.records import Level, Report

if TYPE_CHECKING:
    from rich.console import RenderableType


class Style(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    """Workflow commands, which GitHub shows beside the source lines."""
    SARIF = "sarif"
    JUNIT = "junit"


def _codes(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...] | None:
    return parse_codes(value, f"--{parameter.name}") if value else None


def parse_codes(texts: Any, where: str) -> tuple[str, ...]:
    """Returns codes and beginnings of codes, given one by one or with commas.

    Raises:
        UsageError: one of them begins no code.
    """
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list | tuple) or not all(isinstance(t, str) for t in texts):
        raise UsageError(f"{where}: expected a list of codes, got {texts!r}")
    names = [name.strip().upper() for text in texts for name in text.split(",")]
    for name in names:
        if not name or not any(code.startswith(name) for code in CATALOGUE):
            raise UsageError(
                f"{where}: {name!r} begins no code",
                remedy="`trtdbg explain` lists all of them",
            )
    return tuple(names)


@click.command(cls=SectionedCommand)
@models_argument
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
    type=click.Choice([level.value for level in checked.LEVELS], case_sensitive=False),
    help="The mildest level that makes the exit code 1.  [default: warning]",
)
@click.option(
    "--build",
    is_flag=True,
    default=None,
    help="Build every engine too: one that TensorRT refuses is a finding (TD503, TD102). "
    "Nothing is saved but trtdbg's own cache.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Models at a time on this machine, each job with a worker of its own, in which one "
    "model follows the other.  [default: 1]",
)
@click.option(
    "--format",
    "style",
    type=click.Choice([style.value for style in Style], case_sensitive=False),
    default=Style.TEXT.value,
    show_default=True,
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write the findings to FILE; stdout then has them as text.",
)
@click.option(
    "--baseline",
    metavar="FILE",
    help="Only findings that FILE does not know are shown or fail.",
)
@click.option(
    "--write-baseline",
    metavar="FILE",
    help="Write the findings to FILE as those that are known; findings then do not fail.",
)
@redaction_options(" A baseline still knows them.")
@force_option
@verbose_option
@click.pass_obj
def command(
    shell: Shell,
    models: tuple[str, ...],
    choices: Choices,
    select: tuple[str, ...] | None,
    ignore: tuple[str, ...] | None,
    fail_on: str | None,
    build: bool | None,
    jobs: int,
    style: str,
    output: str | None,
    baseline: str | None,
    write_baseline: str | None,
    redact: bool,
    redact_names: bool,
    force: bool,
) -> ExitCode:
    """Print the findings of each MODEL, for CI.

    MODEL is a .pt2 file that torch.export saved, or a report that `trtdbg report --json`
    saved. What no flag says comes from [tool.trtdbg] of pyproject.toml in the working
    directory; its keys are named as the flags.
    """
    project = read_project()
    return run(
        shell,
        models,
        choices,
        select=_given_or(select, project, "select"),
        ignore=_given_or(ignore, project, "ignore"),
        fail_on=_level(fail_on or project.get("fail_on", Level.WARNING.value)),
        build=_switch(build, project),
        jobs=jobs,
        style=Style(style),
        output=output,
        baseline=baseline,
        write_baseline=write_baseline,
        redaction=Redaction(redact or redact_names, redact_names),
        force=force,
    )


def _given_or(
    given: tuple[str, ...] | None, project: dict[str, Any], name: str
) -> tuple[str, ...]:
    if given is not None:
        return given
    return parse_codes(project.get(name, ()), f"{PROJECT_TABLE}: {name}")


def _switch(given: bool | None, project: dict[str, Any]) -> bool:
    value = project.get("build", False) if given is None else given
    if not isinstance(value, bool):
        raise UsageError(f"{PROJECT_TABLE}: build is true or false, got {value!r}")
    return value


def _level(text: Any) -> Level:
    try:
        return Level(text)
    except ValueError as error:
        names = ", ".join(level.value for level in checked.LEVELS)
        raise UsageError(
            f"{PROJECT_TABLE}: fail-on is one of {names}, got {text!r}"
        ) from error


def run(
    shell: Shell,
    models: tuple[str, ...],
    choices: Choices,
    *,
    select: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    fail_on: Level = Level.WARNING,
    build: bool = False,
    jobs: int = 1,
    style: Style = Style.TEXT,
    output: str | None = None,
    baseline: str | None = None,
    write_baseline: str | None = None,
    redaction: Redaction | None = None,
    force: bool = False,
) -> ExitCode:
    """Checks each model; returns 1 if a selected new finding is at or above `fail_on`.

    An analysis that could not be completed (2, 3, 4) outweighs findings and cannot be ignored.
    """
    hidden = redaction or Redaction()
    if hidden.on and write_baseline is not None:
        raise UsageError(
            "--redact does not go with --write-baseline, which holds names of files",
            remedy="write the baseline by a run of its own",
        )
    file = None if output == "-" else output
    for path in (file, write_baseline):
        if path is not None:
            refuse_existing(path, force=force)
    known: frozenset[Fingerprint] = frozenset()
    if baseline is not None:
        kept = baselines.read(baseline)
        known = frozenset(kept.findings)
        choices = _as_in(shell, choices, kept.timing, baseline)
    on_stdout = style if file is None else Style.TEXT
    results: list[Result] = []
    codes: list[ExitCode] = []
    found: list[Fingerprint] = []
    analyse = functools.partial(shared.build if build else shared.analyse, shell)
    for entry in shared.each_program(shell, models, choices, analyse, jobs):
        if (code := shared.analysis_code(entry)) is not ExitCode.CLEAN:
            codes.append(code)
        if not isinstance(entry, Report):
            results.append(hidden.failure(entry))
            continue
        selected = checked.check(entry, select=select, ignore=ignore)
        found += [each.fingerprint for each in selected]
        result = checked.result(entry, selected, known)
        if hidden.on:
            shown = hidden.applied(entry)
            told = checked.check(shown, select=select, ignore=ignore)
            result = checked.result(shown, told, known, known_as=selected)
        results.append(result)
        if any(checked.fails(finding, fail_on) for finding in result.findings):
            codes.append(ExitCode.FINDINGS)
        if on_stdout is Style.TEXT:
            _show(shell, result)
    if on_stdout is Style.TEXT:
        shell.show(checked.summary(results), wrap=False)
    else:
        shell.write(_render(results, on_stdout, fail_on, baseline is not None))
    if file is not None:
        text = _render(results, style, fail_on, baseline is not None)
        _write(shell, file, text.encode(), force=force)
    if write_baseline is not None:
        codes = [code for code in codes if code is not ExitCode.FINDINGS]
        if codes:
            # It would forget what is known of the models that could not be checked.
            shell.note(f"did not write {write_baseline}: not every model could be checked")
        else:
            _write(
                shell,
                write_baseline,
                baselines.encode(found, choices.policy.timing),
                force=force,
            )
    return shared.worst(codes)


def _as_in(shell: Shell, choices: Choices, timing: Timing, baseline: str) -> Choices:
    """Returns the choices with the timing of a baseline, unless the user named one."""
    if choices.timing_named or choices.policy.timing is timing:
        return choices
    name = readable_path(baseline)
    shell.note(f"timing {timing.value}, as in the baseline {name}: --timing names another")
    policy = msgspec.structs.replace(choices.policy, timing=timing)
    return dataclasses.replace(choices, policy=policy)


def _render(results: list[Result], style: Style, fail_on: Level, baseline: bool) -> str:
    root = Path.cwd()
    match style:
        case Style.TEXT:
            return _plain(results)
        case Style.JSON:
            return encode(results).decode()
        case Style.GITHUB:
            return github.render(results, root)
        case Style.SARIF:
            # Imported here, as is junit, so that --help stays fast.
            from trtdbg.outputs.ci import sarif

            return sarif.render(results, root, baseline=baseline)
        case Style.JUNIT:
            from trtdbg.outputs.ci import junit

            return junit.render(results, root, fail_on)
        case _:
            assert_never(style)


def _write(shell: Shell, path: str, data: bytes, *, force: bool) -> None:
    write_atomically(path, data, force=force)
    shell.note(f"wrote {path}")


def _lines(result: CheckedModel) -> RenderableType:
    # rich is imported here so that --help stays fast.
    from trtdbg.outputs import pages

    return pages.checked(result)


def _show(shell: Shell, result: CheckedModel) -> None:
    # One line a finding however narrow the terminal is, for grep and editors.
    shell.show(_lines(result), wrap=False)


def _plain(results: list[Result]) -> str:
    from rich.console import Console

    text = io.StringIO()
    console = Console(file=text, color_system=None, markup=False, highlight=False)
    for result in results:
        if isinstance(result, CheckedModel):
            console.print(_lines(result), soft_wrap=True)
    console.print(checked.summary(results), soft_wrap=True)
    return without_commands(visible(text.getvalue()))
