"""A page about a command of the shell, which is copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from trtdbg_ui.render.text import Line
from trtdbg_ui.widgets.dialog import Page
from trtdbg_ui.widgets.overlay import Overlay


class CommandDialog(Overlay[bool]):
    """Ends with True if the command is to be copied."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(False)", "Close", show=False),
        Binding("enter,ctrl+y", "dismiss(True)", "Copy the command", show=False),
    ]

    DEFAULT_CSS = """
    CommandDialog > Page { width: 84; max-width: 96%; max-height: 92%; }
    """

    def __init__(self, title: str, make: Callable[[int], list[Line]], action: str) -> None:
        """Prepares a page.

        Args:
            title: Stands in the frame.
            make: Returns the lines for a width.
            action: Id of the action that opened the page; its keys close it too.
        """
        super().__init__()
        self._title = title
        self._make = make
        self.close_with(action, "dismiss(False)")

    def compose(self) -> ComposeResult:
        """Yields the text."""
        view = Page()
        # Content, because a string would be read as markup.
        view.border_title = Content(self._title)
        view.border_subtitle = "enter copies the command · esc closes"
        yield view

    def on_mount(self) -> None:
        """Shows the text and gives it the keyboard."""
        view = self.query_one(Page)
        view.show(self._make)
        view.focus()
