"""Signs and words for verdicts, finding levels, build states and passes, in one place."""

from __future__ import annotations

from trtdbg.analysis.summary import operator_text
from trtdbg.records import BuildStatus, Level, Verdict
from trtdbg_ui.model.pass_rows import Mark
from trtdbg_ui.text import Line, Tone, join

LEVEL_SIGN = {
    Level.ERROR: ("✖", Tone.BAD),
    Level.WARNING: ("▲", Tone.WARN),
    Level.NOTE: ("•", Tone.DIM),
}
VERDICT_SIGN = {
    Verdict.ACCEPT: ("✓ accept", Tone.GOOD),
    Verdict.REJECT: ("✗ reject", Tone.BAD),
    Verdict.CRASHED: ("! crashed", Tone.BAD),
    Verdict.NOT_APPLICABLE: ("– no converter", Tone.WARN),
    Verdict.NOT_CHECKED: ("? not asked", Tone.DIM),
}
MARK_TONE = {
    Mark.SAME: Tone.PLAIN,
    Mark.ADDED: Tone.GOOD,
    Mark.REMOVED: Tone.BAD,
    Mark.RETYPED: Tone.WARN,
    Mark.CHANGED: Tone.KEY,
}
MARK_WORD = {
    Mark.SAME: "unchanged",
    Mark.ADDED: "added",
    Mark.REMOVED: "removed",
    Mark.RETYPED: "retyped",
    Mark.CHANGED: "changed",
}
BUILD_SIGN = {
    BuildStatus.NOT_BUILT: ("not built", Tone.DIM),
    BuildStatus.BUILDING: ("… building", Tone.WARN),
    BuildStatus.BUILT: ("✓ built", Tone.GOOD),
    BuildStatus.FAILED: ("✖ failed", Tone.BAD),
    BuildStatus.UNAVAILABLE: ("– unavailable", Tone.WARN),
    BuildStatus.CANCELLED: ("– cancelled", Tone.WARN),
}


def counts(added: int, removed: int, retyped: int) -> Line:
    """Returns `+3 -1 ~2`, without what is zero."""
    shown = (
        (added, Mark.ADDED),
        (removed, Mark.REMOVED),
        (retyped, Mark.RETYPED),
    )
    spans = [(f"{mark.value}{number}", MARK_TONE[mark]) for number, mark in shown if number]
    return join(((span,) for span in spans), (" ", Tone.PLAIN))


def short_operator(target: str) -> str:
    """Returns an operator as a table shows it: without `aten.`, `operator.` and `.default`."""
    name = operator_text(target).removeprefix("aten.").removeprefix("operator.")
    return name.removesuffix(".default")
