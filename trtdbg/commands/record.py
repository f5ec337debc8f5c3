"""`trtdbg record`: runs a script and records what it hands to torch_tensorrt."""

from __future__ import annotations

import functools
import importlib.util
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from trtdbg.commands import models as shared
from trtdbg.commands.live import Live
from trtdbg.commands.options import Choices, SectionedCommand, force_option, usual_choices
from trtdbg.commands.shell import Shell
from trtdbg.commands.watching import Watcher
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
@click.option(
    "--watch",
    is_flag=True,
    help="Analyse what is recorded; whenever a source file of the script changes, record and "
    "analyse again and say what changed, until Ctrl-C.",
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
    watch: bool,
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
    return run(shell, script, output, force=force, watch=watch)


def run(
    shell: Shell,
    script: process.Script,
    output: str | None,
    *,
    force: bool,
    watch: bool = False,
) -> int:
    """Runs a script and says what was recorded, again and again if it is watched.

    Raises:
        UsageError: there is no such script.
        UnavailableError: torch_tensorrt is not installed.
        OutputError: the folder holds something and `force` is off.
    """
    _check(script)
    target = Path(output or _default_folder(script))
    refuse_filled_folder(target, force=force)
    if watch:
        _watch(shell, script, target)
    return _code(recorded(shell, script, target))


def _watch(shell: Shell, script: process.Script, target: Path) -> NoReturn:
    """Records and analyses again whenever a source file of the script changes.

    What cannot be recorded or analysed leaves the last good analysis in its place. A program
    is the same as before where it is recorded at the same place in the order.
    """
    choices = usual_choices()
    live: Live[int] = Live(shell)
    watcher = Watcher([] if script.module else [os.path.abspath(script.argv[0])])
    while True:
        outcome = recorded(shell, script, target)
        for source in outcome.sources:
            watcher.add(source)
        programs = outcome.recording.programs if outcome.recording is not None else ()
        _tell_programs(live, [each.path for each in programs], choices)
        if outcome.status:
            for place in [place for place in live.good if place >= len(programs)]:
                live.keep(live.good[place].model.path, live.good[place])
        else:
            live.missing(range(len(programs)), list(live.good))
        shell.note("watching the script's source; Ctrl-C ends")
        changed = watcher.wait()
        shell.note(f"{', '.join(map(os.path.basename, changed))} changed: recording again")


def _tell_programs(live: Live[int], paths: Sequence[str], choices: Choices) -> None:
    analyse = functools.partial(shared.analyse, live.shell)
    entries = shared.each_program(live.shell, paths, choices, analyse)
    for number, entry in enumerate(entries):
        live.tell(number, entry)


def recorded(shell: Shell, script: process.Script, target: Path) -> process.RecordingOutcome:
    """Runs a script, and says how it ended and what of it is recorded."""
    outcome = process.record(script, target)
    if outcome.interrupted:
        _say_what(shell, outcome, script, target)
        # Whoever runs the command says by what, and gives the exit code.
        raise KeyboardInterrupt
    if outcome.status:
        shell.note(f"the script ended {outcome.ended}")
    _say_what(shell, outcome, script, target)
    return outcome


def _say_what(
    shell: Shell, outcome: process.RecordingOutcome, script: process.Script, target: Path
) -> None:
    if outcome.recording is not None:
        _say_what_is_there(shell, outcome.recording, target)
    else:
        shell.note(_nothing(outcome, script))


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
    if outcome.status:
        return "nothing is recorded: no program reached torch_tensorrt before the script ended"
    what = script.module or script.argv[0]
    return (
        f"nothing is recorded: {what} handed no program to torch_tensorrt; of a model that "
        "torch.compile is given, nothing is compiled before it is called"
    )


def _code(outcome: process.RecordingOutcome) -> int:
    if outcome.status < 0:
        return 128 - outcome.status
    if outcome.status == 0 and outcome.recording is None:
        return ExitCode.FAILED
    return outcome.status
