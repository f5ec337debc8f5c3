"""The page that says where a node's dtype begins and which passes brought the node."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from itertools import groupby
from typing import Final

from trtdbg.analysis import bisect, trace
from trtdbg.records import NodeRecord, Report
from trtdbg_ui.text import BLANK, Line, Tone, line, wrap

_NAME: Final = re.compile(r"([\w.]+)")


def origin(report: Report, node: NodeRecord, size: int) -> list[Line]:
    """Returns the way back to what gave a node its dtype, and the passes that changed it.

    The names of other nodes are links.
    """
    others = {each.name for each in report.nodes} - {node.name}
    lines = [line(("Where its dtype begins", Tone.HEAD))]
    if trace.trace(report, node.name) is None:
        lines.append(line(("  It holds no tensor.", Tone.DIM)))
    else:
        for text in trace.lines(report, node.name):
            lines += wrap(_linked(text, others), size, indent=2)
    if node.low is not None and node.low.dtype is not None:
        text = f"under --low it is {node.low.dtype}: {node.low.reason}"
        lines += wrap(_linked(text, others), size, indent=2)
    lines += [BLANK, line(("Which passes brought it", Tone.HEAD))]
    for text in bisect.lines(report, node.name):
        lines += wrap(_linked(text, others), size, indent=2)
    return lines


def _linked(text: str, names: AbstractSet[str]) -> Line:
    """Returns a text in which the names of nodes are links."""
    toned = ((part, Tone.LINK if part in names else Tone.PLAIN) for part in _NAME.split(text))
    # What is no link stays in one piece, or a line could be broken at each bracket.
    return tuple(
        ("".join(part for part, _ in parts), tone)
        for tone, parts in groupby(toned, key=lambda span: span[1])
    )
