"""Causes as plain lines, which the terminal, Markdown and HTML show alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trtdbg.analysis.codes import Code
from trtdbg.analysis.summary import count, operator_text
from trtdbg.records import Cause, CauseKind, Cost, Cure, CureKind, Finding, Report, Source

PLACES = 3
"""Lines of the model that are named before the rest is only counted."""


def heading(cause: Cause) -> str:
    """Returns how often and where: `3x aten.sort.default (model.py:22 and 2 more lines)`."""
    many = f"{len(cause.nodes)}x " if len(cause.nodes) > 1 else ""
    if cause.kind is CauseKind.LOWERING_FAILED and cause.target is not None:
        # It raised on one operator; the others only were not analysed.
        many = ""
    what = operator_text(cause.target) if cause.target is not None else "operators"
    if not cause.nodes:
        what = " and ".join(f"engine {index}" for index in cause.engines) or "the graph"
        if cause.kind in (CauseKind.SETTING, CauseKind.PARTITIONER):
            what = "engines cut apart"
    where = places(cause.sources)
    return f"{many}{what}{f' ({where})' if where else ''}"


def places(sources: Sequence[Source], most: int = PLACES) -> str:
    """Returns the first lines of the model by name, the rest counted."""
    names = list(dict.fromkeys(str(source) for source in sources if str(source)))
    rest = len(names) - most
    shown = ", ".join(names[:most])
    return f"{shown} and {count(rest, 'more line')}" if rest > 0 else shown


def details(cause: Cause) -> list[str]:
    """Returns what else is known of a cause: a fact, what follows, its cost and its cures."""
    lines = []
    if cause.fact is not None:
        lines.append(cause.fact)
    lines += [f"then: {text}" for text in cause.then]
    if cause.cost is not None:
        lines.append(f"cost: {cost_text(cause.cost)}")
    if cause.kind is CauseKind.LOWERING_FAILED:
        lines.append(_REPRODUCING)
    return lines + [cure_text(cure) for cure in cause.cures]


def cost_text(cost: Cost) -> str:
    """Returns what there would be less of, and more of, or that nothing would change."""
    pairs = (
        (cost.engines, "engine"),
        (cost.torch_ops, "PyTorch operator"),
        (cost.casts, "boundary cast"),
    )
    less = ", ".join(count(number, noun) for number, noun in pairs if number > 0)
    more = ", ".join(count(-number, noun) for number, noun in pairs if number < 0)
    parts = [f"{less or 'nothing'} less", *([f"{more} more"] if more else [])]
    return f"{' and '.join(parts)} without it"


def untold_cures(finding: Finding) -> tuple[str, ...]:
    """Returns the cures of a finding that its message does not tell already, a line each."""
    texts = map(cure_text, finding.cures)
    return tuple(text for text in texts if text not in finding.message)


def cure_text(cure: Cure) -> str:
    """Returns a cure with what it brings, what to type, and how far the numbers move."""
    command = f"; {cure.type}" if cure.type is not None else ""
    if cure.kind is CureKind.NONE:
        return f"{cure.say}{command}"
    numbers = f"; {cure.numbers_reason}" if cure.numbers_reason is not None else ""
    if cure.numbers is not None:
        apart = f"differ by {cure.numbers:.3g} at most" if cure.numbers else "are the same"
        numbers = f"; the outputs {apart}"
    return f"cure ({cure.kind.value}): {cure.say}{command}{numbers}"


def is_open(report: Report) -> bool:
    """Returns whether something of a report can have cures, and none were tried."""
    leaks = [f for f in report.findings if f.code == Code.TD601]
    return any(not c.cures for c in report.causes) or any(not f.cures for f in leaks)


def untried(report: Report) -> str | None:
    """Returns how many causes the time for cures did not reach, None if it reached all."""
    left = [cause for cause in report.causes if not cause.cures]
    if not left:
        return None
    return (
        f"the time for trying cures was over: {len(left)} of "
        f"{count(len(report.causes), 'cause')} were not tried to the end"
    )


_REPRODUCING: Final = (
    "trtdbg repro MODEL -o DIR --code TD501, with the same flags, cuts the program down to "
    "the operators that the pass raises on"
)


def lines(report: Report) -> list[str]:
    """Returns a line per cause, with what else is known of it in lines that are indented."""
    found = []
    for cause in report.causes:
        code = f" [{cause.code}]" if cause.code is not None else ""
        found.append(f"{heading(cause)}: {cause.reason}{code}")
        found += [f"  {detail}" for detail in details(cause)]
    return found
