"""`trtdbg repro`: one runnable file for each failure of a validator."""

from __future__ import annotations

import os
from pathlib import Path

import click

from trtdbg.commands import models as shared
from trtdbg.commands.options import (
    Choices,
    SectionedCommand,
    analysis_options,
    force_option,
    verbose_option,
)
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, OutputError, UsageError
from trtdbg.outputs import reproducer
from trtdbg.outputs.explain import explain
from trtdbg.outputs.files import refuse_filled_folder, write_atomically
from trtdbg.outputs.report import is_saved_report
from trtdbg.outputs.summary import broken_end, count
from trtdbg.records import Recipe, Report
from trtdbg.session import trial
from trtdbg.session.messages import Reproduce

REPRODUCIBLE = ("TD101", "TD102", "TD103", "TD104", "TD105")
"""Findings about one node, which a reproducer can be made of."""


@click.command(cls=SectionedCommand)
@click.argument("model", metavar="MODEL")
@analysis_options
@click.option("-o", "--output", required=True, metavar="DIR", help="The folder to write to.")
@click.option(
    "--node", "nodes", metavar="NAME", multiple=True, help="Only this node; may be repeated."
)
@click.option(
    "--code",
    "codes",
    metavar="CODE",
    multiple=True,
    help=f"Only this finding ({', '.join(REPRODUCIBLE)}); may be repeated.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["script", "issue"]),
    default="script",
    help="With issue also a bug report in Markdown beside each script.  [default: script]",
)
@force_option
@verbose_option
@click.pass_obj
def command(
    shell: Shell,
    model: str,
    choices: Choices,
    output: str,
    nodes: tuple[str, ...],
    codes: tuple[str, ...],
    kind: str,
    force: bool,
) -> ExitCode:
    """Write one Python file for each operator of MODEL that a validator fails on.

    Rejected, crashed, accepted though TensorRT refuses, or answered otherwise inside its
    engine. A file depends on torch and torch_tensorrt alone and runs without a GPU, with
    python and with pytest. Each is run before it is written; one that does not reproduce is
    not, and the exit code is 4.
    """
    return run(shell, model, choices, output, nodes, codes, issue=kind == "issue", force=force)


def run(
    shell: Shell,
    model: str,
    choices: Choices,
    folder: str,
    nodes: tuple[str, ...] = (),
    codes: tuple[str, ...] = (),
    *,
    issue: bool = False,
    force: bool = False,
) -> ExitCode:
    """Writes the reproducers; returns 4 if one does not reproduce or lowering failed."""
    if is_saved_report(model):
        raise UsageError(
            f"the saved report {model} holds no program", remedy="give the .pt2 file"
        )
    chosen = tuple(_code(code) for code in codes)
    refuse_filled_folder(folder, force=force)
    shell.working_on(model)
    request = Reproduce(
        job=shared.job(model, choices), policy=choices.policy, nodes=nodes, codes=chosen
    )
    report = shared.ask(shell, request)
    if not report.recipes:
        broken = broken_end(report)
        shell.note(f"{model}: nothing to reproduce{f', {broken}' if broken else ''}")
        return ExitCode.FAILED if broken else ExitCode.CLEAN
    return _write_all(shell, report, Path(folder), report.recipes, issue=issue, force=force)


def _write_all(
    shell: Shell,
    report: Report,
    folder: Path,
    recipes: tuple[Recipe, ...],
    *,
    issue: bool,
    force: bool,
) -> ExitCode:
    taken: set[str] = set()
    failed = 0
    for recipe in recipes:
        stem, number = reproducer.file_stem(recipe), 2
        while stem in taken:
            stem, number = f"{reproducer.file_stem(recipe)}_{number}", number + 1
        taken.add(stem)
        text = reproducer.script(report, recipe, f"{stem}.py")
        ended = trial.run(f"{stem}.py", text)
        if not ended.reproduced:
            failed += 1
            shell.note(
                f"{recipe.nodes[0]} ({recipe.target}) does not reproduce alone and is not "
                f"written: {ended.why_not}"
            )
            continue
        files = {f"{stem}.py": text}
        if issue:
            files[f"{stem}.md"] = reproducer.issue(report, recipe, text, ended.printed)
        _write(shell, folder, files, recipe, force=force)
    return ExitCode.FAILED if failed else ExitCode.CLEAN


def _write(
    shell: Shell, folder: Path, files: dict[str, str], recipe: Recipe, *, force: bool
) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    for name, text in files.items():
        write_atomically(folder / name, text.encode(), force=force)
        shell.write(f"{folder / name}\n")
    alike = f", {count(len(recipe.nodes), 'node')} alike" if len(recipe.nodes) > 1 else ""
    shell.note(f"reproduced: {reproducer.title(recipe)}{alike}")


def _code(text: str) -> str:
    """Returns the code of a finding that there are reproducers for."""
    code = explain(text).code
    if code not in REPRODUCIBLE:
        raise UsageError(
            f"there is no reproducer for {code}", remedy=f"take {', '.join(REPRODUCIBLE)}"
        )
    return code
