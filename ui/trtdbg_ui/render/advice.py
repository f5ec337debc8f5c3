"""The page that says what refusals cost, and which policy to take."""

from __future__ import annotations

from trtdbg.analysis.advice import consequence_lines, is_offered, suggestion_lines
from trtdbg.records import Report
from trtdbg_ui.text import BLANK, Line, Tone, line, wrap

APPLY = "Apply"
"""The word of the page that goes to the suggested policy when it is clicked."""


def advice_lines(report: Report, size: int) -> list[Line]:
    """Returns what accepting each refused node would change, then the suggested policy."""
    lines = [line(("If one refused operator alone were accepted", Tone.HEAD))]
    for text in consequence_lines(report) or [_nothing_weighed(report)]:
        lines += wrap(line(f"  {text}"), size, indent=4)
    lines += [BLANK, line(("The least truncation that accepts the most", Tone.HEAD))]
    reach, *rest = suggestion_lines(report) or [_nothing_found(report)]
    lines += wrap(line(f"  {reach}"), size, indent=4)
    lines += _apply(report, size)
    for text in rest:
        lines += wrap(line(f"  {text}"), size, indent=4)
    return lines


def _nothing_weighed(report: Report) -> str:
    if report.consequences is None:
        return "nothing was weighed"
    return "no validator refuses an operator, so there was nothing to weigh"


def _nothing_found(report: Report) -> str:
    if report.suggestion is None:
        return "nothing was searched"
    return "no truncation that was compared puts more operators into engines"


def _apply(report: Report, size: int) -> list[Line]:
    """Returns the line that goes to the suggested policy, or says that it is in force."""
    found = report.suggestion
    if found is None or not is_offered(report):
        return []
    kept = found.torch_executed_ops or report.settings.torch_executed_ops
    if (found.policy, kept) == (report.policy, report.settings.torch_executed_ops):
        return [line(("  It is in force already.", Tone.GOOD))]
    more = f" and {len(kept)} operators kept in PyTorch" if found.torch_executed_ops else ""
    words = line(
        ("  a  ", Tone.KEY), (APPLY, Tone.LINK), f" {found.policy.timing.value}{more}"
    )
    return wrap(line(*words, " with these lists, at once; undo goes back"), size, indent=5)
