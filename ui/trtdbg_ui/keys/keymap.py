"""Which key does what: the table of actions with the changes of a `--keys` file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from trtdbg import toml_file
from trtdbg.errors import UsageError
from trtdbg_ui.keys.actions import ACTIONS, FIXED_KEYS, GROUPS, MOVES, Action, CursorMove
from trtdbg_ui.keys.key_names import parse_key, show_key


@dataclass(frozen=True)
class Keymap:
    """The keys in force."""

    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Keys by the id of their action or move, as Textual names them; the others are as built
    in."""

    @property
    def groups(self) -> tuple[tuple[str, tuple[Action, ...]], ...]:
        """All actions by group, with their keys as they are now."""
        return tuple((title, tuple(map(self._action, group))) for title, group in GROUPS)

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions, with their keys as they are now."""
        return tuple(map(self._action, ACTIONS))

    @property
    def moves(self) -> tuple[CursorMove, ...]:
        """What moves in lists and texts, with its keys as they are now."""
        return tuple(
            replace(move, keys=",".join(self.changed[move.id]), shown=self.shown(move.id))
            if move.id in self.changed
            else move
            for move in MOVES
        )

    def keys_of(self, id: str) -> tuple[str, ...]:
        """Returns the keys of an action or move, as Textual names them."""
        if id in self.changed:
            return self.changed[id]
        return tuple(parse_key(key) for key in _BUILT_IN[id].keys.split(","))

    def shown(self, id: str) -> str:
        """Returns the keys of an action or move, as the user reads them."""
        if id in self.changed:
            return " ".join(map(show_key, self.changed[id]))
        return _BUILT_IN[id].shown

    def _action(self, action: Action) -> Action:
        if action.id not in self.changed:
            return action
        shown = self.shown(action.id)
        keys = ",".join(self.changed[action.id])
        return replace(action, keys=keys, shown=shown, footer_keys=None)


_BUILT_IN: Mapping[str, Action | CursorMove] = {
    **{action.id: action for action in ACTIONS},
    **{move.id: move for move in MOVES},
}

_PALETTE = "the palette lists them; write dashes for blanks"

_in_force = Keymap()


def use(keymap: Keymap) -> None:
    """Makes `keymap` the one in force; a process shows one UI, which calls this first."""
    global _in_force
    _in_force = keymap


def in_force() -> Keymap:
    """Returns the keymap in force."""
    return _in_force


def key(id: str) -> str:
    """Returns the key of an action, as texts on the screen name it."""
    return _in_force.shown(id)


def read_keymap(path: str) -> Keymap:
    """Returns the keymap of a TOML file, in which each line gives one action its keys.

    Raises:
        UsageError: the file cannot be read, names something that is no action or no key, or
            one key would do two things.
    """
    changed: dict[str, tuple[str, ...]] = {}
    for name, value in toml_file.read(path).items():
        id = name.replace("_", "-")
        if id not in _BUILT_IN:
            near = get_close_matches(id, _BUILT_IN, 1)
            remedy = f"use {near[0]}" if near else _PALETTE
            raise UsageError(f"{path}: there is no action {name[:80]!r}", remedy=remedy)
        if id in changed:
            raise UsageError(f"{path}: {id} has its keys twice", remedy="give them in a list")
        changed[id] = _keys(value, f"{path}: {name}")
    keymap = Keymap(changed)
    _refuse_clashes(keymap, path)
    return keymap


def _keys(value: object, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    names = [each for each in values if isinstance(each, str) and each]
    if not names or len(names) < len(values):
        raise UsageError(
            f"{where}: expected a key or a list of keys, got {repr(value)[:120]}",
            remedy='write it like "x" or ["x", "ctrl+x"]',
        )
    try:
        return tuple(dict.fromkeys(parse_key(each) for each in names))
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", remedy=error.remedy) from error


def _refuse_clashes(keymap: Keymap, path: str) -> None:
    """Raises UsageError where one key would do two things."""
    owners = {key: f"{what}, which stays" for key, what in FIXED_KEYS.items()}
    for id in _BUILT_IN:
        for name in keymap.keys_of(id):
            if name in owners:
                both = f"{id} and by {owners[name]}"
                raise UsageError(
                    f"{path}: the key {show_key(name)!r} is used by {both}",
                    remedy="give one of them another key",
                )
            owners[name] = id
