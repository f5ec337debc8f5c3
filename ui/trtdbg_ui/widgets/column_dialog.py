"""The dialog in which the columns of the node table are chosen and sorted by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.view import View
from trtdbg_ui.render import nodes, snapshots
from trtdbg_ui.render.columns import Column
from trtdbg_ui.text import Line, Tone, crop, line
from trtdbg_ui.widgets.cursor_view import CursorView
from trtdbg_ui.widgets.overlay import Overlay


class ColumnList(CursorView):
    """Each column: shown or not, and whether the rows are ordered by it."""

    def __init__(
        self, view: View, in_pass: bool, usual: tuple[str, ...], **kwargs: Any
    ) -> None:
        """Takes the view to begin with, which of the two tables, and its usual columns."""
        super().__init__(**kwargs)
        self.view = view
        self._usual = usual
        self._in_pass = in_pass
        known = snapshots.COLUMNS if in_pass else nodes.COLUMNS
        self.columns: tuple[Column, ...] = tuple(c for c in known if c.key != "fold")

    @property
    def shown(self) -> tuple[str, ...]:
        """Keys of the columns that are shown if there is room."""
        chosen = self.view.pass_columns if self._in_pass else self.view.columns
        return chosen or self._usual

    def on_mount(self) -> None:
        """Takes as many rows as there are columns."""
        self.styles.height = len(self.columns) + 2
        self.recount(len(self.columns))

    def line_at(self, index: int, size: int) -> Line:
        """Returns one column."""
        column = self.columns[index].key
        box = ("[x] ", Tone.GOOD) if column in self.shown else ("[ ] ", Tone.DIM)
        name = self.columns[index].titles[0]
        if column == "mark":
            name = "worst finding, or what the pass did"
        elif column == "error":
            name = f"relative error ({key('measure-numbers')} measures it)"
        arrow = ""
        if column == self.view.sort:
            arrow = "  sorted, last first" if self.view.descending else "  sorted"
        return crop(line(box, (f"{name}", Tone.PLAIN), (arrow, Tone.WARN)), size)

    def toggle(self) -> None:
        """Shows or hides the column at the cursor; the names of the nodes always stay."""
        column = self.columns[self.cursor].key
        if column == "name":
            return
        shown = set(self.shown) ^ {column}
        keys = tuple(each.key for each in self.columns if each.key in shown)
        self._put(keys)

    def reset(self) -> None:
        """Goes back to the columns that fit best, in graph order."""
        self.view = replace(self.view, sort=None, descending=False)
        self._put(())

    def sort(self) -> None:
        """Orders by the column at the cursor: first to last, last to first, not at all."""
        column, view = self.columns[self.cursor].key, self.view
        if view.sort != column:
            view = replace(view, sort=column, descending=False)
        elif not view.descending:
            view = replace(view, descending=True)
        else:
            view = replace(view, sort=None, descending=False)
        self.view = view
        self.refresh()

    def _put(self, keys: tuple[str, ...]) -> None:
        if self._in_pass:
            self.view = replace(self.view, pass_columns=keys)
        else:
            self.view = replace(self.view, columns=keys)
        self.refresh()


class ColumnDialog(Overlay[View]):
    """Returns the view with the columns and the order that were chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "done", "Close", show=False),
        Binding("space", "show_column", "Show or hide", show=False),
        Binding("r", "reset", "As at first", show=False),
    ]

    DEFAULT_CSS = """
    ColumnDialog > ColumnList { width: 64; max-width: 96%; max-height: 92%; }
    """

    def __init__(self, view: View, *, in_pass: bool, usual: tuple[str, ...]) -> None:
        """Prepares the dialog.

        Args:
            view: The view to begin with.
            in_pass: Choose the columns of the graph after a pass, not those of the result.
            usual: Keys of the columns that are shown while none are chosen.
        """
        super().__init__()
        self._view = view
        self._usual = usual
        self._in_pass = in_pass
        self.close_with("columns-and-order", "done")

    def compose(self) -> ComposeResult:
        """Yields the list."""
        view = ColumnList(self._view, self._in_pass, self._usual)
        view.border_title = "Columns after a pass" if self._in_pass else "Columns"
        view.border_subtitle = "space shows · enter sorts · r as at first · esc closes"
        yield view

    def on_mount(self) -> None:
        """Gives the list the keyboard."""
        self.query_one(ColumnList).focus()

    def action_show_column(self) -> None:
        """Shows or hides a column."""
        self.query_one(ColumnList).toggle()

    def action_reset(self) -> None:
        """Goes back to the usual columns and order."""
        self.query_one(ColumnList).reset()

    def leave(self) -> None:
        """Ends with what was chosen, as every way out does."""
        self.action_done()

    def action_done(self) -> None:
        """Ends with what was chosen."""
        self.dismiss(self.query_one(ColumnList).view)

    @on(CursorView.Chosen)
    def _sort(self, chosen: CursorView.Chosen) -> None:
        chosen.stop()
        self.query_one(ColumnList).sort()

    @on(CursorView.Moved)
    def _moved(self, moved: CursorView.Moved) -> None:
        moved.stop()
