"""The node table."""

from __future__ import annotations

from typing import Any

from trtdbg_ui.model.loaded import ResultRows, RowSequence, SnapshotRows
from trtdbg_ui.render import nodes, snapshots
from trtdbg_ui.render.columns import Layout, title_line
from trtdbg_ui.text import BLANK, Line, Tone, line
from trtdbg_ui.widgets.cursor_view import CursorView


class NodeTable(CursorView):
    """The lowered graph, or the graph after one pass; only visible rows are rendered."""

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self._rows: RowSequence | None = None
        self._hide_unchanged = False
        self._switched: frozenset[str] = frozenset()
        self._hits: frozenset[int] = frozenset()
        self._layout: Layout = ()
        self._titles: Line = BLANK
        self._layout_size = 0

    def show(
        self,
        rows: RowSequence,
        cursor: int,
        hide_unchanged: bool,
        switched: frozenset[str] = frozenset(),
    ) -> None:
        """Shows rows with the cursor on one of them.

        Args:
            rows: The rows.
            cursor: Number of the selected row.
            hide_unchanged: Whether a pass shows only what it touched.
            switched: Nodes that are marked, because a switch of policy changed them.
        """
        self._switched = switched
        another = rows is not self._rows
        if another:
            self._rows = rows
            self._layout_size = 0
            self._hits = frozenset()
        self._hide_unchanged = hide_unchanged
        self.recount(len(rows.names))
        self.put_cursor(cursor, centre=another)

    def show_hits(self, hits: frozenset[int]) -> None:
        """Marks the rows that a search found."""
        if hits != self._hits:
            self._hits = hits
            self.refresh()

    def marked(self, index: int) -> bool:
        """Returns whether a row is a hit of the search."""
        return index in self._hits

    def head(self, size: int) -> list[Line]:
        """Returns which pass is shown, unless it is the result, and the column titles."""
        if self._rows is None:
            return []
        self._columns(size - 1)
        titles = self._titles
        if isinstance(self._rows, SnapshotRows):
            caption = snapshots.caption(self._rows, self._hide_unchanged, size - 1)
            return [line(" ", *caption), titles]
        if isinstance(self._rows, ResultRows):
            above = nodes.caption(self._rows, size - 1)
            return [line(" ", *above), titles] if above else [titles]
        return [titles]

    def line_at(self, index: int, size: int) -> Line:
        """Returns one row."""
        columns = self._columns(size)
        if isinstance(self._rows, SnapshotRows):
            return snapshots.row(self._rows, index, columns)
        if isinstance(self._rows, ResultRows):
            return nodes.row(self._rows, index, columns, self._switched)
        return BLANK

    @property
    def usual(self) -> tuple[str, ...]:
        """Keys of the columns that it shows at its width unless others are chosen."""
        if isinstance(self._rows, SnapshotRows):
            return snapshots.USUAL
        return nodes.usual(self.width_cells - 1)

    def _columns(self, size: int) -> Layout:
        """Returns the columns; measured once for each width and set of rows."""
        if size != self._layout_size:
            if isinstance(self._rows, SnapshotRows):
                self._layout = snapshots.layout(self._rows, size)
            elif isinstance(self._rows, ResultRows):
                self._layout = nodes.layout(self._rows, size)
            self._layout_size = size
            self._titles = line((" ", Tone.PLAIN), *title_line(self._layout))
        return self._layout
