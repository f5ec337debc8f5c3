"""The page that says what refusals cost, and goes to the suggested policy."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from trtdbg.records import Report, Suggestion
from trtdbg_ui.render.advice import APPLY, advice_lines
from trtdbg_ui.widgets.dialog import Page
from trtdbg_ui.widgets.overlay import Overlay
from trtdbg_ui.widgets.text_view import TextView


class AdviceDialog(Overlay[Suggestion | None]):
    """Ends with the suggestion if it is to be applied, else with None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "Close", show=False),
        Binding("a", "apply", "Apply", show=False),
    ]

    DEFAULT_CSS = """
    AdviceDialog > Page { width: 96; max-width: 96%; max-height: 92%; }
    """

    def __init__(self, report: Report) -> None:
        """Prepares the page about a report that was weighed."""
        super().__init__()
        self._report = report
        self.close_with("advice", but={"a"})

    def compose(self) -> ComposeResult:
        """Yields the text."""
        view = Page()
        view.border_title = "What to do about refusals"
        applies = "a applies the policy · " if self._report.suggestion is not None else ""
        view.border_subtitle = f"{applies}esc closes"
        yield view

    def on_mount(self) -> None:
        """Shows the text and gives it the keyboard."""
        view = self.query_one(Page)
        view.show(partial(advice_lines, self._report))
        view.focus()

    def action_apply(self) -> None:
        """Goes to the suggested policy, if there is one."""
        self.dismiss(self._report.suggestion)

    @on(TextView.Clicked)
    def _clicked(self, clicked: TextView.Clicked) -> None:
        clicked.stop()
        if clicked.word == APPLY:
            self.action_apply()
