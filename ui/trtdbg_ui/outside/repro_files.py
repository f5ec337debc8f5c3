"""The files of a reproducer, and what is to be known before they are written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from trtdbg.errors import OutputError
from trtdbg.files import write_into
from trtdbg.outputs.repro import reproducer
from trtdbg.records import Recipe, Report


def script_name(recipe: Recipe) -> str:
    """Returns the name of a recipe's script; of one node no two recipes share it."""
    return f"{reproducer.file_stem(recipe)}.py"


def issue_name(recipe: Recipe) -> str:
    """Returns the name of the bug report that goes with it."""
    return f"{reproducer.file_stem(recipe)}.md"


def names(recipes: Iterable[Recipe], *, issue: bool) -> list[str]:
    """Returns the names of all files, with those of the bug reports if they are wanted."""
    made = [script_name, issue_name] if issue else [script_name]
    return [name(recipe) for recipe in recipes for name in made]


def files(
    report: Report, recipe: Recipe, text: str, printed: str, *, issue: bool
) -> dict[str, str]:
    """Returns what to write for a recipe by name.

    Args:
        report: What the recipe comes from.
        recipe: The recipe.
        text: Its script.
        printed: What the script printed when it was tried.
        issue: Whether a bug report is wanted too.
    """
    found = {script_name(recipe): text}
    if issue:
        found[issue_name(recipe)] = reproducer.issue(report, recipe, text, printed)
    return found


def existing(folder: str, wanted: Iterable[str]) -> list[str]:
    """Returns those of the names that the folder has already.

    Raises:
        OutputError: it is no folder.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise OutputError(f"{folder} is a file, not a folder")
    return [name for name in wanted if os.path.lexists(path / name)]


def write(folder: str, texts: Mapping[str, str], *, force: bool) -> list[str]:
    """Writes the files, the folder too if it is missing, and returns their absolute paths.

    Raises:
        OutputError: one exists and `force` is off, or cannot be written.
    """
    data = {name: text.encode() for name, text in texts.items()}
    return [os.path.abspath(path) for path in write_into(folder, data, force=force)]
