"""The page that says what refusals cost, and which policy to take."""

from __future__ import annotations

from trtdbg.outputs.advice import consequence_lines, suggestion_lines
from trtdbg.records import Report
from trtdbg_ui.render.text import BLANK, Line, Tone, line, wrap


def advice_lines(report: Report, size: int) -> list[Line]:
    """Returns what accepting each refused node would change, then the suggested policy."""
    lines = [line(("If one refused operator alone were accepted", Tone.HEAD))]
    for text in consequence_lines(report) or ["nothing was weighed"]:
        lines += wrap(line(f"  {text}"), size, indent=4)
    lines += [BLANK, line(("The least truncation that accepts the most", Tone.HEAD))]
    for text in suggestion_lines(report) or ["nothing was searched"]:
        lines += wrap(line(f"  {text}"), size, indent=4)
    return lines
