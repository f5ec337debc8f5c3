"""Names and messages as plain text, since a model may call its parts whatever it likes.

`one_line` and `without_controls` are for a terminal, `without_commands` for the log of a CI,
`visible` for files that are text (HTML, SVG, DOT, XML, Markdown, Python), `escaped_json` for
JSON, where nothing is lost.
"""

from __future__ import annotations

import os
import re
from typing import Final


def one_line(text: str) -> str:
    """Returns one line in which nothing steers a terminal: no escapes, no text direction."""
    if text.isprintable() and "  " not in text and text.strip(" ") == text:
        # Of all white space only the space is printable, and most names hold none.
        return text
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else "?" for c in line)


def shortened(text: str, most: int) -> str:
    """Returns a sentence cut to a number of characters; what to do, behind "; ", is kept."""
    if len(text) <= most:
        return text
    told, _, remedy = text.rpartition("; ")
    tail = f"; {remedy}" if told and len(remedy) <= most // 2 else ""
    return f"{text[: most - len(tail) - 1].rstrip()}…{tail}"


def readable_path(path: str) -> str:
    """Returns a path as it can be shown and sent: a mark for each byte that is not UTF-8."""
    return os.fsencode(path).decode(errors="replace")


def without_controls(text: str) -> str:
    """Returns text without characters that take no room and steer a terminal; lines stay."""
    return "".join(c for c in text if c == "\n" or c.isprintable())


def visible(text: str) -> str:
    """Returns text with a mark for each character that steers its reader; lines and tabs stay.

    What steers is a control character, C1 included, or one of text direction; what only takes
    no room, as between the parts of an emoji, is marked too.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" or _is_space(c) else "?" for c in text)


def _is_space(character: str) -> bool:
    """Returns whether it is a blank of some width, which is not printable to Python."""
    return character.isspace() and character not in _LINE_ENDS and character > "\x7f"


_LINE_ENDS: Final = "\x85\u2028\u2029"

_COMMAND: Final = re.compile(r"^(\s*):(?=:)|##(?=[\w-]*\[)", re.MULTILINE)


def without_commands(text: str) -> str:
    """Returns text in which no line is a command to a CI that reads its log.

    Source: `ActionCommand` of actions/runner, which takes `::name` at the start of a line,
    after blanks too, and `##[name]` anywhere; Azure Pipelines takes `##vso[name]`.
    """
    if "::" not in text and "##" not in text:
        return text
    return _COMMAND.sub(_no_command, text)


def _no_command(found: re.Match[str]) -> str:
    return "#?" if found[1] is None else f"{found[1]}?"


_STEERING: Final = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]|##(?=[\\w-]*\\[)"
)
"""What JSON holds as it is and a terminal, an editor or a CI obeys; it escapes the rest."""


def escaped_json(data: bytes) -> bytes:
    """Returns the same JSON with an escape for each character that steers its reader."""
    if data.isascii() and b"\x7f" not in data and b"##" not in data:
        return data
    return _STEERING.sub(_escape, data.decode()).encode()


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def message_line(error: BaseException, otherwise: str | None = None) -> str:
    """Returns the first line of an exception's message.

    Args:
        error: the exception.
        otherwise: what stands for a message that is empty; None is the name of the class.
    """
    lines = str(error).strip().splitlines()
    return lines[0] if lines else otherwise or type(error).__name__
