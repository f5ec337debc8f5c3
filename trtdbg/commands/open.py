"""`trtdbg MODEL`: the terminal UI."""

from __future__ import annotations

import re
from typing import Any

import click

from trtdbg.commands import models as shared
from trtdbg.commands.options import (
    POLICY_OPTIONS,
    Choices,
    Command,
    SectionedCommand,
    SectionedOption,
    analysis_options,
    verbose_option,
    with_options,
)
from trtdbg.commands.recorded import access_for, chosen, settings_for
from trtdbg.commands.shell import Shell
from trtdbg.commands.watching import Watcher
from trtdbg.errors import ExitCode, UsageError
from trtdbg.outputs.report import is_saved_report
from trtdbg.viewing import Look, Screenshot, Viewing, WatchedFile
from trtdbg.worker.messages import portable_path

_LEAST_COLUMNS, _LEAST_LINES = 40, 12
_MOST = 1000


def _ui(*names: str, **attributes: Any) -> Any:
    return click.option(*names, cls=SectionedOption, section="Terminal UI", **attributes)


_LOOK_OPTIONS = (
    _ui("--keys", "keys", metavar="FILE", help="A TOML file that gives actions other keys."),
    _ui(
        "--theme",
        "look",
        type=click.Choice([look.value for look in Look], case_sensitive=False),
        help="Colours.  [default: as left; else dark, mono with NO_COLOR]",
    ),
    _ui("--fresh", is_flag=True, help="Do not go on where this model was left."),
    _ui(
        "--watch",
        is_flag=True,
        help="Analyse again whenever MODEL changes, and show what changed; a model that fails "
        "leaves the last good analysis on the screen.",
    ),
)
_PICTURE_OPTIONS = (
    _ui("--screenshot", metavar="FILE", help="Draw the screen as SVG in place of opening it."),
    _ui(
        "--press",
        metavar="KEYS",
        help='Keys pressed before, with blanks between, like "T 5 / type:matmul enter"; each '
        "waits for the answer.",
    ),
    _ui("--size", metavar="WxH", help="Columns and lines of the picture.  [default: 160x46]"),
    _ui("--force", is_flag=True, help="Replace a picture that exists."),
)


def viewing_options(command: Command) -> Command:
    """Adds the options that say how the UI looks and behaves."""
    return with_options(command, _LOOK_OPTIONS)


def _picture_options(command: Command) -> Command:
    return with_options(command, _PICTURE_OPTIONS)


@click.command(cls=SectionedCommand, hidden=True)
@click.argument("model", metavar="MODEL")
@viewing_options
@_picture_options
@analysis_options
@verbose_option
@click.pass_obj
def command(
    shell: Shell,
    model: str,
    keys: str | None,
    look: str | None,
    fresh: bool,
    watch: bool,
    screenshot: str | None,
    press: str | None,
    size: str | None,
    force: bool,
    choices: Choices,
) -> ExitCode:
    """Open MODEL, a .pt2 file or a saved report, in the terminal UI."""
    viewing = Viewing(
        policy_given=any(name in POLICY_OPTIONS for name in choices.given),
        fresh=fresh,
        keys=keys,
        look=None if look is None else Look(look),
        picture=_picture(screenshot, press, size, force),
        cache=choices.cache,
        watch=watch,
    )
    return run(shell, model, choices, viewing)


def run(shell: Shell, model: str, choices: Choices, viewing: Viewing) -> ExitCode:
    """Opens a model in the UI, unless there is nothing to open.

    Raises:
        UsageError: what is to be watched does not change, or nobody looks at it.
    """
    if viewing.watch and (is_saved_report(model) or viewing.picture is not None):
        other = "--screenshot" if viewing.picture is not None else f"the saved report {model}"
        raise UsageError(
            f"--watch does not go with {other}", remedy="open the .pt2 or the recording"
        )
    program = chosen(shell, model, choices, ask=viewing.picture is None)
    if program is None:
        return ExitCode.CLEAN
    model = program
    watched = _watched(model, choices) if viewing.watch else None
    shared.check_readable(model)
    code = shell.open_ui(
        model if is_saved_report(model) else portable_path(model),
        policy=choices.policy,
        settings=settings_for(model, choices),
        target=choices.target,
        probe_seconds=choices.probe_seconds,
        access=access_for(model, choices),
        viewing=viewing,
        watched=watched,
    )
    return ExitCode(code)


def _watched(model: str, choices: Choices) -> WatchedFile:
    watcher = Watcher([model])
    return WatchedFile(
        changed=lambda: bool(watcher.look()), settings=lambda: settings_for(model, choices)
    )


def _picture(
    file: str | None, press: str | None, size: str | None, force: bool
) -> Screenshot | None:
    if file is None:
        for name, value in (("press", press), ("size", size), ("force", force or None)):
            if value is not None:
                raise UsageError(
                    f"--{name} is about a picture", remedy="add --screenshot FILE"
                )
        return None
    if not file.lower().endswith(".svg"):
        raise UsageError(f"a picture is SVG, got {file!r}", remedy="name it like screen.svg")
    columns, lines = _size(size or "160x46")
    return Screenshot(file=file, press=press or "", columns=columns, lines=lines, force=force)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)
    columns, lines = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (_LEAST_COLUMNS <= columns <= _MOST and _LEAST_LINES <= lines <= _MOST):
        raise UsageError(
            f"{text!r} is no size of a screen",
            remedy=f"write it like 160x46, from {_LEAST_COLUMNS}x{_LEAST_LINES} to "
            f"{_MOST}x{_MOST}",
        )
    return columns, lines
