"""Everything the user can do: its key, its words, its place in footer, help and palette."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """One thing the user can do; bindings, footer, help and palette are made from these."""

    keys: str
    """As Textual names them, separated by commas."""
    shown: str
    """As the user reads them."""
    name: str
    """The app's action, with its arguments."""
    label: str
    """A word or two, for the footer and the palette."""
    help: str
    """One sentence."""
    footer: int | None = None
    """Importance in the footer, 0 stays longest; None is not shown there."""
    footer_keys: str | None = None
    """What the footer shows in place of `shown`, where it speaks for two keys."""
    footer_label: str | None = None
    """What the footer shows in place of `label`."""

    @property
    def id(self) -> str:
        """What a `--keys` file calls it: the label with dashes."""
        return self.label.replace(" ", "-")


GROUPS: tuple[tuple[str, tuple[Action, ...]], ...] = (
    (
        "What to do",
        (
            Action(
                "a",
                "a",
                "cure(0)",
                "first cure",
                "Do the first thing that helps against the cause, or find out what does.",
                2,
                footer_label="do it",
            ),
            Action(
                "A",
                "A",
                "cures",
                "cures",
                "All that was tried against the cause, each with a letter that does it.",
                5,
            ),
            Action(
                "W",
                "W",
                "advise",
                "advice",
                "What each refused operator costs, and the least truncation that helps.",
            ),
        ),
    ),
    (
        "Policy (each key analyses again at once)",
        (
            Action(
                "t",
                "t",
                "timing(1)",
                "timing",
                "Truncate off, early, upstream or late: next timing.",
                6,
            ),
            Action("T", "T", "timing(-1)", "previous timing", "Previous timing."),
            Action(
                "i",
                "i",
                "path('inputs', 1)",
                "inputs",
                "Wide dtypes narrowed where a value enters through a program input.",
            ),
            Action("I", "I", "path('inputs', -1)", "inputs back", "The same, backwards."),
            Action(
                "c",
                "c",
                "path('constants', 1)",
                "constants",
                "Wide dtypes narrowed in parameters, buffers and constants.",
            ),
            Action(
                "C", "C", "path('constants', -1)", "constants back", "The same, backwards."
            ),
            Action(
                "o",
                "o",
                "path('computed', 1)",
                "computed",
                "Wide dtypes narrowed where an operator creates them inside the graph.",
            ),
            Action("O", "O", "path('computed', -1)", "computed back", "The same, backwards."),
            Action(
                "P",
                "P",
                "precision",
                "precision",
                "Engines compute in float32, float16 or bfloat16; M then compares the "
                "numbers.",
            ),
            Action(
                "V",
                "V",
                "verdicts",
                "verdicts",
                "What engines may hold: what validators accept, or TensorRT itself too.",
            ),
            Action(
                "X",
                "X",
                "low_search",
                "low search",
                "Search the fewest operators that must stay in float32 in a low precision.",
            ),
            Action(
                "plus",
                "+",
                "block(1)",
                "larger blocks",
                "Larger minimum block size of engines.",
            ),
            Action(
                "minus",
                "-",
                "block(-1)",
                "smaller blocks",
                "Smaller minimum block size of engines.",
            ),
            Action("z", "z", "undo", "undo", "Back to the policy and settings before."),
            Action("ctrl+r", "ctrl+r", "redo", "redo", "Forward again."),
            Action(
                "D",
                "D",
                "switched",
                "what changed",
                "What the last switch changed: nodes that moved, dtypes, casts, findings.",
            ),
            Action(
                "S",
                "S",
                "since",
                "since a saved report",
                "What changed since a report that was saved before, as after an upgrade.",
            ),
            Action(
                "m",
                "m",
                "matrix",
                "matrix",
                "All timings and policies side by side; one of them is chosen.",
                4,
            ),
            Action(
                "R",
                "R",
                "again",
                "analyse again",
                "Analyse again, from the file on disk; builds of this policy are forgotten.",
            ),
        ),
    ),
    (
        "Passes",
        (
            Action("[", "[", "pass(-1, False)", "previous pass", "Previous pass."),
            Action(
                "]",
                "]",
                "pass(1, False)",
                "next pass",
                "Next pass; the result is last.",
                3,
                "[ ]",
                "pass",
            ),
            Action(
                "{",
                "{",
                "pass(-1, True)",
                "previous change",
                "Previous pass that changed something.",
            ),
            Action(
                "}",
                "}",
                "pass(1, True)",
                "next change",
                "Next pass that changed something; in the result the next node, marked ~, "
                "that the last switch of policy changed.",
            ),
            Action("=", "=", "result", "result", "Back to the result, after all passes."),
            Action(
                "u",
                "u",
                "unchanged",
                "hide unchanged",
                "Hide passes that changed nothing, and in a pass the nodes it left alone.",
                7,
            ),
            Action(
                "d",
                "d",
                "diff",
                "before and after",
                "The graph before and after the pass, or all passes, side by side.",
            ),
            Action(
                "K",
                "K",
                "against",
                "compare passes",
                "Compare other passes with the one shown; again compares neighbours.",
            ),
        ),
    ),
    (
        "Nodes",
        (
            Action(
                "/",
                "/",
                "find",
                "find",
                "Find a regular expression in name, operator, dtype, module, verdict, code.",
                2,
            ),
            Action(
                "p",
                "p",
                "pick",
                "filter",
                "Show only nodes changed, rejected, wide, at a boundary, or in engine k.",
                5,
            ),
            Action(
                "s",
                "s",
                "columns",
                "columns and order",
                "Choose the columns of the table, and the one that it is sorted by.",
                8,
                footer_label="sort",
            ),
            Action(
                "H",
                "H",
                "fold",
                "fold repeats",
                "Fold blocks that repeat with the same dtypes (×12), exceptions listed; in "
                "findings and modules, open or close all.",
                7,
                footer_label="fold",
            ),
            Action("n", "n", "hit(1)", "next hit", "Next hit of the search."),
            Action("N", "N", "hit(-1)", "previous hit", "Previous hit of the search."),
            Action(
                "f",
                "f",
                "problem(1)",
                "next problem",
                "Next node that is left to PyTorch or has a finding; in lines and modules "
                "the next that costs something.",
                4,
                footer_label="problem",
            ),
            Action("F", "F", "problem(-1)", "previous problem", "Previous such node."),
            Action(
                "e",
                "e",
                "explain",
                "explain",
                "Cause and cure of the findings of the selected node.",
                4,
            ),
            Action(
                "v",
                "v",
                "validators",
                "validators",
                "All validators of the selected node, in full.",
                5,
            ),
            Action(
                "w",
                "w",
                "origin",
                "where from",
                "Where the node's dtype begins, and the passes that brought the node.",
            ),
            Action(
                "less_than_sign",
                "<",
                "jump('operands')",
                "operands",
                "Go to an operand of the selected node.",
            ),
            Action(
                "greater_than_sign",
                ">",
                "jump('users')",
                "users",
                "Go to a user of the selected node.",
            ),
            Action(
                "backspace",
                "⌫",
                "jump_back",
                "back",
                "Back to the node that a jump came from.",
            ),
            Action(
                "M",
                "M",
                "measure",
                "measure numbers",
                "Run the original and the truncated program and compare their values.",
            ),
            Action(
                "left_parenthesis",
                "(",
                "stretch(-1)",
                "previous stretch",
                "Go along the strip to the engine or gap before.",
            ),
            Action(
                "right_parenthesis",
                ")",
                "stretch(1)",
                "next stretch",
                "Go along the strip to the next engine or gap.",
            ),
            Action(
                "y",
                "y",
                "copy",
                "copy command",
                "Copy the command line that shows this again (works over SSH).",
                8,
                footer_label="copy",
            ),
            Action(
                "r",
                "r",
                "reproducer",
                "reproducer",
                "Write a runnable file of the node's refusal, which is tried first; of an "
                "engine that does not build, show the command that cuts it down.",
            ),
            Action(
                "E",
                "E",
                "edit",
                "edit source",
                "Open the node's source line in $VISUAL or $EDITOR.",
            ),
            Action(
                "x",
                "x",
                "export",
                "export",
                "Write the report, the policy or the findings to a file.",
            ),
        ),
    ),
    (
        "Engines",
        (
            Action("b", "b", "build", "build", "Build all engines with TensorRT.", 2),
            Action(
                "B",
                "B",
                "build_one",
                "build one engine",
                "Build the engine of the cursor, or of the selected node.",
            ),
            Action(
                "space",
                "space",
                "layers",
                "layers",
                "Open or close: the places of a cause, the modules below one, findings that "
                "are alike; elsewhere the layers of the engine of the cursor, or of the node.",
            ),
            Action(
                "escape",
                "esc",
                "leave",
                "cancel",
                "Close the search, or else cancel what runs (finished engines stay).",
            ),
        ),
    ),
    (
        "Screen",
        (
            Action("1", "1", "view('causes')", "causes", "Why the model is not one engine."),
            Action("2", "2", "view('nodes')", "graph", "Every node with its dtypes."),
            Action("3", "3", "view('passes')", "passes", "What each pass changed."),
            Action("4", "4", "view('engines')", "engines", "Engines, casts, builds."),
            Action("5", "5", "view('log')", "log", "What torch and TensorRT print."),
            Action("6", "6", "view('findings')", "findings", "All findings, by code."),
            Action(
                "7",
                "7",
                "view('modules')",
                "modules",
                "The tree of modules, with refusals and casts; enter shows the nodes of one.",
            ),
            Action(
                "8",
                "8",
                "view('lines')",
                "lines",
                "The lines of the model with what became of each; enter shows its nodes.",
            ),
            Action("h,left", "h ←", "side(-1)", "pane left", "Go to the pane at the left."),
            Action("l,right", "l →", "side(1)", "pane right", "Go to the details."),
            Action(
                "Z",
                "Z",
                "zoom",
                "zoom",
                "Give the pane the whole screen, to read what is cut; again shows all.",
                6,
            ),
            Action(
                "L",
                "L",
                "theme",
                "next theme",
                "Dark, light, or without colours; NO_COLOR begins without.",
            ),
            Action("?", "?", "help", "help", "This page.", 0),
            Action(
                "ctrl+p", "ctrl+p", "command_palette", "palette", "All commands, by name.", 9
            ),
            Action("q", "q", "quit", "quit", "Quit.", 1),
        ),
    ),
)

ACTIONS: tuple[Action, ...] = tuple(action for _, group in GROUPS for action in group)


@dataclass(frozen=True)
class CursorMove:
    """What every list or text can do by itself."""

    id: str
    """What a `--keys` file calls it."""
    keys: str
    """As Textual names them, separated by commas."""
    shown: str
    """As the user reads them."""
    help: str
    """One sentence."""


MOVES: tuple[CursorMove, ...] = (
    CursorMove("down", "j,down", "j ↓", "A line down."),
    CursorMove("up", "k,up", "k ↑", "A line up."),
    CursorMove("first-line", "g,home", "g home", "First line."),
    CursorMove("last-line", "G,end", "G end", "Last line."),
    CursorMove("page-down", "pagedown,ctrl+d", "pgdn", "A page down; built in, ctrl+d too."),
    CursorMove("page-up", "pageup,ctrl+u", "pgup", "A page up; built in, ctrl+u too."),
)

FIXED: tuple[tuple[str, str], ...] = (
    ("tab", "Next pane; shift+tab the one before."),
    (
        "enter",
        "A cause opens its places; in places and in the graph: the details. A module or a "
        "line shows its nodes. Elsewhere: go to the node.",
    ),
    ("ctrl+l", "Paint the whole screen again, over what others wrote on it."),
    ("ctrl+c", "Quit at once; the exit code is 130."),
    ("mouse", "Click selects, double click chooses; in the details a node's name is a link."),
)
"""What cannot be changed, for the help page."""

FIXED_KEYS = {
    "tab": "the next pane",
    "shift+tab": "the previous pane",
    "enter": "choosing",
    "ctrl+l": "painting the screen again",
    "ctrl+c": "quitting at once",
}
"""Keys that no action can have, as Textual names them, and what they do."""
