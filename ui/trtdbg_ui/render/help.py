"""The help page, made from the table of actions."""

from __future__ import annotations

from trtdbg_ui.actions import FIXED
from trtdbg_ui.keymap import in_force
from trtdbg_ui.render.text import BLANK, Line, Tone, line, wrap

_SIGNS = (
    ("✓ ✗ !", "a validator accepts, rejects, crashed"),
    ("✓ was ✗", "accepted, but refused on the original dtypes"),
    ("✗ late ✓", "refused, but accepted on truncated dtypes: timing late would take it"),
    ("✖ ▲ •", "finding: error, warning, note"),
    ("+ - ~ *", "a pass added, removed, retyped, otherwise changed a node"),
    ("≠", "declared with one dtype, bound with another"),
    ("E3", "the node runs in engine 3; PyTorch: no engine holds it"),
)


def help_lines(size: int) -> list[Line]:
    """Returns keys by group, then the signs."""
    lines: list[Line] = []
    keymap = in_force()
    for title, actions in keymap.groups:
        lines += [line((title, Tone.HEAD))]
        for action in actions:
            lines += _row(action.shown, action.help, size)
        lines.append(BLANK)
    lines.append(line(("Moving", Tone.HEAD)))
    for move in keymap.moves:
        lines += _row(move.shown, move.help, size)
    for keys, text in FIXED:
        lines += _row(keys, text, size)
    lines += [BLANK, line(("Signs", Tone.HEAD))]
    for sign, text in _SIGNS:
        lines += _row(sign, text, size)
    lines += [BLANK, line(("Dtypes", Tone.HEAD))]
    for word, text in (
        ("original", "what the exported program promises"),
        ("recorded", "what the metadata says after a pass; can be stale"),
        ("inferred", "what type inference computes with nothing truncated"),
        ("truncated", "what it computes under the policy"),
        ("TensorRT", "what the network definition gives the tensor"),
    ):
        lines += _row(word, text, size)
    return lines


def _row(keys: str, text: str, size: int) -> list[Line]:
    return wrap(line((f"  {keys:<11}", Tone.KEY), text), size, indent=13)
