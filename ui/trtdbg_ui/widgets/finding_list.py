"""The list of findings."""

from __future__ import annotations

from typing import Any

from trtdbg.records import Finding
from trtdbg_ui.render.findings import finding_line
from trtdbg_ui.render.text import Line, Tone, crop, line
from trtdbg_ui.widgets.cursor_view import CursorView


class FindingList(CursorView):
    """One line per finding, worst first; Enter leads to its node."""

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self._findings: tuple[Finding, ...] = ()

    def show(self, findings: tuple[Finding, ...]) -> None:
        """Shows findings."""
        self._findings = findings
        self.recount(max(len(findings), 1))
        self.put_cursor(0)

    def finding_at(self, row: int) -> Finding | None:
        """Returns the finding in a row."""
        return self._findings[row] if row < len(self._findings) else None

    def line_at(self, index: int, size: int) -> Line:
        """Returns one finding."""
        if not self._findings:
            return line((" no findings", Tone.DIM))
        return crop(finding_line(self._findings[index], size), size)
