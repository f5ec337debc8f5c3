"""Writes the little of TOML that recordings consist of; Python's library only reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from trtdbg.errors import OutputError

Value = bool | int | float | str | Sequence[str]
"""What a key may hold."""

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_NOT_IN_TOML: Final = re.compile("[\x7f\ud800-\udfff]")


def table(values: Mapping[str, Value | None]) -> str:
    """Returns the lines of a table's keys; a key that is None is left out.

    Raises:
        OutputError: a value has no form in TOML.
    """
    lines = (f"{_key(n)} = {_text(v)}\n" for n, v in values.items() if v is not None)
    return "".join(lines)


def comment(text: str) -> str:
    """Returns a comment of one or several lines."""
    return "".join(f"# {line}\n" for line in text.splitlines())


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Sequence):
        return f"[{', '.join(_string(each) for each in value)}]"
    raise OutputError(f"{type(value).__name__} cannot be written as TOML")


def _string(text: str) -> str:
    """Returns a basic string, which TOML escapes as JSON does, but for a few characters."""
    escaped = json.dumps(text, ensure_ascii=False)
    return _NOT_IN_TOML.sub("\N{REPLACEMENT CHARACTER}", escaped)
