"""A recording in the place of a model: the list of its programs, with the settings of each."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from trtdbg import beside
from trtdbg.analysis import summary
from trtdbg.cache.analyses import known
from trtdbg.commands.options import Choices
from trtdbg.commands.shell import Shell
from trtdbg.errors import ModelError, UsageError
from trtdbg.policy import Settings
from trtdbg.recordings import folder as recordings
from trtdbg.worker.messages import Access, Analyze, Job, portable_path


def of_recordings(
    ctx: click.Context, parameter: click.Parameter, models: tuple[str, ...]
) -> tuple[str, ...]:
    """Returns models with the programs of each recording in the place of its folder.

    Raises:
        UsageError: `--program` names none of a recording's programs.
    """
    name = ctx.params.get("program")
    ctx.meta[_WORDS] = models
    return tuple(program for model in models for program in programs_of(model, name))


_WORDS: Final = "trtdbg.commands.recorded.words"


def as_given(models: tuple[str, ...]) -> tuple[str, ...]:
    """Returns models as they stand on the command line, each recording as its folder."""
    context = click.get_current_context(silent=True)
    words: tuple[str, ...] = models if context is None else context.meta.get(_WORDS, models)
    return words


models_argument: Final = click.argument(
    "models",
    metavar="MODEL...",
    nargs=-1,
    required=True,
    callback=of_recordings,
)
"""One model or several, recordings among them."""


def of_recording(ctx: click.Context, parameter: click.Parameter, model: str) -> str:
    """Returns a model, or the one program of a recording, or that which `--program` names.

    Raises:
        UsageError: the recording has several, or none of that name.
    """
    programs = programs_of(model, ctx.params.get("program"))
    if len(programs) > 1:
        names = [Path(each).name.removesuffix(beside.MODEL_SUFFIX) for each in programs]
        raise UsageError(
            f"the recording {model} has {len(names)} programs: {_first(names)}",
            remedy=f"add --program {shlex.quote(names[0])}",
        )
    return programs[0]


_NAMED: Final = 5


def _first(names: Sequence[str]) -> str:
    """Returns the first names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def programs_of(model: str, program: str | None = None) -> list[str]:
    """Returns the programs of a recording; a model that is none, or damaged, as it is.

    Args:
        model: a path.
        program: name of the one to return; None is all of them.

    Raises:
        UsageError: the recording has no program of that name.
    """
    folder = recordings.folder_of(model)
    if folder is None:
        return [model]
    try:
        programs = recordings.read(folder).programs
    except ModelError:
        # Whoever opens it says what is wrong, and goes on with other models.
        return [model]
    if program is not None:
        return [_named(model, programs, program).path]
    return [each.path for each in programs] or [model]


def _named(
    model: str, programs: Sequence[recordings.RecordedProgram], name: str
) -> recordings.RecordedProgram:
    for each in programs:
        if each.recorded.name == name:
            return each
    names = _first([each.recorded.name for each in programs])
    raise UsageError(
        f"the recording {model} has no program {name!r}", remedy=f"it has {names}"
    )


def access_for(model: str, choices: Choices) -> Access:
    """Returns how far a model is trusted, and which program of its file is meant.

    In the file of a recorded program, that which `--program` names by its name in the
    recording is the only one.
    """
    access = choices.access
    if access.program is None:
        return access
    recorded = recordings.recorded_program(model)
    if recorded is None or recorded.recorded.name != access.program:
        return access
    return msgspec.structs.replace(access, program=None)


def settings_for(model: str, choices: Choices) -> Settings:
    """Returns the settings for a model: those it was recorded with, if it was.

    Raises:
        ModelError: it is of a recording that is damaged.
    """
    recorded = recordings.recorded_program(model)
    return choices.settings if recorded is None else choices.settings_over(recorded.settings)


def chosen(shell: Shell, model: str, choices: Choices, *, ask: bool) -> str | None:
    """Returns the program of a recording to open, or a model that is none as it is.

    Args:
        shell: lets the user choose where there are several.
        model: a path.
        choices: name a program, or what earlier analyses are looked for.
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
    if choices.access.program is not None:
        return _named(model, programs, choices.access.program).path
    if len(programs) == 1 or (programs and not ask):
        return programs[0].path
    place_chosen = shell.choose(
        f"{model} has {len(programs)} programs", [_line(each, choices) for each in programs]
    )
    return None if place_chosen is None else programs[place_chosen].path


def _line(program: recordings.RecordedProgram, choices: Choices) -> str:
    said = program.recorded
    place = f"{Path(said.file).name}:{said.line}"
    settings = summary.settings_line(program.settings)
    engines = _engines(program, choices)
    found = f"  {engines}" if engines else ""
    return f"{said.name:<24} {said.call}  {place}  {said.nodes} nodes{found}  {settings}"


def _engines(program: recordings.RecordedProgram, choices: Choices) -> str:
    """Returns what an earlier analysis made of a program; "" where the cache holds none."""
    if not choices.cache:
        return ""
    job = Job(
        model=portable_path(program.path),
        settings=choices.settings_over(program.settings),
        target=choices.target,
        probe_seconds=choices.probe_seconds,
        access=choices.access,
    )
    found = known(Analyze(job=job, policy=choices.policy))
    if found is None:
        return ""
    engines = summary.count(len(found.engines), "engine")
    return f"{engines}, {summary.count(len(found.torch_ops), 'PyTorch op')}"
