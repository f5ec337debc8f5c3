"""The list of causes."""

from __future__ import annotations

from typing import Any

from trtdbg.records import Cause
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.causes import CauseKey, CauseRow, cause_rows, key_of, same_cause
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.render.causes import cause_row
from trtdbg_ui.text import Line, Tone, crop, line
from trtdbg_ui.widgets.cursor_view import CursorView


class CauseList(CursorView):
    """One row for each cause, however many nodes it has; opened, a row for each place."""

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self._loaded: Loaded | None = None
        self._opened: frozenset[CauseKey] = frozenset()
        self._rows: list[CauseRow] = []
        self._snug = False
        self._taken: int | str = "1fr"

    def fit_rows(self, snug: bool) -> None:
        """Says whether the list takes no more lines than it has rows."""
        self._snug = snug
        self._take_room()

    def _take_room(self) -> None:
        wanted: int | str = self._count + 1 if self._snug else "1fr"
        if wanted != self._taken:
            self._taken = wanted
            self.styles.height = wanted

    def show(self, loaded: Loaded, cause: int | None) -> None:
        """Shows the causes of a report; what was open stays open.

        Args:
            loaded: The report.
            cause: Position of the cause to go to; None is the one of before.
        """
        here = self.cause
        self._loaded = loaded
        self._lay_out()
        self.go_to(same_cause(loaded.causes, here) if cause is None else cause)

    def go_to(self, cause: int) -> None:
        """Puts the cursor on a cause."""
        rows = (i for i, row in enumerate(self._rows) if row.cause == cause)
        self.put_cursor(next(rows, 0))

    def toggle(self) -> bool:
        """Opens or closes the cause of the cursor; returns whether it has places."""
        cause = self.cause
        if cause is None or not cause.nodes:
            return False
        index = self._rows[self.cursor].cause
        self._opened ^= {key_of(cause)}
        self._lay_out()
        self.put_cursor(next(i for i, row in enumerate(self._rows) if row.cause == index))
        return True

    @property
    def cause(self) -> Cause | None:
        """The cause of the cursor."""
        if self._loaded is None or not self.cursor < len(self._rows):
            return None
        return self._loaded.causes[self._rows[self.cursor].cause]

    def node_at(self, row: int) -> str | None:
        """Returns the node that a row leads to; of a cause its first."""
        if self._loaded is None or row >= len(self._rows):
            return None
        found = self._rows[row]
        cause = self._loaded.causes[found.cause]
        return found.node or next(iter(cause.nodes), None)

    def stands_for_node(self) -> bool:
        """Returns whether the cursor is on a place and not on a whole cause."""
        return self.cursor < len(self._rows) and self._rows[self.cursor].node is not None

    def line_at(self, index: int, size: int) -> Line:
        """Returns one row."""
        if self._loaded is None or not self._rows:
            return crop(_nothing(), size)
        row = self._rows[index]
        opened = key_of(self._loaded.causes[row.cause]) in self._opened
        return cause_row(self._loaded, row, size, opened=opened)

    def _lay_out(self) -> None:
        assert self._loaded is not None
        self._rows = cause_rows(self._loaded.causes, self._opened)
        self.recount(max(len(self._rows), 1))
        self._take_room()


def _nothing() -> Line:
    """Returns what is said where there is no cause, and what can be done next."""
    words = (" Nothing keeps an operator out. ", Tone.GOOD)
    build, graph = (key("build"), Tone.KEY), (key("graph"), Tone.KEY)
    return line(words, build, " builds the engine, ", graph, " shows every node")
