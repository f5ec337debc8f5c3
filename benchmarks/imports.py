"""The rows about what a process costs before it does anything."""

from __future__ import annotations

import sys

from benchmarks.children import run
from benchmarks.measure import Sides


def help_text(subject: str) -> Sides:
    """A process that prints the help, against one that imports Textual's App."""
    del subject
    return Sides(
        lambda: run([sys.executable, "-m", "trtdbg", "--help"]).seconds,
        lambda: run([sys.executable, "-c", "import textual.app"]).seconds,
    )
