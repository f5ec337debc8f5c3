"""Names and messages as plain text, since a model may call its parts whatever it likes."""

from __future__ import annotations

import os


def one_line(text: str) -> str:
    """Returns one line in which nothing steers a terminal: no escapes, no text direction."""
    if text.isprintable() and "  " not in text and text.strip(" ") == text:
        # Of all white space only the space is printable, and most names hold none.
        return text
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else "?" for c in line)


def readable_path(path: str) -> str:
    """Returns a path as it can be shown and sent: a mark for each byte that is not UTF-8."""
    return os.fsencode(path).decode(errors="replace")


def without_controls(text: str) -> str:
    """Returns text without characters that take no room and steer a terminal; lines stay."""
    return "".join(c for c in text if c == "\n" or c.isprintable())
