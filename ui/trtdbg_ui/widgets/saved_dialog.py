"""The dialog that asks for a saved report to compare the present one with."""

from __future__ import annotations

import os
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from trtdbg.errors import TrtdbgError
from trtdbg.outputs.report import is_saved_report, read_report
from trtdbg.records import Report
from trtdbg_ui.text import Line, Tone, line, wrap
from trtdbg_ui.widgets.bar import Bar
from trtdbg_ui.widgets.overlay import Overlay


class SavedDialog(Overlay[Report | None]):
    """Asks for a path and reads the report there; ends with it, or with None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", show=False),
    ]

    DEFAULT_CSS = """
    SavedDialog > Vertical {
        width: 76; max-width: 96%; height: auto; max-height: 92%; background: $background;
    }
    SavedDialog Input { height: 1; border: none; padding: 0; background: $panel; }
    """

    def compose(self) -> ComposeResult:
        """Yields the path and what is wrong with it."""
        with Vertical() as frame:
            frame.border_title = "Compare with a saved report"
            frame.border_subtitle = "enter reads it · esc closes"
            yield Input("", placeholder="path of the .json file", compact=True)
            yield Bar(id="saved-status")

    def on_mount(self) -> None:
        """Gives the keyboard to the path."""
        self.query_one(Input).focus()
        self._say(None)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Forgets what was wrong with another path."""
        event.stop()
        self._say(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Reads the report, or says why not."""
        event.stop()
        path = os.path.expanduser(event.value.strip())
        if not is_saved_report(path):
            self._say("Name a report that was saved as .json.")
            return
        try:
            self.dismiss(read_report(path))
        except TrtdbgError as error:
            self._say(str(error))

    def action_leave(self) -> None:
        """Closes the dialog."""
        self.dismiss(None)

    def _say(self, error: str | None) -> None:
        def lines(size: int) -> list[Line]:
            if error is None:
                return [line((" ", Tone.DIM))]
            return wrap(line((f"✖ {error}", Tone.BAD)), size, indent=2)

        self.query_one("#saved-status", Bar).show(lines)
