"""A page about a command of the shell, which is copied."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from trtdbg_ui.widgets.dialog import PageOverlay


class CommandDialog(PageOverlay[bool]):
    """Ends with True if the command is to be copied."""

    CLOSING = "dismiss(False)"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(False)", "Close", show=False),
        Binding("enter,ctrl+y", "dismiss(True)", "Copy the command", show=False),
    ]

    def hint(self) -> str:
        """Returns that Enter copies."""
        return "enter copies the command · esc closes"
