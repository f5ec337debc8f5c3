"""The page that says what refusals cost, and goes to the suggested policy."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from trtdbg.analysis.advice import is_offered
from trtdbg.records import Report, Suggestion
from trtdbg_ui.render.advice import APPLY, advice_lines
from trtdbg_ui.widgets.dialog import PageOverlay
from trtdbg_ui.widgets.text_view import TextView


class AdviceDialog(PageOverlay[Suggestion | None]):
    """Ends with the suggestion if it is to be applied, else with None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "Close", show=False),
        Binding("a", "apply", "Apply", show=False),
    ]

    DEFAULT_CSS = """
    AdviceDialog > Page { width: 96; }
    """

    def __init__(self, report: Report) -> None:
        """Prepares the page about a report that was weighed."""
        lines = partial(advice_lines, report)
        super().__init__("What to do about refusals", lines, "advice", but={"a"})
        self._report = report

    def hint(self) -> str:
        """Returns that `a` applies a suggestion, if there is one."""
        applies = "a applies the policy · " if is_offered(self._report) else ""
        return f"{applies}esc closes"

    def action_apply(self) -> None:
        """Goes to the suggested policy, if there is one."""
        self.dismiss(self._report.suggestion if is_offered(self._report) else None)

    @on(TextView.Clicked)
    def _clicked(self, clicked: TextView.Clicked) -> None:
        clicked.stop()
        if clicked.word == APPLY:
            self.action_apply()
