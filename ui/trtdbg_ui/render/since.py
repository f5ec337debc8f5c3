"""The page that says what changed from a saved report to the present one."""

from __future__ import annotations

from trtdbg.analysis.change_words import lines
from trtdbg.analysis.changes import what_changed
from trtdbg.analysis.headline import headline
from trtdbg.records import Report
from trtdbg_ui.text import BLANK, Line, Tone, line, wrap


def since(before: Report, after: Report, size: int) -> list[Line]:
    """Returns both answers, then engines, versions, causes, nodes and lines that changed."""
    told: list[Line] = []
    for word, report in (("saved", before), ("now", after)):
        told += wrap(line((f"{word:<6}", Tone.KEY), headline(report)), size, indent=6)
    told.append(BLANK)
    for text in lines(what_changed(before, after)):
        told += wrap(line(text), size, indent=2)
    return told
