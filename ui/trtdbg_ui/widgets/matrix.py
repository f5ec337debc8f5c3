"""The screen that compares all timings and policies, of which one is chosen."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from trtdbg.policy import TruncationPolicy
from trtdbg_ui.render.matrix import MatrixRow, heading, matrix_line
from trtdbg_ui.text import BLANK, Line, line
from trtdbg_ui.widgets.cursor_view import CursorView
from trtdbg_ui.widgets.overlay import Overlay


class MatrixList(CursorView):
    """A row per policy."""

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self.rows: tuple[MatrixRow, ...] = ()
        self._here = TruncationPolicy()

    def show(self, rows: tuple[MatrixRow, ...], here: TruncationPolicy) -> None:
        """Shows the rows; the cursor begins at the policy in force."""
        first = not self.rows
        self.rows = rows
        self._here = here
        self.styles.height = len(rows) + 3
        self.recount(len(rows))
        if first:
            self.put_cursor(next((i for i, r in enumerate(rows) if r.policy == here), 0))

    def head(self, size: int) -> list[Line]:
        """Returns the titles of the columns."""
        return [line(" ", *heading(size - 1))]

    def line_at(self, index: int, size: int) -> Line:
        """Returns one policy."""
        if index >= len(self.rows):
            return BLANK
        return matrix_line(self.rows[index], self.rows, self._here, size)


class Matrix(Overlay[TruncationPolicy | None]):
    """Returns the chosen policy, or None; what is not begun by then is dropped."""

    class Wanted(Message):
        """Engines of these policies are to be built."""

        def __init__(self, policies: tuple[TruncationPolicy, ...]) -> None:
            """Says of which."""
            super().__init__()
            self.policies = policies

    class Stopped(Message):
        """What runs is to be cancelled, and what waits."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Close", show=False),
        Binding("b", "build", "Build", show=False),
        Binding("B", "build_all", "Build all", show=False),
        Binding("x", "stop", "Stop", show=False),
    ]

    DEFAULT_CSS = """
    Matrix > MatrixList { width: 132; max-width: 98%; max-height: 96%; }
    """

    def __init__(self) -> None:
        """Prepares the screen."""
        super().__init__()
        self.close_with("matrix")

    def compose(self) -> ComposeResult:
        """Yields the list."""
        view = MatrixList()
        view.border_title = "All timings and policies"
        view.border_subtitle = "enter chooses · b builds · B builds all · x stops · esc closes"
        yield view

    def on_mount(self) -> None:
        """Gives the list the keyboard."""
        self.query_one(MatrixList).focus()

    def show(self, rows: tuple[MatrixRow, ...], here: TruncationPolicy) -> None:
        """Shows what is known by now."""
        for view in self.query(MatrixList):
            view.show(rows, here)

    def action_build(self) -> None:
        """Asks for the engines of the policy at the cursor."""
        view = self.query_one(MatrixList)
        if view.rows:
            self.post_message(self.Wanted((view.rows[view.cursor].policy,)))

    def action_build_all(self) -> None:
        """Asks for the engines of all policies."""
        rows = self.query_one(MatrixList).rows
        self.post_message(self.Wanted(tuple(row.policy for row in rows)))

    def action_stop(self) -> None:
        """Asks to cancel what runs."""
        self.post_message(self.Stopped())

    @on(CursorView.Chosen)
    def _chosen(self, chosen: CursorView.Chosen) -> None:
        chosen.stop()
        rows = self.query_one(MatrixList).rows
        if rows:
            self.dismiss(rows[chosen.row].policy)

    @on(CursorView.Moved)
    def _moved(self, moved: CursorView.Moved) -> None:
        moved.stop()
