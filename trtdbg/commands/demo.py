"""`trtdbg demo`: models that come with trtdbg, to look at the tool at once."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import trtdbg
from trtdbg.commands import models as shared
from trtdbg.commands import open as opening
from trtdbg.commands import report
from trtdbg.commands.options import (
    Choices,
    SectionedCommand,
    analysis_options,
    force_option,
    verbose_option,
)
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode
from trtdbg.files import refuse_filled_folder
from trtdbg.viewing import Viewing

FOLDER = Path(trtdbg.__file__).with_name("demo")
"""The samples of the repository, in the wheel too."""

DEFAULT = "attention_float64"
"""A small transformer whose attention scores are float64."""


def names() -> list[str]:
    """Returns the names of the samples."""
    return sorted(path.stem for path in FOLDER.glob("*.pt2"))


@click.command(cls=SectionedCommand)
@click.argument(
    "name", metavar="[NAME]", type=click.Choice(names()), default=DEFAULT, required=False
)
@click.option("--text", is_flag=True, help="Print the report in place of opening the UI.")
@click.option(
    "--copy",
    "folder",
    metavar="DIR",
    help="Write all samples into DIR, which the documentation calls samples; open none.",
)
@analysis_options
@force_option
@verbose_option
@click.pass_obj
def command(
    shell: Shell, name: str, text: bool, folder: str | None, choices: Choices, force: bool
) -> ExitCode:
    """Open a model that comes with trtdbg: by default attention whose scores are float64.

    NAME is another one: batchnorm_float64, boundary_mixed, ids_float64_island, split_heads,
    vit_float64. Without a terminal the report is printed.
    """
    if folder is not None:
        return copy(shell, folder, force=force)
    return run(shell, choices, name, text=text or not _has_terminal())


def run(shell: Shell, choices: Choices, name: str = DEFAULT, *, text: bool) -> ExitCode:
    """Opens a sample in the UI, or prints its report."""
    model = str(FOLDER / f"{name}.pt2")
    if text:
        return report.run(shell, (model,), choices)
    return opening.run(shell, model, choices, Viewing(fresh=True))


def copy(shell: Shell, folder: str, *, force: bool) -> ExitCode:
    """Writes all samples into a folder and prints their paths."""
    refuse_filled_folder(folder, force=force)
    files = {path.name: path.read_bytes() for path in sorted(FOLDER.glob("*.pt2"))}
    shared.deliver_files(shell, Path(folder), files, force=force)
    return ExitCode.CLEAN


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
