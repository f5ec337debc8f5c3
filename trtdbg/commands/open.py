"""`trtdbg MODEL`: the terminal UI."""

from __future__ import annotations

import click

from trtdbg.commands import models as shared
from trtdbg.commands.options import (
    Choices,
    SectionedCommand,
    analysis_options,
    verbose_option,
)
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode


@click.command(cls=SectionedCommand, hidden=True)
@click.argument("model", metavar="MODEL")
@analysis_options
@verbose_option
@click.pass_obj
def command(shell: Shell, model: str, choices: Choices) -> ExitCode:
    """Open MODEL, a .pt2 file or a saved report, in the terminal UI."""
    return run(shell, model, choices)


def run(shell: Shell, model: str, choices: Choices) -> ExitCode:
    """Opens a model in the UI, unless there is nothing to open."""
    shared.check_readable(model)
    code = shell.open_ui(
        model,
        policy=choices.policy,
        settings=choices.settings,
        target=choices.target,
        probe_seconds=choices.probe_seconds,
        access=choices.access,
    )
    return ExitCode(code)
