"""`trtdbg record`: runs a script and records what it hands to torch_tensorrt."""

from __future__ import annotations

import importlib.util
import os
import shlex
from pathlib import Path
from typing import Any, Final

import click

from trtdbg.commands.options import SectionedCommand, force_option
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, UnavailableError, UsageError
from trtdbg.files import refuse_filled_folder
from trtdbg.recordings import process

_WITH_VALUE: Final = ("-o", "--output", "--device")
_REMEDY: Final = 'install it with `pip install "trtdbg[rtx]"`'


class _ScriptCommand(SectionedCommand):
    """A command whose own options end where the script or `-m MODULE` stands, as python's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Leaves everything behind the script to the script."""
        place = 0
        while place < len(args):
            word = args[place]
            if word == "--":
                break
            if word == "-m" or (word.startswith("-m") and not word.startswith("--")):
                place += 2 if word == "-m" else 1
                return super().parse_args(ctx, [*args[:place], "--", *args[place:]])
            if not word.startswith("-"):
                return super().parse_args(ctx, [*args[:place], "--", *args[place:]])
            place += 2 if word in _WITH_VALUE else 1
        return super().parse_args(ctx, args)


@click.command(
    cls=_ScriptCommand,
    options_metavar="[OPTIONS]",
    epilog="",
)
@click.argument("words", metavar="SCRIPT.py [ARGS]...", nargs=-1, type=click.UNPROCESSED)
@click.option("-m", "module", metavar="MODULE", help="Run a module, as `python -m` does.")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    help="Folder of the recording.  [default: SCRIPT.recording in the working directory]",
)
@click.option(
    "--compile",
    "compiles",
    is_flag=True,
    help="Compile what is recorded, as the script says. Without it the script goes on with "
    "the model as it is, so that it can be recorded without a GPU.",
)
@click.option("--first", is_flag=True, help="End the script when one program is recorded.")
@click.option(
    "--device",
    type=click.Choice(["cpu"]),
    help="Put on the CPU what the script puts on a GPU, for a machine without one.",
)
@force_option
@click.pass_obj
def command(
    shell: Shell,
    words: tuple[str, ...],
    module: str | None,
    output: str | None,
    compiles: bool,
    first: bool,
    device: str | None,
    force: bool,
) -> int:
    """Run SCRIPT.py, unchanged, and record each program that it hands to torch_tensorrt.

    The folder has the programs, their example inputs and the settings of each call. Every
    command takes it, or one .pt2 file of it, as a model.

    Exits as the script does; with 4 if it ends well and nothing was recorded, with 0 if the
    recording ended it.
    """
    if module is None and not words:
        raise UsageError("there is no script", remedy="name one: trtdbg record SCRIPT.py")
    script = process.Script(words, module, compiles, first, device)
    return run(shell, script, output, force=force)


def run(shell: Shell, script: process.Script, output: str | None, *, force: bool) -> int:
    """Runs a script and says what was recorded.

    Raises:
        UsageError: there is no such script.
        UnavailableError: torch_tensorrt is not installed.
        OutputError: the folder holds something and `force` is off.
    """
    _check(script)
    target = Path(output or _default_folder(script))
    refuse_filled_folder(target, force=force)
    outcome = process.record(script, target)
    if outcome.recording is not None:
        _say_what_is_there(shell, outcome.recording, target)
    else:
        shell.note(_nothing(outcome, script))
    return _code(outcome)


def _check(script: process.Script) -> None:
    if script.module is None:
        path = script.argv[0]
        if not os.path.exists(path):
            raise UsageError(f"there is no file {path}", remedy="check the path")
        if path.endswith(".pt2"):
            raise UsageError(
                f"{path} is a program already", remedy=f"open it with `trtdbg {path}`"
            )
    for name in ("torch", "torch_tensorrt"):
        if importlib.util.find_spec(name) is None:
            raise UnavailableError(f"{name} is not installed", remedy=_REMEDY)


def _default_folder(script: process.Script) -> str:
    name = script.module or Path(script.argv[0]).resolve().stem
    return f"{name.rpartition('.')[2] or name}.recording"


def _say_what_is_there(shell: Shell, recording: Any, target: Path) -> None:
    number = len(recording.programs)
    programs = "1 program" if number == 1 else f"{number} programs"
    place = shlex.quote(str(target))
    shell.note(f"recorded {programs} in {target}: open it with `trtdbg {place}`")


def _nothing(outcome: process.RecordingOutcome, script: process.Script) -> str:
    if outcome.skipped:
        return f"nothing is recorded: {outcome.skipped[0]['reason']}"
    what = script.module or script.argv[0]
    return (
        f"nothing is recorded: {what} handed no program to torch_tensorrt; of a model that "
        "torch.compile is given, nothing is compiled before it is called"
    )


def _code(outcome: process.RecordingOutcome) -> int:
    if outcome.interrupted:
        return ExitCode.INTERRUPTED
    if outcome.status < 0:
        return 128 - outcome.status
    if outcome.status == 0 and outcome.recording is None:
        return ExitCode.FAILED
    return outcome.status
