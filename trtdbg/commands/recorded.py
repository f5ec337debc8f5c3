"""A recording in the place of a model: the list of its programs, with the settings of each."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

import click

from trtdbg.analysis import summary
from trtdbg.commands.options import Choices
from trtdbg.commands.shell import Shell
from trtdbg.errors import ModelError, UsageError
from trtdbg.policy import Settings
from trtdbg.recordings import folder as recordings


def of_recordings(
    ctx: click.Context, parameter: click.Parameter, models: tuple[str, ...]
) -> tuple[str, ...]:
    """Returns models with the programs of each recording in the place of its folder."""
    return tuple(program for model in models for program in programs_of(model))


models_argument: Final = click.argument(
    "models",
    metavar="MODEL...",
    nargs=-1,
    required=True,
    callback=of_recordings,
)
"""One model or several, recordings among them."""


def of_recording(ctx: click.Context, parameter: click.Parameter, model: str) -> str:
    """Returns a model, or the one program of a recording.

    Raises:
        UsageError: the recording has several.
    """
    programs = programs_of(model)
    if len(programs) > 1:
        names = ", ".join(Path(each).name for each in programs[:_NAMED])
        more = f" and {len(programs) - _NAMED} more" if len(programs) > _NAMED else ""
        raise UsageError(
            f"the recording {model} has {len(programs)} programs: {names}{more}",
            remedy=f"name one: {shlex.quote(programs[0])}",
        )
    return programs[0]


_NAMED: Final = 5


def programs_of(model: str) -> list[str]:
    """Returns the programs of a recording; a model that is none, or damaged, as it is."""
    folder = recordings.folder_of(model)
    if folder is None:
        return [model]
    try:
        return [each.path for each in recordings.read(folder).programs] or [model]
    except ModelError:
        # Whoever opens it says what is wrong, and goes on with other models.
        return [model]


def settings_for(model: str, choices: Choices) -> Settings:
    """Returns the settings for a model: those it was recorded with, if it was.

    Raises:
        ModelError: it is of a recording that is damaged.
    """
    recorded = recordings.recorded_program(model)
    return choices.settings if recorded is None else choices.settings_over(recorded.settings)


def chosen(shell: Shell, model: str, program: str | None, *, ask: bool) -> str | None:
    """Returns the program of a recording to open, or a model that is none as it is.

    Args:
        shell: lets the user choose where there are several.
        model: a path.
        program: name of a program; None lets the user choose.
        ask: whether there is a user to ask; else the first is taken.

    Returns:
        None if the user chose none.

    Raises:
        UsageError: the recording has no program of that name.
    """
    place = recordings.folder_of(model)
    if place is None:
        return model
    programs = recordings.read(place).programs
    if program is not None:
        named = [each.path for each in programs if each.recorded.name == program]
        if not named:
            names = ", ".join(each.recorded.name for each in programs[:_NAMED])
            raise UsageError(
                f"the recording {model} has no program {program!r}", remedy=f"it has {names}"
            )
        return named[0]
    if len(programs) == 1 or (programs and not ask):
        return programs[0].path
    place_chosen = shell.choose(
        f"{model} has {len(programs)} programs", [_line(each) for each in programs]
    )
    return None if place_chosen is None else programs[place_chosen].path


def _line(program: recordings.RecordedProgram) -> str:
    said = program.recorded
    place = f"{Path(said.file).name}:{said.line}"
    settings = summary.settings_line(program.settings)
    return f"{said.name:<24} {said.call}  {place}  {said.nodes} nodes  {settings}"
