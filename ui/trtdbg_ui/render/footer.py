"""The line of keys at the bottom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trtdbg_ui.keys.keymap import in_force
from trtdbg_ui.model.state import Pane, State
from trtdbg_ui.text import Line, Tone, width


@dataclass(frozen=True)
class Hint:
    """One key with what it does."""

    key: str
    label: str
    action: str
    importance: int
    """0 stays longest when room is short."""

    def line(self) -> Line:
        """Returns the key and its label."""
        return ((f" {self.key} ", Tone.KEY), (f"{self.label} ", Tone.PLAIN))


def fitting(hints: tuple[Hint, ...], size: int) -> tuple[Hint, ...]:
    """Returns the most important hints that fit, in their order."""
    kept: list[Hint] = []
    room = size
    for hint in sorted(hints, key=lambda hint: hint.importance):
        need = width(hint.line())
        if need > room:
            break
        kept.append(hint)
        room -= need
    return tuple(hint for hint in hints if hint in kept)


def footer_line(hints: tuple[Hint, ...], size: int) -> Line:
    """Returns the hints that fit into `size` cells."""
    return tuple(span for hint in fitting(hints, size) for span in hint.line())


def hint_at(hints: tuple[Hint, ...], size: int, x: int) -> Hint | None:
    """Returns the hint that stands at cell `x`."""
    start = 0
    for hint in fitting(hints, size):
        start += width(hint.line())
        if x < start:
            return hint
    return None


def hints(state: State, read_only: bool) -> tuple[Hint, ...]:
    """Returns the keys that matter in a state, in the order of the table of actions."""
    here = _OF_PANE.get(state.pane, {})
    shown = []
    for action in in_force().actions:
        importance = action.footer
        if action.id in here:
            importance = _HERE if importance is None else min(importance, _HERE)
        elif importance is not None and importance >= _HERE:
            importance += _ELSEWHERE
        if action.name == "leave" and state.activity is not None and state.find is None:
            importance = 0
        if read_only and action.name in _NEEDS_WORKER:
            importance = None
        if action.name in _CURES and not _curable(state, read_only):
            importance = None
        if importance is not None and (state.loaded is not None or action.name in _ALWAYS):
            keys = action.footer_keys or action.shown
            label = here.get(action.id) or action.footer_label or action.label
            shown.append(Hint(keys, label, action.name, importance))
    return tuple(shown)


_HERE = 3
"""Importance of a key that matters in the pane with the keyboard."""
_ELSEWHERE = 4
"""How much less the others matter than they do by themselves."""
_OF_PANE: Mapping[Pane, Mapping[str, str]] = {
    Pane.CAUSES: {"layers": "places", "cures": "", "explain": "", "edit-source": "edit"},
    Pane.NODES: {
        "find": "",
        "filter": "",
        "next-problem": "",
        "explain": "",
        "validators": "",
        "where-from": "",
    },
    Pane.PASSES: {
        "previous-pass": "",
        "next-change": "",
        "hide-unchanged": "",
        "before-and-after": "diff",
    },
    Pane.ENGINES: {"build-one-engine": "build one", "layers": "", "reproducer": ""},
    Pane.FINDINGS: {"explain": "", "layers": "alike", "reproducer": ""},
    Pane.MODULES: {"layers": "opens", "fold-repeats": "all"},
    Pane.LINES: {"edit-source": "edit"},
    Pane.DETAIL: {"explain": "", "validators": "", "where-from": "", "users": ""},
}
"""What the footer of a pane shows first, with other labels where the usual ones do not fit."""


def _curable(state: State, read_only: bool) -> bool:
    """Returns whether there is a cause that something can be done about, or tried."""
    causes = state.loaded.causes if state.loaded is not None else ()
    return any(cause.cures for cause in causes) if read_only else bool(causes)


_CURES = ("cure(0)", "cures")
_ALWAYS = ("help", "quit", "leave", "command_palette")
"""Actions that make sense before there is a report."""

_NEEDS_WORKER = ("build", "matrix", "timing(1)")
