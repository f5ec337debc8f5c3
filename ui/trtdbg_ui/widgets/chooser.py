"""A list over the screen, of which one line is chosen by its key or with Enter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from trtdbg.plain import one_line
from trtdbg_ui.text import Line, Tone, crop, line, width
from trtdbg_ui.widgets.cursor_view import CursorView
from trtdbg_ui.widgets.overlay import Overlay

Value = TypeVar("Value")


@dataclass(frozen=True)
class Option(Generic[Value]):
    """One line of a chooser."""

    line: Line
    value: Value
    key: str = ""
    """Chooses it at once; empty if only the cursor does."""


class OptionList(CursorView, Generic[Value]):
    """The lines, each behind its key."""

    def __init__(self, options: Sequence[Option[Value]], **kwargs: Any) -> None:
        """Takes what there is to choose from."""
        super().__init__(**kwargs)
        self.options = tuple(options)

    def on_mount(self) -> None:
        """Takes as many rows as there are lines."""
        self.styles.height = len(self.options) + 2
        self.recount(len(self.options))

    def line_at(self, index: int, size: int) -> Line:
        """Returns an option behind its key."""
        option = self.options[index]
        key = (f" {option.key or ' '}  ", Tone.KEY)
        return crop((key, *option.line), size)


class Chooser(Overlay[Value | None], Generic[Value]):
    """Returns the chosen value, or None if Escape, q or the key that opened it closed it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Close", show=False),
    ]

    DEFAULT_CSS = """
    Chooser > OptionList { max-width: 96%; max-height: 92%; }
    """

    def __init__(
        self, title: str, options: Sequence[Option[Value]], action: str, cursor: int = 0
    ) -> None:
        """Prepares a list.

        Args:
            title: Stands in the frame.
            options: What there is to choose from, at least one.
            action: Id of the action that opened the list; its keys close it too.
            cursor: The line to begin at.
        """
        super().__init__()
        self._title = title
        self._options = tuple(options)
        self._cursor = cursor
        self.close_with(action, but={option.key for option in options})

    def compose(self) -> ComposeResult:
        """Yields the list."""
        view = OptionList(self._options)
        # Content, because a string would be read as markup.
        view.border_title = Content(one_line(self._title))
        view.border_subtitle = "enter chooses · esc closes"
        widest = max(width(option.line) for option in self._options)
        view.styles.width = max(widest + 11, len(self._title) + 6, 34)
        yield view

    def on_mount(self) -> None:
        """Gives the list the keyboard."""
        view = self.query_one(OptionList)
        view.focus()
        self.call_after_refresh(view.put_cursor, self._cursor)

    def on_key(self, event: events.Key) -> None:
        """Chooses the option of a key."""
        for option in self._options:
            if option.key and event.character == option.key:
                event.stop()
                self.dismiss(option.value)
                return

    @on(CursorView.Chosen)
    def _chosen(self, chosen: CursorView.Chosen) -> None:
        chosen.stop()
        self.dismiss(self._options[chosen.row].value)

    @on(CursorView.Moved)
    def _moved(self, moved: CursorView.Moved) -> None:
        moved.stop()


def option_text(text: str, note: str = "", *, here: bool = False) -> Line:
    """Returns the line of an option: a text, a note, and a sign if it is in force."""
    sign = ("● " if here else "  ", Tone.GOOD)
    return line(sign, (text, Tone.STRONG if here else Tone.PLAIN), (note, Tone.DIM))
