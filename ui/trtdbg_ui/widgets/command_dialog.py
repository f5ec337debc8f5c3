"""A page about a command of the shell, which is copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from trtdbg_ui.render.text import Line
from trtdbg_ui.widgets.dialog import PageOverlay


class CommandDialog(PageOverlay[bool]):
    """Ends with True if the command is to be copied."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(False)", "Close", show=False),
        Binding("enter,ctrl+y", "dismiss(True)", "Copy the command", show=False),
    ]

    def __init__(self, title: str, make: Callable[[int], list[Line]], action: str) -> None:
        """Prepares a page.

        Args:
            title: Stands in the frame.
            make: Returns the lines for a width.
            action: Id of the action that opened the page; its keys close it too.
        """
        super().__init__(title, make, "enter copies the command · esc closes")
        self.close_with(action, "dismiss(False)")
