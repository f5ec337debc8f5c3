"""A page over the screen: help, explanations, validators."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from trtdbg.plain import one_line
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.text import Line
from trtdbg_ui.widgets.overlay import Overlay, Result
from trtdbg_ui.widgets.text_view import TextView


class Page(TextView):
    """A text in a frame, as high as it has lines if the screen has room."""

    def resized(self, size: int) -> None:
        """Takes the rows that the lines and the frame need."""
        super().resized(size)
        self.styles.height = self._count + 2


class PageOverlay(Overlay[Result]):
    """A screen over the screen with one page; subclasses say what its keys do."""

    CLOSING: ClassVar[str] = "dismiss"
    """The action of the keys that opened it."""

    DEFAULT_CSS = """
    PageOverlay > Page { width: 84; max-width: 96%; max-height: 92%; }
    """

    def __init__(
        self,
        title: str,
        make: Callable[[int], list[Line]],
        action: str,
        *,
        but: Collection[str] = (),
    ) -> None:
        """Prepares a page.

        Args:
            title: Stands in the frame.
            make: Returns the lines for a width.
            action: Id of the action that opened the page; its keys close it too.
            but: Keys that do something else here.
        """
        super().__init__()
        self._title = title
        self._make = make
        self.close_with(action, self.CLOSING, but=but)

    def hint(self) -> str:
        """Returns what keys do, for the frame below the page."""
        return "esc closes"

    def compose(self) -> ComposeResult:
        """Yields the text."""
        view = Page()
        # Content, because a string would be read as markup.
        view.border_title = Content(one_line(self._title))
        view.border_subtitle = self.hint()
        yield view

    def on_mount(self) -> None:
        """Shows the text and gives it the keyboard."""
        view = self.query_one(Page)
        view.show(self._make)
        view.focus()


class Dialog(PageOverlay[None]):
    """A text with a title; Escape, q, Enter or the key that opened it closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "Close", show=False),
    ]

    def hint(self) -> str:
        """Returns the keys that scroll, as they are bound."""
        return f"{_first('down')} {_first('up')} scroll · esc closes"


def _first(id: str) -> str:
    return key(id).split()[0]
