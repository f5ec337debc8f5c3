"""Engines, their bindings and builds, and the boundary casts."""

from __future__ import annotations

from typing import Any

from trtdbg_ui.model.activity import Activity
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.render.engines import EngineLine, engine_lines
from trtdbg_ui.text import Line, crop
from trtdbg_ui.widgets.cursor_view import CursorView


class EngineList(CursorView):
    """Each engine with its bindings and the state of its build."""

    def __init__(self, *, read_only: bool, **kwargs: Any) -> None:
        """Starts empty; `read_only` says that there is no program, only its report."""
        super().__init__(**kwargs)
        self._read_only = read_only
        self._shown: tuple[Loaded, Activity | None, float] | None = None
        self._layers: frozenset[int] = frozenset()
        self._lines: list[EngineLine] = []
        self._wanted: int | None = None
        """The engine that the cursor goes to when there are lines."""

    def show(
        self,
        loaded: Loaded,
        activity: Activity | None,
        now: float,
        layers: frozenset[int] = frozenset(),
    ) -> None:
        """Shows a report's engines, and the times of a running build at `now`.

        Args:
            loaded: The report.
            activity: What runs in the worker.
            now: The app's clock.
            layers: Engines whose layers are shown.
        """
        old = self._shown
        same = old is not None and old[0] is loaded and old[1] is activity is None
        if same and layers == self._layers and self._lines:
            # A thousand layers need not be laid out anew when only the clock went on.
            return
        another = old is None or old[0] is not loaded
        number = len(self._lines)
        here = self.engine_at(self.cursor) if layers != self._layers or another else None
        self._shown = (loaded, activity, now)
        self._layers = layers
        self.refit()
        if not self.width_cells:
            return
        self.recount(self._count)
        if here is not None and len(self._lines) != number:
            # Lines above may be gone or new: the cursor stays with its engine.
            self.put_cursor(self._head_of(here))
        elif another:
            self.put_cursor(min(self.cursor, self._count - 1))

    def resized(self, size: int) -> None:
        """Wraps errors and logs to the new width."""
        if self._shown is not None:
            self._lines = engine_lines(
                *self._shown, size - 1, self._layers, read_only=self._read_only
            )
            self._count = len(self._lines)
        if self._wanted is not None and self._lines:
            self.cursor, self._wanted = self._head_of(self._wanted), None

    def go_to(self, engine: int) -> None:
        """Puts the cursor on the head of an engine, unless it is at that engine already."""
        if not self.width_cells or not self._lines:
            # Hidden until now: its lines are laid out when it has a size.
            self._wanted = engine
        elif self.engine_at(self.cursor) != engine:
            self.put_cursor(self._head_of(engine), centre=True)

    def _head_of(self, engine: int) -> int:
        heads = (i for i, each in enumerate(self._lines) if each.engine == engine)
        return next(heads, 0)

    def engine_at(self, row: int) -> int | None:
        """Returns the engine that a row tells about."""
        return self._lines[row].engine if row < len(self._lines) else None

    def node_at(self, row: int) -> str | None:
        """Returns the node that a row leads to."""
        return self._lines[row].node

    def line_at(self, index: int, size: int) -> Line:
        """Returns one line of an engine."""
        return crop(self._lines[index].text, size)
