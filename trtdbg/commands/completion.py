"""Shell completion: click's own, which learns what each option and argument takes.

`trtdbg` is completed once its script is sourced, in bash with
`eval "$(_TRTDBG_COMPLETE=bash_source trtdbg)"`, in zsh with `zsh_source` in its place, in fish
with `_TRTDBG_COMPLETE=fish_source trtdbg | source`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

import click
from click.shell_completion import CompletionItem, shell_complete

VARIABLE: Final = "_TRTDBG_COMPLETE"
"""Set by the shell's script: what is asked, and for which shell."""

_FILES: Final = ("FILE", "[FILE|-]", "MODEL", "[OTHER]")
_FOLDERS: Final = ("DIR",)
_LISTS: Final = ("none", "float64", "int64", "float64,int64")


def answer(cli: click.Command) -> int | None:
    """Answers the shell if it asks for completions.

    Returns:
        The exit code; None where no shell asks.
    """
    instruction = os.environ.get(VARIABLE)
    if not instruction:
        return None
    return shell_complete(cli, {}, "trtdbg", VARIABLE, instruction)


def teach(command: click.Command) -> None:
    """Tells the parameters of a command what they are completed with, by their metavar."""
    for parameter in command.params:
        metavar = (parameter.metavar or "").strip()
        complete = _completer(metavar)
        if complete is not None and not isinstance(parameter.type, click.Choice):
            parameter._custom_shell_complete = complete


Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(metavar: str) -> Completer | None:
    if metavar.startswith("MODEL") or metavar in _FILES:
        return _of_kind("file")
    if metavar in _FOLDERS:
        return _of_kind("dir")
    if metavar == "LIST":
        return lambda _context, _parameter, begun: _starting(_LISTS, begun)
    if metavar.strip("[].") == "CODE":
        return _codes
    return None


def _of_kind(kind: str) -> Completer:
    """Returns what has the shell complete names of files or folders by itself."""
    return lambda _context, _parameter, begun: [CompletionItem(begun, type=kind)]


def _starting(words: Sequence[str], begun: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(begun)]


def _codes(
    _context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    from trtdbg.analysis.catalogue import CATALOGUE

    return [
        CompletionItem(code, help=entry.name)
        for code, entry in CATALOGUE.items()
        if str(code).startswith(begun.upper())
    ]
