"""The tree of modules and the list of source lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trtdbg.analysis.by_place import costs
from trtdbg.outputs.local_source import remarks
from trtdbg.records import ModuleRow
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.render.columns import Layout, title_line
from trtdbg_ui.render.places import PlaceRow, layout, place_row
from trtdbg_ui.text import Line, Tone, crop, line
from trtdbg_ui.widgets.cursor_view import CursorView

_MANY = 60
"""Modules from which on a tree is shown with what is below its blocks closed."""


class PlaceList(CursorView):
    """A row for each place; nothing is summed up before the list is shown."""

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self._loaded: Loaded | None = None
        self._rows: Sequence[PlaceRow] = ()
        self._node: str | None = None
        self._remarks: tuple[str, ...] = ()
        self._layout: Layout = ()
        self._layout_size = 0

    def show(self, loaded: Loaded, node: str | None) -> None:
        """Shows the places of a report, with the cursor on the one of a node.

        The cursor follows a node that was gone to elsewhere; one that is of the row of the
        cursor leaves it there.
        """
        if loaded is self._loaded and node == self._node:
            return
        self._node = node
        if loaded is not self._loaded:
            self._loaded = loaded
            self._rows = self._all(loaded)
            self._remarks = tuple(self._about(loaded))
            self._lay_out()
        elif (here := self.row_at(self.cursor)) is not None and node in here.nodes:
            return
        held = (i for i, row in enumerate(self._rows) if node in self._own(row))
        self.put_cursor(next(held, 0), centre=True)

    def step(self, by: int) -> bool:
        """Goes to the next row that costs something; returns whether there is another one."""
        number = len(self._rows)
        around = ((self.cursor + by * far) % number for far in range(1, number))
        found = next((row for row in around if costs(self._rows[row])), None)
        if found is not None:
            self._go(found, 1)
        return found is not None

    def row_at(self, index: int) -> PlaceRow | None:
        """Returns the place of a row."""
        return self._rows[index] if 0 <= index < len(self._rows) else None

    def toggle(self) -> bool:
        """Opens or closes what is below the row of the cursor; returns whether it can."""
        return False

    def head(self, size: int) -> list[Line]:
        """Returns the titles of the columns."""
        if not self._rows:
            return []
        titles = line((" ", Tone.PLAIN), *title_line(self._columns(size - 1)))
        if not self._remarks:
            return [titles]
        more = f", and {len(self._remarks) - 1} more" if len(self._remarks) > 1 else ""
        return [crop(line((f" {self._remarks[0]}{more}", Tone.WARN)), size), titles]

    def line_at(self, index: int, size: int) -> Line:
        """Returns one row."""
        row = self.row_at(index)
        if row is None:
            return line((" The graph has no nodes.", Tone.DIM))
        opened, parent = self._openness(row)
        return place_row(row, self._columns(size), opened=opened, parent=parent)

    def _all(self, loaded: Loaded) -> Sequence[PlaceRow]:
        return loaded.lines

    def _about(self, loaded: Loaded) -> Sequence[str]:
        """Returns what is to be known about all rows: source that is not here, or changed."""
        return remarks(loaded.lines)

    def _own(self, row: PlaceRow) -> Sequence[str]:
        return row.nodes

    def _openness(self, row: PlaceRow) -> tuple[bool, bool]:
        """Returns whether the rows below a row are shown, and whether there are any."""
        del row
        return True, False

    def _columns(self, size: int) -> Layout:
        if size != self._layout_size:
            self._layout, self._layout_size = layout(self._rows, size), size
        return self._layout

    def _lay_out(self) -> None:
        self._layout_size = 0
        self.recount(max(len(self._rows), 1))


class ModuleList(PlaceList):
    """The tree of modules; blocks that are alike are one row."""

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self._tree: Sequence[ModuleRow] = ()
        self._parents: frozenset[str] = frozenset()
        self._shut: frozenset[str] | None = None
        """None until there is a tree to see how large it is."""

    def toggle(self) -> bool:
        """Opens or closes the module of the cursor."""
        row = self.row_at(self.cursor)
        if not isinstance(row, ModuleRow) or row.path not in self._parents:
            return False
        self._shut = (self._shut or frozenset()) ^ {row.path}
        self._rows = self._open_rows()
        self._lay_out()
        self.put_cursor(self.cursor)
        return True

    def toggle_all(self) -> None:
        """Closes all modules but the model, or opens all."""
        below = frozenset(row.path for row in self._tree if row.depth) & self._parents
        self._shut = below if not self._shut else frozenset()
        self._rows = self._open_rows()
        self._lay_out()
        self.put_cursor(0)

    def _all(self, loaded: Loaded) -> Sequence[PlaceRow]:
        self._tree = loaded.modules
        pairs = zip(self._tree, self._tree[1:], strict=False)
        self._parents = frozenset(a.path for a, b in pairs if b.depth > a.depth)
        if self._shut is None:
            large = len(self._tree) > _MANY
            deep = (row.path for row in self._tree if large and row.depth >= 2)
            self._shut = frozenset(deep) & self._parents
        return self._open_rows()

    def _about(self, loaded: Loaded) -> Sequence[str]:
        del loaded
        return ()

    def _open_rows(self) -> Sequence[ModuleRow]:
        rows: list[ModuleRow] = []
        hidden_below: int | None = None
        for row in self._tree:
            if hidden_below is not None and row.depth > hidden_below:
                continue
            hidden_below = row.depth if row.path in (self._shut or ()) else None
            rows.append(row)
        return rows

    def _own(self, row: PlaceRow) -> Sequence[str]:
        assert isinstance(row, ModuleRow)
        return row.own

    def _openness(self, row: PlaceRow) -> tuple[bool, bool]:
        assert isinstance(row, ModuleRow)
        return row.path not in (self._shut or ()), row.path in self._parents
