"""The page of a search for what must stay in float32, which grows while it runs."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType

from trtdbg_ui.model.searching import Searching
from trtdbg_ui.render.low_search import search_lines
from trtdbg_ui.widgets.dialog import Page, PageOverlay


class LowSearchDialog(PageOverlay[bool | None]):
    """Ends with True if the set is to be taken; closing it stops the search."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Close", show=False),
        Binding("enter", "take", "Take", show=False),
    ]

    DEFAULT_CSS = """
    LowSearchDialog > Page { width: 96; }
    """

    def __init__(self, searching: Searching) -> None:
        """Prepares the page."""
        self._searching = searching
        lines = partial(search_lines, searching)
        super().__init__("What must stay in float32", lines, "low-search")

    def hint(self) -> str:
        """Returns what keys do at the moment."""
        if self._searching.runs:
            return "esc stops the search"
        return "enter takes the set · esc closes" if self._takes else "esc closes"

    def take(self, searching: Searching) -> None:
        """Shows the search as it is now."""
        self._searching = searching
        page = self.query_one(Page)
        page.border_subtitle = self.hint()
        page.show(partial(search_lines, searching))

    @property
    def _takes(self) -> bool:
        found = self._searching.found
        return found is not None and found.found

    def action_take(self) -> None:
        """Closes, and takes the set if there is one."""
        if not self._searching.runs:
            self.dismiss(self._takes)
