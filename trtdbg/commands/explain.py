"""`trtdbg explain`: cause and cure of a finding."""

from __future__ import annotations

import click

from trtdbg.analysis.catalogue import CATALOGUE, explain
from trtdbg.commands.options import SectionedCommand, verbose_option
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode


@click.command(cls=SectionedCommand)
@click.argument("codes", metavar="[CODE]...", nargs=-1)
@verbose_option
@click.pass_obj
def command(shell: Shell, codes: tuple[str, ...]) -> ExitCode:
    """Explain what a finding means, where it comes from and what helps.

    CODE is a code such as TD101 or a name such as needless-rejection. Without one, all codes
    are listed.
    """
    return run(shell, codes)


def run(shell: Shell, codes: tuple[str, ...]) -> ExitCode:
    """Explains each code, or lists all."""
    # rich is imported here so that --help stays fast.
    from trtdbg.outputs import pages

    if not codes:
        shell.show(pages.catalogue(CATALOGUE.values()))
        return ExitCode.CLEAN
    for index, entry in enumerate([explain(code) for code in codes]):
        if index:
            shell.show("")
        shell.show(pages.explanation(entry))
    return ExitCode.CLEAN
