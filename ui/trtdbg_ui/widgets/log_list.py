"""The log pane: what torch, TensorRT and anything else in the worker printed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from trtdbg.worker.messages import Log
from trtdbg_ui.render.log import log_line
from trtdbg_ui.text import Line, Tone, crop, line
from trtdbg_ui.widgets.cursor_view import CursorView

_KEPT = 20_000
"""Lines; older ones are dropped."""


class LogList(CursorView):
    """Log lines; follows the newest as long as the cursor is on the last one."""

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self._logs: deque[Log] = deque(maxlen=_KEPT)
        self._count = 1

    def add(self, logs: Iterable[Log]) -> None:
        """Appends lines."""
        follow = self.cursor >= len(self._logs) - 1
        self._logs.extend(logs)
        self.recount(max(len(self._logs), 1))
        if follow:
            self.put_cursor(len(self._logs) - 1)

    def total(self) -> str:
        """Returns how many lines there are, for the title."""
        return f"{len(self._logs):,}" if self._logs else ""

    def line_at(self, index: int, size: int) -> Line:
        """Returns one line of the log."""
        if not self._logs:
            return line((" Nothing was printed yet.", Tone.DIM))
        return crop(log_line(self._logs[index]), size)
