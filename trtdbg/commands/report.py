"""`trtdbg report`: what happens to a model's dtypes, as tables or as records."""

from __future__ import annotations

import click

from trtdbg.commands import models as shared
from trtdbg.commands.options import (
    Choices,
    SectionedCommand,
    analysis_options,
    force_option,
    json_option,
    verbose_option,
)
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode
from trtdbg.outputs.files import refuse_existing
from trtdbg.outputs.report import Entry
from trtdbg.records import Report


@click.command(cls=SectionedCommand)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@analysis_options
@click.option("--all-nodes", is_flag=True, help="Show all nodes, not only those that matter.")
@json_option
@force_option
@verbose_option
@click.pass_obj
def command(
    shell: Shell,
    models: tuple[str, ...],
    choices: Choices,
    all_nodes: bool,
    json_to: str | None,
    force: bool,
) -> ExitCode:
    """Show engines, dtypes, verdicts and findings of each MODEL.

    MODEL is a .pt2 file that torch.export saved, or a report that --json saved. With --json
    and one model the records are an object, with several a list in the order given.
    """
    return run(shell, models, choices, all_nodes=all_nodes, json_to=json_to, force=force)


def run(
    shell: Shell,
    models: tuple[str, ...],
    choices: Choices,
    *,
    all_nodes: bool = False,
    json_to: str | None = None,
    force: bool = False,
) -> ExitCode:
    """Reports on each model; returns 4 where lowering or partitioning failed."""
    if json_to not in (None, "-"):
        refuse_existing(json_to, force=force)
    entries: list[Entry] = []
    for entry in shared.each(shell, models, lambda m: shared.analyse(shell, m, choices)):
        if json_to != "-" and isinstance(entry, Report):
            _show(shell, entry, all_nodes=all_nodes, first=not entries)
        entries.append(entry)
    if json_to is not None:
        shared.deliver(shell, entries, json_to, force=force)
    return shared.worst(shared.analysis_code(entry) for entry in entries)


def _show(shell: Shell, report: Report, *, all_nodes: bool, first: bool) -> None:
    # rich is imported here so that --help stays fast.
    from trtdbg.outputs import pages

    if not first:
        shell.show("")
    shell.show(pages.report(report, all_nodes=all_nodes))
