"""A list with a cursor."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from trtdbg_ui.text import Tone
from trtdbg_ui.widgets.lines import LineView
from trtdbg_ui.widgets.palette import LineMark

_CURSOR = "❯"
_HIT = "›"


class CursorView(LineView):
    """A list with a cursor; keys and mouse move it, Enter chooses."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "cursor(1)", "Down", show=False, id="down"),
        Binding("k,up", "cursor(-1)", "Up", show=False, id="up"),
        Binding("g,home", "cursor_to(0)", "Top", show=False, id="first-line"),
        Binding("G,end", "cursor_to(-1)", "Bottom", show=False, id="last-line"),
        Binding("pagedown,ctrl+d", "cursor_page(1)", "Page down", show=False, id="page-down"),
        Binding("pageup,ctrl+u", "cursor_page(-1)", "Page up", show=False, id="page-up"),
        Binding("enter", "choose", "Choose", show=False),
    ]

    class Moved(Message):
        """The user moved the cursor."""

        def __init__(self, view: CursorView, row: int) -> None:
            """Says to which row of which view."""
            super().__init__()
            self.view = view
            self.row = row

    class Chosen(Message):
        """The user pressed Enter on a row, or clicked it a second time."""

        def __init__(self, view: CursorView, row: int) -> None:
            """Says which row of which view."""
            super().__init__()
            self.view = view
            self.row = row

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self.cursor = 0

    def selectable(self, index: int) -> bool:
        """Returns whether the cursor may stand on a row."""
        del index
        return True

    def continues(self, index: int) -> bool:
        """Returns whether a row goes on with the one above."""
        del index
        return False

    def marked(self, index: int) -> bool:
        """Returns whether a row is a hit of the search."""
        del index
        return False

    def put_cursor(self, row: int, *, centre: bool = False) -> None:
        """Puts the cursor on a row and scrolls it into view, without telling anybody.

        Args:
            row: The row.
            centre: If it has to be scrolled into view, not just to the edge.
        """
        left, self.cursor = self.cursor, max(0, min(row, self._count - 1))
        self._reveal(centre)
        # What scrolls is painted anew in any case.
        above = len(self.head(self.width_cells))
        for index in (left, self.cursor):
            self.refresh_line(above + index)

    def paint_row(self, index: int, size: int) -> Strip:
        """Returns a row with its gutter: a sign where the cursor is."""
        here, hit = index == self.cursor, self.marked(index)
        gutter = (_CURSOR if here else _HIT if hit else " ", Tone.KEY)
        mark = self._mark(here, hit)
        return self.paint((gutter, *self.line_at(index, size - 1)), size, mark)

    def _mark(self, here: bool, hit: bool) -> LineMark | None:
        if here:
            return LineMark.CURSOR if self.has_focus else LineMark.CURSOR_ELSEWHERE
        return LineMark.HIT if hit else None

    def on_resize(self, event: events.Resize) -> None:
        """Keeps the cursor in view."""
        super().on_resize(event)
        self._reveal(centre=True)

    def action_cursor(self, step: int) -> None:
        """Moves the cursor by rows."""
        self._go(self.cursor + step, 1 if step > 0 else -1)

    def action_cursor_to(self, row: int) -> None:
        """Moves the cursor to a row; -1 is the last."""
        self._go(row % max(self._count, 1), -1 if row < 0 else 1)

    def action_cursor_page(self, step: int) -> None:
        """Moves the cursor by what is visible."""
        row = self.cursor + step * max(self._visible - 1, 1)
        self._go(max(0, min(row, self._count - 1)), step)

    def action_choose(self) -> None:
        """Chooses the row of the cursor."""
        if self._count:
            self.post_message(self.Chosen(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        """Moves the cursor to the clicked row; a double click chooses it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        index = self.scroll_offset.y + offset.y - len(self.head(self.width_cells))
        if offset.y < len(self.head(self.width_cells)) or not 0 <= index < self._count:
            return
        if self.selectable(index):
            self._go(index, 1)
            if event.chain == 2:
                self.action_choose()

    @property
    def _visible(self) -> int:
        return self.scrollable_content_region.height - len(self.head(self.width_cells))

    def _go(self, row: int, direction: int) -> None:
        """Moves to `row`, or to the next selectable row in `direction`."""
        while 0 <= row < self._count and not self.selectable(row):
            row += direction
        if not 0 <= row < self._count or row == self.cursor:
            self._reveal()
            return
        self.put_cursor(row)
        self.post_message(self.Moved(self, row))

    def _reveal(self, centre: bool = False) -> None:
        top, rows = self.scroll_offset.y, max(self._visible, 1)
        # The heading above a row comes into view with it, and what goes on below it.
        first = self.cursor
        while first > 0 and not self.selectable(first - 1) and not self.continues(first - 1):
            first -= 1
        last = self.cursor
        while last + 1 < self._count and self.continues(last + 1):
            last += 1
        if last - first >= rows:
            last = self.cursor
        if first >= top and last < top + rows:
            return
        if centre or not top - rows <= first <= top + 2 * rows:
            # After a jump the surroundings matter, not where the cursor came from.
            y = self.cursor - rows // 3
        else:
            y = first if first < top else last - rows + 1
        self.scroll_to(y=max(y, 0), animate=False, force=True, immediate=True)
