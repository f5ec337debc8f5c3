"""Options that say whether and how the original and the truncated program are run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import click

from trtdbg.commands.access import utf8
from trtdbg.commands.models import Run
from trtdbg.commands.options import (
    MOST,
    Command,
    FiniteRange,
    SectionedCommand,
    SectionedOption,
    with_options,
)
from trtdbg.errors import UsageError
from trtdbg.worker.messages import DEFAULT_ATOL, DEFAULT_RTOL

INPUT_FILES = (".pt", ".npz")
"""Endings by which `--inputs` means a file of values rather than a list of dtypes."""


class RunningCommand(SectionedCommand):
    """Takes `--inputs` for the policy's list and, by its ending, for a file of values."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the arguments with `--inputs FILE` spelled `--input-values FILE`."""
        return super().parse_args(ctx, spelled_out(args))


def spelled_out(args: Sequence[str]) -> list[str]:
    """Returns arguments in which every `--inputs` with a file of values is unambiguous."""
    spelled = list(args)
    for place, word in enumerate(spelled):
        name, equals, value = word.partition("=")
        if not equals and place + 1 < len(spelled):
            value = spelled[place + 1]
        if name == "--inputs" and value.lower().endswith(INPUT_FILES):
            spelled[place] = f"--input-values{equals}{value if equals else ''}"
    return spelled


def _option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    return click.option(*names, cls=SectionedOption, section="Numerics", **attributes)


_OPTIONS: Final = (
    _option(
        "--numerics",
        is_flag=True,
        help="Run the original and the truncated program in PyTorch and compare every value.",
    ),
    _option(
        "--input-values",
        metavar="FILE",
        callback=utf8,
        help="Values to run on: a .pt file (a tensor, tuple or dict) or an .npz.  "
        "[default: the model's example inputs]",
    ),
    _option(
        "--seed",
        type=click.IntRange(0, MOST),
        metavar="N",
        help="Run on random values made with this seed.",
    ),
    _option(
        "--atol",
        type=FiniteRange(min=0),
        metavar="X",
        help=f"A float may differ by this much  [default: {DEFAULT_ATOL:g}]",
    ),
    _option(
        "--rtol",
        type=FiniteRange(min=0),
        metavar="X",
        help="and by this share of the original; integers not at all.  "
        f"[default: {DEFAULT_RTOL:g}]",
    ),
    _option(
        "--accumulate",
        type=click.Choice(["float32", "low"], case_sensitive=False),
        help="What sums of --low operands are added up in: float32, as tensor cores do, or "
        "the low type, for the worst case.  [default: float32]",
    ),
)


def numerics_options(command: Command) -> Command:
    """Adds `--numerics` and how to run; the command gets a `Run` as `measured`, or None."""

    @functools.wraps(command)
    def with_run(*args: Any, **options: Any) -> Any:
        wanted = options.pop("numerics")
        names = ("input_values", "seed", "atol", "rtol", "accumulate")
        run = Run(*(options.pop(name) for name in names))
        if not wanted and run != Run():
            raise UsageError(
                "--input-values, --seed, --atol, --rtol and --accumulate say how to run",
                remedy="add --numerics",
            )
        return command(*args, measured=run if wanted else None, **options)

    return with_options(cast("Command", with_run), _OPTIONS)
