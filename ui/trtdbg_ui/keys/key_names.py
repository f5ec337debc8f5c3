"""Names of keys: as people write them, as Textual calls them, as the screen shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from textual.keys import KEY_ALIASES, REPLACED_KEYS, Keys, _character_to_key, key_to_character

from trtdbg.errors import UsageError

_WRITTEN: Final = {
    "esc": "escape",
    "return": "enter",
    "del": "delete",
    "ins": "insert",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "↑": "up",
    "↓": "down",
    "←": "left",
    "→": "right",
}
_SHOWN: Final = {
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
}
_SAME: Final = {
    alias: name for name, aliases in KEY_ALIASES.items() for alias in aliases if "+" in alias
}
"""Keys that a terminal cannot tell from others, with the name of the other."""
_MODIFIERS: Final = re.compile(r"(?:(?:ctrl|alt|shift|super)\+)*")
_NAMED: Final = {key.value for key in Keys if not key.value.startswith("<")}


def parse_key(text: str) -> str:
    """Returns Textual's name of a key such as `t`, `?`, `esc`, `pgdn` or `ctrl+r`.

    Raises:
        UsageError: there is no such key.
    """
    modifiers = ""
    if len(text) > 1:
        found = _MODIFIERS.match(text)
        modifiers = found.group() if found else ""
    rest = text[len(modifiers) :]
    name = _WRITTEN.get(rest, rest)
    if modifiers + name in _SAME:
        return _SAME[modifiers + name]
    if len(name) == 1 and name.isprintable():
        return modifiers + _character_to_key(name)
    if name in _NAMED or (len(name) > 1 and _character(name) is not None):
        return modifiers + name
    raise UsageError(
        f"there is no key {text!r}",
        remedy="write it like t, ?, esc, enter, pgdn, f5, down or ctrl+r",
    )


def show_key(name: str) -> str:
    """Returns how the screen spells a key that Textual calls `name`."""
    found = _MODIFIERS.match(name)
    modifiers = found.group() if found else ""
    rest = name[len(modifiers) :]
    character = None if rest in _NAMED else _character(rest)
    return modifiers + _SHOWN.get(rest, character or rest)


def _character(name: str) -> str | None:
    return key_to_character(REPLACED_KEYS.get(name, name))


def parse_presses(text: str) -> tuple[str, ...]:
    """Returns the keys of a line such as `T 5 enter / type:matmul ctrl+r`.

    Args:
        text: Keys with blanks between; `type:WORD` stands for each letter of WORD.

    Raises:
        UsageError: one of them is no key.
    """
    keys: list[str] = []
    for word in text.split():
        letters: Sequence[str] = [word]
        if word.startswith("type:"):
            letters = word.removeprefix("type:")
        keys += [parse_key(letter) for letter in letters]
    return tuple(keys)
