"""A list over the whole terminal, to choose a program of a recording before the UI opens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList, Static

from trtdbg.plain import one_line


class Choosing(App[int]):
    """Ends with the place of the line that was chosen; Escape and q choose none."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Leave"),
        Binding("ctrl+c", "leave", show=False, priority=True),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
    ]
    ENABLE_COMMAND_PALETTE = False
    CSS = "#title { padding: 1 2; } #keys { padding: 1 2; color: $text-muted; }"

    def __init__(self, title: str, options: Sequence[str]) -> None:
        """Prepares a list.

        Args:
            title: stands above it.
            options: what there is to choose from.
        """
        super().__init__()
        self._heading = one_line(title)
        self._options = [one_line(option) for option in options]

    def compose(self) -> ComposeResult:
        """Yields the title and the list."""
        # Content, because a string would be read as markup.
        yield Static(Content(self._heading), id="title")
        yield OptionList(*(Content(option) for option in self._options))
        yield Static("enter opens, esc leaves", id="keys")

    def on_mount(self) -> None:
        """Gives the list the keyboard."""
        view = self.query_one(OptionList)
        view.focus()
        view.highlighted = 0

    @on(OptionList.OptionSelected)
    def _chosen(self, chosen: OptionList.OptionSelected) -> None:
        self.exit(chosen.option_index)

    def action_leave(self) -> None:
        """Ends without a choice."""
        self.exit(None)

    def action_move(self, step: int) -> None:
        """Goes a line down or up."""
        view = self.query_one(OptionList)
        last = len(self._options) - 1
        view.highlighted = min(max((view.highlighted or 0) + step, 0), last)


def choose(title: str, options: Sequence[str]) -> int | None:
    """Shows a list and returns the place of the line that was chosen, None for none."""
    return Choosing(title, options).run()
