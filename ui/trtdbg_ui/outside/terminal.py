"""The terminal, which is sent only what it does not show already, in signs that it has."""

from __future__ import annotations

import sys
from typing import Any, Final

from rich.cells import get_character_cell_size
from textual.drivers.linux_driver import LinuxDriver

from trtdbg_ui.outside.painted import Painted

_ALIKE: Final = {
    **dict.fromkeys("─━▔▁▂▃▄▅▆▇╌", "-"),
    **dict.fromkeys("│┃▏▎▍▌▐▕", "|"),
    **dict.fromkeys("╭╮╰╯┌┐└┘┏┓┗┛├┤┬┴┼╺╸", "+"),
    **dict.fromkeys("█▉▊▋", "#"),
    **dict.fromkeys("✗✖×", "x"),
    **dict.fromkeys("❯›▸→◂", ">"),
    **dict.fromkeys("•·●", "."),
    "✓": "v",
    "▲": "^",
    "▾": "v",
    "…": "~",
    "–": "-",
    "≠": "!",
    "≤": "<",
    "←": "<",
    "⌫": "<",
    "⏎": "/",
    "␛": "^",
    "▼": "v",
    "↓": "v",
    "↑": "^",
    "↵": "/",
}
"""What stands for a sign where the terminal's encoding has none, as wide as it."""


class Signs(dict[int, str]):
    """What each character is sent as, in an encoding; for `str.translate`."""

    def __init__(self, encoding: str) -> None:
        """Takes the encoding of the terminal."""
        super().__init__()
        self._encoding = encoding

    def __missing__(self, code: int) -> str:
        """Returns the character, or what stands for it."""
        char = chr(code)
        try:
            char.encode(self._encoding)
        except UnicodeEncodeError:
            char = _ALIKE.get(char, "?" * get_character_cell_size(char))
        self[code] = char
        return char


class SparingDriver(LinuxDriver):
    """Textual's driver; an update of the screen is cut down to the cells that change."""

    def __init__(self, app: Any, **kwargs: Any) -> None:
        """Takes what Textual's driver takes; the app has the `Painted` of its terminal."""
        super().__init__(app, **kwargs)
        self._painted: Painted = app.painted
        # Textual writes there, and says nothing of what cannot be encoded.
        encoding = getattr(sys.__stderr__, "encoding", None) or "utf-8"
        self._signs = None if encoding.lower().startswith("utf") else Signs(encoding)

    def write(self, data: str) -> None:
        """Sends data, of an update only what changes."""
        changes = self._painted.changes(data)
        if self._signs is not None:
            changes = changes.translate(self._signs)
        if changes:
            super().write(changes)
