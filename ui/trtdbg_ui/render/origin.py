"""The page that says where a node's wide dtype begins and which passes brought the node."""

from __future__ import annotations

from trtdbg.outputs import bisect, trace
from trtdbg.records import NodeRecord, Report
from trtdbg_ui.render.text import BLANK, Line, Tone, line, wrap


def origin(report: Report, node: NodeRecord, size: int) -> list[Line]:
    """Returns the way back to what made a node wide, and the passes that changed the node."""
    lines = [line(("Where its wide dtype begins", Tone.HEAD))]
    if trace.trace(report, node.name) is None:
        lines.append(line(("  It is not wide.", Tone.DIM)))
    else:
        for text in trace.lines(report, node.name):
            lines += wrap(line(text), size, indent=2)
    lines += [BLANK, line(("Which passes brought it", Tone.HEAD))]
    for text in bisect.lines(report, node.name):
        lines += wrap(line(text), size, indent=2)
    return lines
