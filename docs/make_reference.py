"""Writes docs/reference/commands.md and docs/reference/findings.md anew from the program.

Run `python docs/make_reference.py` after a change of an option or of the catalogue.
"""

from __future__ import annotations

import contextlib
import io
import os
import textwrap
from pathlib import Path

from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.analysis.codes import Explanation
from trtdbg.cli import COMMANDS, main

FOLDER = Path(__file__).parent / "reference"
COLUMNS = "88"
"""Width of the help texts."""
LINE = 120
"""Characters of a line of Markdown."""

_HUNDREDS = {
    "1": "Operators outside engines",
    "2": "Dtypes",
    "3": "Boundaries of engines",
    "4": "Numbers",
    "5": "What failed",
    "6": "Low precision",
    "7": "Shapes and profiles",
}


def commands_page() -> str:
    """Returns the page of commands: what `--help` prints, command by command."""
    parts = ["# Commands", "", "Made by `docs/make_reference.py` from `--help`.", ""]
    for name in ("", *COMMANDS):
        title = f"trtdbg {name}".strip()
        parts += [f"## {title}", "", "```text", _help([name] if name else []), "```", ""]
    return "\n".join(parts)


def findings_page() -> str:
    """Returns the page of finding codes: what `explain` says about each."""
    parts = [
        *("# Finding codes", ""),
        "Made by `docs/make_reference.py` from the catalogue.",
        "`trtdbg explain CODE` prints the same.",
        "",
    ]
    hundred = ""
    for code, entry in CATALOGUE.items():
        if code[2] != hundred:
            hundred = code[2]
            parts += [f"## {_HUNDREDS[hundred]}", ""]
        parts += _entry(entry)
    return "\n".join(parts)


def _entry(entry: Explanation) -> list[str]:
    return [
        f"### {entry.code} {entry.name}",
        "",
        _filled(f"{entry.what} Usual level: {entry.level}."),
        "",
        _filled(entry.cause),
        "",
        _filled(f"Cure: {entry.cure}"),
        "",
    ]


def _filled(text: str) -> str:
    return textwrap.fill(text, LINE, break_long_words=False, break_on_hyphens=False)


def _help(words: list[str]) -> str:
    told = io.StringIO()
    kept = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS
    try:
        with contextlib.redirect_stdout(told):
            main([*words, "--help"])
    finally:
        if kept is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = kept
    return told.getvalue().rstrip()


def pages() -> dict[Path, str]:
    """Returns each page with its text."""
    return {
        FOLDER / "commands.md": commands_page(),
        FOLDER / "findings.md": findings_page(),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
