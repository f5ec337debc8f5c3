"""`trtdbg demo`: a model that comes with trtdbg, to look at the tool at once."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import trtdbg
from trtdbg.commands import open as opening
from trtdbg.commands import report
from trtdbg.commands.options import Choices, SectionedCommand, analysis_options, verbose_option
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode
from trtdbg.viewing import Viewing

MODEL = Path(trtdbg.__file__).with_name("demo") / "attention_float64.pt2"
"""A small transformer whose attention scores are float64."""


@click.command(cls=SectionedCommand)
@click.option("--text", is_flag=True, help="Print the report in place of opening the UI.")
@analysis_options
@verbose_option
@click.pass_obj
def command(shell: Shell, text: bool, choices: Choices) -> ExitCode:
    """Open a model that comes with trtdbg: attention whose scores are float64.

    Without a terminal its report is printed.
    """
    return run(shell, choices, text=text or not _has_terminal())


def run(shell: Shell, choices: Choices, *, text: bool) -> ExitCode:
    """Opens the model in the UI, or prints its report."""
    if text:
        return report.run(shell, (str(MODEL),), choices)
    return opening.run(shell, str(MODEL), choices, Viewing(fresh=True))


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
