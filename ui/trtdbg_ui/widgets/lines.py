"""Virtual views of toned lines: only what is visible is ever rendered.

Textual's DataTable measures every cell before its first frame (26 s for 50,000 rows in 8.2.8),
so lists and tables here are painted line by line.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any, ClassVar, Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from trtdbg_ui.text import BLANK, Line, Tone
from trtdbg_ui.widgets.palette import LineMark, palette

_tone: Final = itemgetter(1)


class LineView(ScrollView, can_focus=True):
    """Shows lines under a fixed head; subclasses say how many there are and render one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down", "Down", show=False, id="down"),
        Binding("k,up", "scroll_up", "Up", show=False, id="up"),
        Binding("g,home", "scroll_home", "Top", show=False, id="first-line"),
        Binding("G,end", "scroll_end", "Bottom", show=False, id="last-line"),
        Binding("pagedown,ctrl+d", "page_down", "Page down", show=False, id="page-down"),
        Binding("pageup,ctrl+u", "page_up", "Page up", show=False, id="page-up"),
    ]

    DEFAULT_CSS = """
    LineView {
        background: $background;
        color: $foreground;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-gutter: stable;
        scrollbar-size-vertical: 1;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
        scrollbar-color: $panel;
    }
    """

    def __init__(self, **kwargs: Any) -> None:
        """Takes the keywords of a Textual widget."""
        # Textual may tell of new styles before it returns.
        self._styles: dict[tuple[Tone | None, LineMark | None], Style] = {}
        super().__init__(**kwargs)
        self._count = 0
        self._fitted = 0
        """The width that `resized` was last called for."""

    @property
    def width_cells(self) -> int:
        """Cells that a line may take."""
        return self.scrollable_content_region.width

    def head(self, size: int) -> list[Line]:
        """Returns the lines above the scrolled ones, each at most `size` cells wide."""
        del size
        return []

    def line_at(self, index: int, size: int) -> Line:
        """Returns the scrolled line `index`, at most `size` cells wide."""
        raise NotImplementedError

    def resized(self, size: int) -> None:
        """Is called when the width changed, before anything is painted."""

    def refit(self) -> None:
        """Lays lines out that are others now; without a width yet, as soon as there is one."""
        self._fitted = 0
        self._fit(self.width_cells)

    def recount(self, number: int) -> None:
        """Says how many lines there are now, and paints anew."""
        self._count = number
        self._span()
        self.refresh()

    def _span(self) -> None:
        """Says how far there is to scroll."""
        height = self._count + len(self.head(self.width_cells))
        size = Size(self.width_cells, height)
        room = self.scrollable_content_region.height
        if height <= room and self.virtual_size.height <= room:
            # Nothing scrolls, before or after: the screen need not be laid out again.
            self.set_reactive(LineView.virtual_size, size)
        else:
            self.virtual_size = size

    def on_resize(self, event: events.Resize) -> None:
        """Lays the lines out for the new width; Textual itself paints another size anew."""
        del event
        self._fit(self.width_cells)
        self._span()

    def _fit(self, size: int) -> None:
        if size != self._fitted:
            self._fitted = size
            self.resized(size)

    def render_line(self, y: int) -> Strip:
        """Returns the painted line `y` of the widget."""
        size = self.width_cells
        # Textual paints before it tells of the first size: those lines would be blank.
        self._fit(size)
        head = self.head(size)
        if y < len(head):
            return self.paint(head[y], size)
        index = self.scroll_offset.y + y - len(head)
        if not 0 <= index < self._count:
            return self.paint(BLANK, size)
        return self.paint_row(index, size)

    def paint_row(self, index: int, size: int) -> Strip:
        """Returns the painted line `index`."""
        return self.paint(self.line_at(index, size), size)

    def paint(self, spans: Line, size: int, mark: LineMark | None = None) -> Strip:
        """Returns a line in the theme's colours, filled up to `size` cells."""
        segments: list[Segment] = []
        left = size
        # Each segment costs again whenever Textual filters, divides and writes the line.
        for tone, same in groupby(spans, key=_tone):
            text = "".join([text for text, _ in same])
            if not text:
                continue
            shown = text if text.isprintable() else _printable(text)
            segments.append(Segment(shown, self._style(tone, mark)))
            left -= len(shown) if shown.isascii() else cell_len(shown)
        if left == size:
            return Strip.blank(size, self._style(None, mark))
        if left < 0:
            return Strip(segments, size - left).crop(0, size)
        if left:
            segments.append(Segment(" " * left, self._style(None, mark)))
        return Strip(segments, size)

    def notify_style_update(self) -> None:
        """Forgets the styles of another theme, or of another state of the widget."""
        super().notify_style_update()
        self._styles.clear()

    def _style(self, tone: Tone | None, mark: LineMark | None) -> Style:
        """Returns the style of a tone on this widget; None is what fills a line up.

        Tones are no component classes: Textual matches each of those against the whole style
        sheet for each widget, which was half of the first frame.
        """
        key = tone, mark
        if key not in self._styles:
            colours = palette(self.app.theme_variables)
            style = self.rich_style
            if tone is Tone.DIM and mark is not None:
                # What is dim cannot be read on every ground of a marked line.
                tone = Tone.PLAIN
            if tone is not None:
                style += colours.tones[tone]
            if mark is not None:
                style += colours.marks[mark]
            self._styles[key] = style
        return self._styles[key]


def _printable(text: str) -> str:
    """Replaces control characters: no name of a model may steer the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)
