"""The terminal, which is sent only what it does not show already."""

from __future__ import annotations

from typing import Any

from textual.drivers.linux_driver import LinuxDriver

from trtdbg_ui.outside.painted import Painted


class SparingDriver(LinuxDriver):
    """Textual's driver; an update of the screen is cut down to the cells that change."""

    def __init__(self, app: Any, **kwargs: Any) -> None:
        """Takes what Textual's driver takes; the app has the `Painted` of its terminal."""
        super().__init__(app, **kwargs)
        self._painted: Painted = app.painted

    def write(self, data: str) -> None:
        """Sends data, of an update only what changes."""
        changes = self._painted.changes(data)
        if changes:
            super().write(changes)
