"""The list of findings."""

from __future__ import annotations

from typing import Any, Final

from trtdbg.records import Finding
from trtdbg_ui.render.findings import finding_line, finding_lines
from trtdbg_ui.render.text import Line, Tone, crop, line
from trtdbg_ui.widgets.cursor_view import CursorView

_MOST_WRAPPED: Final = 500
"""More findings than these take one line each: wrapping them would be felt."""


class FindingList(CursorView):
    """Each finding in full, worst first; Enter leads to its node."""

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self._findings: tuple[Finding, ...] = ()
        self._lines: list[tuple[int, Line]] = []
        """Each line with the number of its finding."""

    def show(self, findings: tuple[Finding, ...]) -> None:
        """Shows findings."""
        self._findings = findings
        self.resized(self.width_cells)
        self.recount(self._count)
        self.put_cursor(0)

    def resized(self, size: int) -> None:
        """Wraps the messages to the new width; the cursor stays with its finding."""
        here = self._lines[self.cursor][0] if self.cursor < len(self._lines) else 0
        room = max(size - 1, 1)
        self._lines = [
            (number, told)
            for number, finding in enumerate(self._findings)
            for told in (
                finding_lines(finding, room)
                if len(self._findings) <= _MOST_WRAPPED
                else [crop(finding_line(finding, room), room)]
            )
        ]
        self._count = max(len(self._lines), 1)
        self.cursor = next((i for i, (n, _) in enumerate(self._lines) if n == here), 0)

    def selectable(self, index: int) -> bool:
        """Tells whether a row is the first of a finding."""
        first = index == 0 or index >= len(self._lines)
        return first or self._lines[index][0] != self._lines[index - 1][0]

    def continues(self, index: int) -> bool:
        """Tells whether a row is another one of the finding above."""
        return not self.selectable(index)

    def finding_at(self, row: int) -> Finding | None:
        """Returns the finding in a row."""
        return self._findings[self._lines[row][0]] if row < len(self._lines) else None

    def line_at(self, index: int, size: int) -> Line:
        """Returns one line of a finding."""
        if not self._lines:
            return line((" no findings", Tone.DIM))
        return crop(self._lines[index][1], size)
