"""The search line."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from trtdbg_ui.keys.keymap import key
from trtdbg_ui.text import Line, Tone, line
from trtdbg_ui.widgets.text_view import TextView


class FindBar(Horizontal):
    """An input for a regular expression and a line that says what it found."""

    DEFAULT_CSS = """
    FindBar { height: 1; background: $panel; }
    FindBar > TextView {
        width: auto; height: 1; scrollbar-gutter: auto; overflow-y: hidden; background: $panel;
    }
    FindBar > #find-mark { width: 2; }
    FindBar > #find-status { width: 44; }
    FindBar > Input {
        width: 1fr; height: 1; border: none; padding: 0; background: $panel;
    }
    """

    class Typed(Message):
        """The text changed."""

        def __init__(self, text: str) -> None:
            """Says what it is now."""
            super().__init__()
            self.text = text

    class Entered(Message):
        """Enter was pressed: the keyboard goes back to the table."""

    def compose(self) -> ComposeResult:
        """Yields the slash, the input and the status."""
        yield TextView(id="find-mark", can_focus=False)
        yield Input(placeholder="regular expression", compact=True, select_on_focus=False)
        yield TextView(id="find-status", can_focus=False)

    def on_mount(self) -> None:
        """Shows the slash."""
        mark = line((f" {key('find')}", Tone.KEY))
        self.query_one("#find-mark", TextView).show(lambda size: [mark])

    def edit(self) -> None:
        """Gives the keyboard to the input."""
        self.query_one(Input).focus()

    def clear(self) -> None:
        """Empties the input."""
        self.query_one(Input).value = ""

    def show(self, status: Line) -> None:
        """Shows what the search found."""
        self.query_one("#find-status", TextView).show(lambda size: [status])

    def on_input_changed(self, event: Input.Changed) -> None:
        """Passes the text on."""
        event.stop()
        self.post_message(self.Typed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Passes Enter on."""
        event.stop()
        self.post_message(self.Entered())
