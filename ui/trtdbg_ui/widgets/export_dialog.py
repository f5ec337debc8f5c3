"""The export dialog: a file's name, whose ending says what is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from trtdbg.errors import OutputError
from trtdbg_ui.outside.exporting import KINDS, ExportKind, kind_of, with_next_ending
from trtdbg_ui.text import Line, Tone, line, wrap
from trtdbg_ui.widgets.bar import Bar
from trtdbg_ui.widgets.overlay import Overlay


class ExportDialog(Overlay[str | None]):
    """Asks for a path and writes to it; ends with the absolute path, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", show=False),
        Binding("tab,down", "ending(1)", "Next kind", show=False, priority=True),
        Binding("shift+tab,up", "ending(-1)", "Previous kind", show=False, priority=True),
        Binding("ctrl+r", "redact", "Redact", show=False, priority=True),
    ]

    DEFAULT_CSS = """
    ExportDialog > Vertical {
        width: 76; max-width: 96%; height: auto; max-height: 92%; background: $background;
    }
    ExportDialog Input { height: 1; border: none; padding: 0; background: $panel; }
    """

    def __init__(self, name: str, save: Callable[[str, ExportKind, bool, bool], None]) -> None:
        """Prepares the dialog.

        Args:
            name: The path to begin with.
            save: Writes to a path in a form; the flags say whether a file is replaced, and
                whether the report is redacted. Raises OutputError.
        """
        super().__init__()
        self._name = name
        self._save = save
        self._replace: str | None = None
        """The path of an existing file that the next Enter may replace."""
        self._error: str | None = None
        self._redact = False
        """Whether source text, paths and values of constants are left out."""

    def compose(self) -> ComposeResult:
        """Yields the forms, the path and what is wrong with it."""
        with Vertical() as frame:
            frame.border_title = "Export"
            frame.border_subtitle = "enter writes · tab next kind · esc closes"
            yield Bar(id="export-kinds")
            yield Input(self._name, compact=True, select_on_focus=False)
            yield Bar(id="export-status")

    def on_mount(self) -> None:
        """Gives the keyboard to the path."""
        self.query_one(Input).focus()
        self._show()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Follows the ending; another path takes leave to replace back."""
        event.stop()
        if event.value != self._replace:
            self._replace = None
            self._error = None
        self._show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Writes, or says why not."""
        event.stop()
        path = os.path.expanduser(event.value.strip())
        try:
            if not path:
                raise OutputError("Write the path of a file.")
            kind = kind_of(path)
            exists = not self.app.is_web and Path(path).is_file()
            if exists and self._replace != event.value:
                self._replace = event.value
                self._show()
                return
            self._save(path, kind, self._replace == event.value, self._redact)
        except OutputError as error:
            self._replace, self._error = None, error.message
            self._show()
            return
        self.dismiss(os.path.abspath(path))

    def action_ending(self, step: int) -> None:
        """Changes the path's ending, and so what is written."""
        field = self.query_one(Input)
        field.value = with_next_ending(field.value, step)
        field.cursor_position = len(field.value)

    def action_redact(self) -> None:
        """Leaves out what is not to leave the house, or takes it in again."""
        self._redact = not self._redact
        self._show()

    def action_leave(self) -> None:
        """Closes the dialog without writing."""
        self.dismiss(None)

    def _show(self) -> None:
        value = self.query_one(Input).value
        self.query_one("#export-kinds", Bar).show(lambda size: _kinds(value, self._redact))
        self.query_one("#export-status", Bar).show(self._status)

    def _status(self, size: int) -> list[Line]:
        if self._error is not None:
            return wrap(line((f"✖ {self._error}", Tone.BAD)), size, indent=2)
        if self._replace is not None:
            words = "▲ The file exists. Enter again replaces it."
            return wrap(line((words, Tone.WARN)), size, indent=2)
        return [line((" ", Tone.DIM))]


def _kinds(path: str, redact: bool) -> list[Line]:
    lines = []
    for kind in KINDS:
        here = path.strip().lower().endswith(kind.ending)
        lines.append(
            line(
                ("❯ " if here else "  ", Tone.KEY),
                (f"{kind.ending:<7}", Tone.STRONG if here else Tone.PLAIN),
                (kind.words, Tone.PLAIN if here else Tone.DIM),
            )
        )
    what = "source text, paths and values of constants"
    words = f"{what} are left out" if redact else f"leave out {what}"
    sign = "✓ " if redact else "  "
    told = line((f"{sign}ctrl+r ", Tone.KEY), (words, Tone.STRONG if redact else Tone.DIM))
    return [*lines, line(" "), told, line(" ")]
