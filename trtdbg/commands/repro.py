"""`trtdbg repro`: one runnable file for each failure of a validator, or for what ended it."""

from __future__ import annotations

import time
from pathlib import Path

import click

from trtdbg.analysis.catalogue import explain
from trtdbg.analysis.codes import OF_A_NODE, OF_A_PASS, OF_AN_ENGINE, Code
from trtdbg.analysis.names import find_node
from trtdbg.analysis.redaction import redacted
from trtdbg.analysis.summary import broken_end, count, failed_pass
from trtdbg.commands import models as shared
from trtdbg.commands import reduction
from trtdbg.commands.options import (
    Choices,
    SectionedCommand,
    analysis_options,
    force_option,
    not_a_model,
    verbose_option,
)
from trtdbg.commands.recorded import of_recording
from trtdbg.commands.reduction import Reduction
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, UsageError
from trtdbg.files import refuse_filled_folder
from trtdbg.outputs.report import is_saved_report
from trtdbg.outputs.repro import reproducer
from trtdbg.records import EngineRecord, Phase, Recipe, RecipeKind, Report
from trtdbg.worker import trial
from trtdbg.worker.messages import Reproduce

REPRODUCIBLE = (*OF_A_NODE, OF_A_PASS, OF_AN_ENGINE)


@click.command(cls=SectionedCommand)
@click.argument("model", metavar="MODEL", callback=of_recording)
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
    type=click.Choice(["script", "issue"], case_sensitive=False),
    default="script",
    help="With issue also a bug report in Markdown beside each script.  [default: script]",
)
@click.option(
    "--redact",
    is_flag=True,
    help="Leave out source text and paths. Numbers in calls stay, since they are needed.",
)
@click.option(
    "--resume",
    metavar="FILE",
    callback=not_a_model,
    help="Keep what a search has tried in this file, and go on from what it holds.",
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
    redact: bool,
    resume: str | None,
    force: bool,
) -> ExitCode:
    """Write one Python file for each operator of MODEL that a validator fails on.

    Rejected, crashed, accepted though TensorRT refuses, or answered otherwise inside its
    engine. A file depends only on torch and torch_tensorrt and runs without a GPU, with
    python and with pytest. Each is run before it is written; one that does not reproduce is
    not, and the exit code is 4.

    Where a lowering pass raised (TD501), the program is cut down to the fewest operators that
    it raises the same on: a .pt2 and a file that lowers it.

    --code TD503 builds all engines, and cuts each that TensorRT refuses down to the fewest
    operators that it refuses with the same words: a .pt2 and a file that builds it. So does
    TD102 where its node alone is not refused. --time-limit ends the search with the fewest
    so far.
    """
    return run(
        shell,
        model,
        choices,
        output,
        nodes,
        codes,
        issue=kind == "issue",
        redact=redact,
        resume=resume,
        force=force,
    )


def run(
    shell: Shell,
    model: str,
    choices: Choices,
    folder: str,
    nodes: tuple[str, ...] = (),
    codes: tuple[str, ...] = (),
    *,
    issue: bool = False,
    redact: bool = False,
    resume: str | None = None,
    force: bool = False,
) -> ExitCode:
    """Writes the reproducers; returns 4 if one does not reproduce."""
    started = time.monotonic()
    if is_saved_report(model):
        raise UsageError(
            f"the saved report {model} holds no program", remedy="give the .pt2 file"
        )
    chosen = tuple(_code(code) for code in codes)
    for whole in (OF_A_PASS, OF_AN_ENGINE):
        if redact and whole in chosen:
            raise UsageError(
                f"--redact does not go with --code {whole}, whose .pt2 holds the model",
                remedy="leave one of them out",
            )
    refuse_filled_folder(folder, force=force)
    shell.working_on(model)
    job = shared.job(model, choices)
    request = Reproduce(job=job, policy=choices.policy, nodes=nodes, codes=chosen)
    report = shared.ask(shell, request)
    if redact:
        report = redacted(report, recipes=True)
    broken = broken_end(report)
    wanted = Reduction(
        job=job,
        codes=chosen or (Code.TD102.value,),
        folder=Path(folder),
        resume=resume,
        issue=issue,
        force=force,
        started=started,
    )
    if _is_of_lowering(report, nodes, chosen) and not redact:
        return reduction.run_lowering(shell, report, wanted)
    if broken or not (report.recipes or OF_AN_ENGINE in chosen):
        shell.note(f"{model}: nothing to reproduce{f', {broken}' if broken else ''}")
        return ExitCode.FAILED if broken else ExitCode.CLEAN
    unlike = _write_all(shell, report, Path(folder), issue=issue, force=force)
    # Of a redacted report no engine is cut down: its .pt2 would hold the source lines.
    engines = () if redact else _engines(report, nodes, chosen, unlike)
    code = reduction.run(shell, report, wanted, engines) if engines else ExitCode.CLEAN
    cut = {name for engine in engines for name in engine.nodes}
    return ExitCode.FAILED if any(r.nodes[0] not in cut for r in unlike) else code


def _is_of_lowering(report: Report, nodes: tuple[str, ...], codes: tuple[str, ...]) -> bool:
    """Returns whether a lowering pass raised, and whether that is asked for."""
    failed = failed_pass(report)
    if failed is None or failed.phase is Phase.PARTITION:
        return False
    names = {find_node(report, name).name for name in nodes}
    return (not codes or OF_A_PASS in codes) and (not names or failed.node in names)


def _engines(
    report: Report, nodes: tuple[str, ...], codes: tuple[str, ...], unlike: list[Recipe]
) -> list[EngineRecord]:
    """Returns the engines to cut down: those asked for, and those of false accepts."""
    false = {r.nodes[0] for r in unlike if r.kind is RecipeKind.FALSE_ACCEPT}
    names = {find_node(report, name).name for name in nodes}
    asked = OF_AN_ENGINE in codes
    return [
        engine
        for engine in report.engines
        if not false.isdisjoint(engine.nodes)
        or (asked and (not names or not names.isdisjoint(engine.nodes)))
    ]


def _write_all(
    shell: Shell, report: Report, folder: Path, *, issue: bool, force: bool
) -> list[Recipe]:
    """Writes what reproduces alone; returns the rest."""
    taken: set[str] = set()
    unlike: list[Recipe] = []
    for recipe in report.recipes or ():
        stem, number = reproducer.file_stem(recipe), 2
        while stem in taken:
            stem, number = f"{reproducer.file_stem(recipe)}_{number}", number + 1
        taken.add(stem)
        text = reproducer.script(report, recipe, f"{stem}.py")
        ended = trial.run(f"{stem}.py", text)
        if not ended.reproduced:
            unlike.append(recipe)
            shell.note(
                f"{recipe.nodes[0]} ({recipe.target}) does not reproduce alone and is not "
                f"written: {ended.why_not}"
            )
            continue
        files = {f"{stem}.py": text.encode()}
        if issue:
            bug = reproducer.issue(report, recipe, text, ended.printed)
            files[f"{stem}.md"] = bug.encode()
        shared.deliver_files(shell, folder, files, force=force)
        alike = f", {count(len(recipe.nodes), 'node')} alike" if len(recipe.nodes) > 1 else ""
        shell.note(f"reproduced: {reproducer.title(recipe)}{alike}")
    return unlike


def _code(text: str) -> str:
    """Returns the code of a finding that there are reproducers for."""
    code = explain(text).code
    if code not in REPRODUCIBLE:
        raise UsageError(
            f"there is no reproducer for {code}", remedy=f"take {', '.join(REPRODUCIBLE)}"
        )
    return code
