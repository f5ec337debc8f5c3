"""The line of keys at the bottom."""

from __future__ import annotations

from dataclasses import dataclass

from trtdbg_ui.keys.keymap import in_force
from trtdbg_ui.model.state import State
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
    shown = []
    for action in in_force().actions:
        importance = action.footer
        if action.name == "leave" and state.activity is not None and state.find is None:
            importance = 0
        if read_only and action.name in _NEEDS_WORKER:
            importance = None
        if action.name in _CURES and not _curable(state, read_only):
            importance = None
        if importance is not None and (state.loaded is not None or action.name in _ALWAYS):
            keys, label = (
                action.footer_keys or action.shown,
                action.footer_label or action.label,
            )
            shown.append(Hint(keys, label, action.name, importance))
    return tuple(shown)


def _curable(state: State, read_only: bool) -> bool:
    """Returns whether there is a cause that something can be done about, or tried."""
    causes = state.loaded.causes if state.loaded is not None else ()
    return any(cause.cures for cause in causes) if read_only else bool(causes)


_CURES = ("cure(0)", "cures")
_ALWAYS = ("help", "quit", "leave", "command_palette")
"""Actions that make sense before there is a report."""

_NEEDS_WORKER = ("build", "matrix", "timing(1)")
