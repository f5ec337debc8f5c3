"""`trtdbg serve MODEL`: the terminal UI in a browser."""

from __future__ import annotations

import click

from trtdbg.commands import models as shared
from trtdbg.commands.open import viewing_options
from trtdbg.commands.options import (
    Choices,
    SectionedCommand,
    analysis_options,
    verbose_option,
)
from trtdbg.commands.recorded import of_recording
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode

_OWN = ("model", "host", "port", "token", "verbose")
"""What is about serving; all else is passed on to the UI."""


@click.command(cls=SectionedCommand)
@click.argument("model", metavar="MODEL", callback=of_recording)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="NAME",
    help="Address to listen at. Another than this machine's own demands a token.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    metavar="N",
    help="Port to listen at; 0 takes a free one.",
)
@click.option(
    "--token",
    is_flag=True,
    help="Demand a token on this machine's own address too, where others share the machine.",
)
@viewing_options
@analysis_options
@verbose_option
@click.pass_context
def command(
    context: click.Context,
    /,
    model: str,
    host: str,
    port: int,
    token: bool,
    choices: Choices,
    **viewing: object,
) -> ExitCode:
    """Serve the UI on MODEL, a .pt2 file or a saved report, to a browser.

    Each browser tab gets a worker of its own. To look from another machine, forward the port
    (`ssh -L 8000:localhost:8000 HOST`) rather than listen to the network: nothing here is
    encrypted.
    """
    shell: Shell = context.obj
    shared.check_readable(model)
    return ExitCode(shell.serve(model, _passed_on(context), host=host, port=port, token=token))


def _passed_on(context: click.Context) -> list[str]:
    """Returns the flags for the UI, which were checked here, in one form each."""
    arguments = []
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in _OWN or value is None or value is False:
            continue
        name = max(parameter.opts, key=len)
        values = value if isinstance(value, tuple) else (value,)
        arguments += [name if each is True else f"{name}={each}" for each in values]
    return arguments
