"""The help page, made from the table of actions."""

from __future__ import annotations

from trtdbg_ui.keys.actions import FIXED
from trtdbg_ui.keys.keymap import in_force
from trtdbg_ui.model.state import Pane
from trtdbg_ui.render.tabs import WORDS
from trtdbg_ui.text import BLANK, Line, Tone, line, wrap

_SIGNS = (
    ("✓ ✗ !", "a validator accepts, rejects, crashed"),
    ("✓ was ✗", "accepted, but refused on the original dtypes"),
    ("✗ late: ✓", "refused, but accepted on truncated dtypes: timing late takes it"),
    ("✖ ▲ •", "finding: error, warning, note"),
    ("~", "in the graph: the last switch of policy changed this node"),
    ("+ - ~ *", "a pass added, removed, retyped, otherwise changed a node"),
    ("≠", "declared with one dtype, bound with another"),
    ("E3", "the node runs in engine 3; PyTorch: no engine holds it"),
)


_PANES = {
    Pane.CAUSES: (
        "Why the model is not one engine: each cause once, however many operators it keeps "
        "out, with its line of source and what helps against it, tried on this model. "
        "Below stands the graph around it.",
        ("first-cure", "cures", "layers", "next-stretch", "edit-source", "explain", "zoom"),
    ),
    Pane.PASSES: (
        "What happened to the graph, in order: the loaded program, each lowering pass, "
        "truncation, partition, boundary repair, and the result. The numbers are nodes that "
        "a pass added, removed and retyped; the nodes beside follow the selected pass.",
        (
            "previous-pass",
            "next-pass",
            "next-change",
            "hide-unchanged",
            "before-and-after",
            "compare-passes",
            "result",
        ),
    ),
    Pane.NODES: (
        "The graph at the selected pass, one node a line: what export promised, what "
        "inference computes with and without truncation, what TensorRT makes of it, the "
        "validators' verdict and who runs the node.",
        (
            "find",
            "filter",
            "columns-and-order",
            "fold-repeats",
            "next-problem",
            "explain",
            "validators",
            "where-from",
            "edit-source",
        ),
    ),
    Pane.DETAIL: (
        "All about the selected node: verdicts on the original, inferred and truncated "
        "dtypes, source line, operands and users, findings, and its dtype after each pass.",
        (
            "explain",
            "validators",
            "where-from",
            "edit-source",
            "operands",
            "users",
            "back",
            "measure-numbers",
            "advice",
        ),
    ),
    Pane.ENGINES: (
        "What TensorRT gets, engine by engine: operators, inputs and outputs with the dtype "
        "that the engine declares and the one that is bound, and how the build went; then "
        "the casts at the boundaries, and what narrowing does to constants. Enter goes to "
        "the first node.",
        ("build", "build-one-engine", "layers", "reproducer", "cancel"),
    ),
    Pane.FINDINGS: (
        "What is wrong or worth knowing, worst first; what is said alike of several nodes is "
        "one row, like ▸ 12×, which is opened to list them, by a click on it too. Enter goes "
        "to the node; the explanation tells cause and cure.",
        ("explain", "layers", "fold-repeats", "reproducer", "next-problem", "export"),
    ),
    Pane.MODULES: (
        "The tree of modules, blocks that are alike once, with the operators, engines, "
        "refusals and casts of each and of all below it. The details show the operator that "
        "is worth a look first; enter shows the nodes of the module and no others.",
        ("layers", "fold-repeats", "filter", "explain", "zoom"),
    ),
    Pane.LINES: (
        "The lines of the model's source, what costs the most first, with what became of "
        "each. Enter shows the nodes of the line and no others.",
        ("edit-source", "filter", "explain", "zoom"),
    ),
    Pane.LOG: (
        "What torch, torch_tensorrt and TensorRT print while they work, and tracebacks of "
        "bugs. Nothing of it is written over the screen.",
        ("zoom",),
    ),
}
"""What a pane shows, and the actions that matter there."""


def pane_lines(pane: Pane, size: int) -> list[Line]:
    """Returns what a pane shows and the keys that matter in it."""
    text, ids = _PANES[pane]
    actions = {action.id: action for action in in_force().actions}
    lines = [line((f"This pane: {WORDS[pane].lower()}", Tone.HEAD))]
    lines += wrap(line(f"  {text}"), size, indent=2)
    for id in ids:
        lines += _row(actions[id].shown, actions[id].help, size)
    return [*lines, BLANK]


def help_lines(pane: Pane, size: int) -> list[Line]:
    """Returns what the pane shows, then keys by group, then the signs."""
    lines = pane_lines(pane, size)
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
