"""The list of passes."""

from __future__ import annotations

from typing import Any

from trtdbg.records import Report
from trtdbg_ui.model.pass_steps import Entry, Heading, entries
from trtdbg_ui.render.passes import heading_line, pass_line, result_line
from trtdbg_ui.text import BLANK, Line
from trtdbg_ui.widgets.cursor_view import CursorView


class PassList(CursorView):
    """Passes by phase, the result last."""

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self._report: Report | None = None
        self._entries: tuple[Heading | Entry, ...] = ()

    def show(self, report: Report, place: int | None, hide_unchanged: bool) -> None:
        """Shows the passes of a report with the cursor on the one at `place`."""
        self._report = report
        self._entries = entries(report, hide_unchanged, place)
        self.recount(len(self._entries))
        self.put_cursor(self._entries.index(Entry(place)))

    def place_at(self, row: int) -> int | None:
        """Returns the place of the pass in a row, None for the result."""
        entry = self._entries[row]
        assert isinstance(entry, Entry)
        return entry.place

    def selectable(self, index: int) -> bool:
        """Returns whether a row is more than the heading of a phase."""
        return isinstance(self._entries[index], Entry)

    def line_at(self, index: int, size: int) -> Line:
        """Returns a heading, a pass or the result."""
        entry = self._entries[index]
        if self._report is None:
            return BLANK
        if isinstance(entry, Heading):
            return heading_line(entry, size)
        if entry.place is None:
            return result_line(self._report, size)
        return pass_line(self._report, entry.place, size)
