"""`trtdbg doctor`: versions, TensorRT's flavour, the GPU, what is possible here."""

from __future__ import annotations

import click

from trtdbg.commands import models as shared
from trtdbg.commands.options import (
    SectionedCommand,
    force_option,
    json_option,
    verbose_option,
)
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode
from trtdbg.files import refuse_existing
from trtdbg.records import Environment
from trtdbg.worker.messages import Describe


@click.command(cls=SectionedCommand)
@json_option
@force_option
@verbose_option
@click.pass_obj
def command(shell: Shell, json_to: str | None, force: bool) -> ExitCode:
    """Show versions, the GPU, and what this machine can and cannot do.

    Exits with 3 if torch_tensorrt cannot be used at all.
    """
    return run(shell, json_to=json_to, force=force)


def run(shell: Shell, *, json_to: str | None = None, force: bool = False) -> ExitCode:
    """Describes the worker's machine; returns 3 where torch_tensorrt is missing."""
    if json_to not in (None, "-"):
        refuse_existing(json_to, force=force)
    shell.working_on("doctor")
    answer = shell.submit(Describe()).result()
    if not isinstance(answer, Environment):
        raise TypeError(f"the worker answered Describe with {type(answer)}")
    if json_to != "-":
        _show(shell, answer)
    if json_to is not None:
        shared.deliver(shell, [answer], json_to, force=force)
    return ExitCode.CLEAN if answer.torch_tensorrt else ExitCode.UNAVAILABLE


def _show(shell: Shell, environment: Environment) -> None:
    # rich is imported here so that --help stays fast.
    from trtdbg.outputs import pages

    shell.show(pages.environment(environment))
