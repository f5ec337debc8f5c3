"""A text that is wrapped to the width of its pane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual import events, on
from textual.message import Message

from trtdbg_ui.text import Line, broken_words, link_at, word_at
from trtdbg_ui.widgets.lines import LineView


class TextView(LineView):
    """Shows what a function of the width returns; made anew when the width changes."""

    class Clicked(Message):
        """The user clicked a word."""

        def __init__(
            self, view: TextView, word: str, longer: tuple[str, ...], *, link: bool
        ) -> None:
            """Says which word of which view, and what it is if wrapping has broken it."""
            super().__init__()
            self.view = view
            self.word = word
            self.longer = longer
            self.link = link
            """Whether it looks like something to click."""

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self._make: Callable[[int], list[Line]] = lambda size: []
        self._lines: list[Line] = []

    def show(self, make: Callable[[int], list[Line]], *, to_top: bool = False) -> None:
        """Shows what `make` returns for the width of the view.

        Args:
            make: Returns lines of at most so many cells.
            to_top: Scroll back to the first line, for another text.
        """
        self._make = make
        before = self._lines
        self.refit()
        if self.width_cells:
            self._repaint(before)
        if to_top:
            self.scroll_to(y=0, animate=False)

    def _repaint(self, before: list[Line]) -> None:
        """Paints what is not as it was: of a clock that goes on, only its line."""
        if len(self._lines) != len(before):
            self.recount(self._count)
            return
        for y, (old, new) in enumerate(zip(before, self._lines, strict=True)):
            if new != old:
                self.refresh_line(y)

    def resized(self, size: int) -> None:
        """Makes the lines for the new width."""
        self._lines = self._make(size)
        self._count = len(self._lines)

    def line_at(self, index: int, size: int) -> Line:
        """Returns a line that was made."""
        del size
        return self._lines[index]

    @on(events.Click)
    def _say_word(self, event: events.Click) -> None:
        """Says which word was clicked; whoever knows the names goes to what it names."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        index = self.scroll_offset.y + offset.y
        if index >= self._count:
            return
        link = link_at(self._lines[index], offset.x)
        word = link or word_at(self._lines[index], offset.x)
        if word:
            longer = broken_words(self._lines, index, word)
            self.post_message(self.Clicked(self, word, longer, link=bool(link)))
