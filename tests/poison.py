"""Reports whose every string tries to steer a terminal, a CI's log or the reader of a file."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

MARK = "PWNED"
ATTACKS = (
    f"\x1b]0;{MARK}\x07",
    "\x1b[2J\x1b[31m",
    "\u009b31m\u009d52;c;AAAA\u009c",
    "\u202eRTL\u2066\u200f",
    f"\n::error::{MARK}\n##[error]{MARK} ##vso[task.complete]{MARK}\r\n::stop-commands::x\n",
    "\x00\x08\x0c\x85\u2028\u2029\x7f\ufeff",
)
POISON = "".join(ATTACKS)

STEERS = frozenset(
    [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *"\u202a\u202b\u202d\u202e"]
) - {"\n", "\t"} | frozenset("\u2066\u2067\u2028\u2029\u200e\u200f\ufeff")
"""What no output may hold."""

_EXACT = frozenset({"schema", "flavour", "sha256"})
"""Fields that decide how a report is read."""


def poisoned(value: Any, name: str = "", *, first: bool = False) -> Any:
    """Returns a record with an attack behind, or before, each of its strings."""
    if isinstance(value, Enum) or name in _EXACT:
        return value
    if isinstance(value, str):
        return f"::error::{MARK}{POISON}{value}" if first else value + POISON
    if isinstance(value, tuple):
        return tuple(poisoned(each, first=first) for each in value)
    if isinstance(value, msgspec.Struct):
        changed = {
            field: poisoned(getattr(value, field), field, first=first)
            for field in value.__struct_fields__
        }
        return msgspec.structs.replace(value, **changed)
    return value


def steering(text: str) -> set[str]:
    """Returns the characters of a text that steer its reader."""
    return STEERS & set(text)


def commands(text: str) -> list[str]:
    """Returns the lines that a CI would obey."""
    return [
        line
        for line in text.splitlines()
        if line.lstrip().startswith("::") or "##[" in line or "##vso[" in line
    ]
