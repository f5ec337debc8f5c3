"""The footer: keys that matter now."""

from __future__ import annotations

from typing import Any

from textual import events

from trtdbg_ui.render.footer import Hint, footer_line, hint_at
from trtdbg_ui.widgets.bar import Bar


class KeyBar(Bar):
    """One line of key hints, each of which can be clicked."""

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self._hints: tuple[Hint, ...] = ()

    def show_hints(self, hints: tuple[Hint, ...]) -> None:
        """Shows as many of the hints as fit."""
        if hints == self._hints:
            return
        self._hints = hints
        self.show(lambda size: [footer_line(hints, size)])

    async def on_click(self, event: events.Click) -> None:
        """Does what the clicked hint says."""
        hint = hint_at(self._hints, self.width_cells, event.x)
        if hint is not None:
            await self.run_action(f"app.{hint.action}")
