"""Virtual views of toned lines: only what is visible is ever rendered.

Textual's DataTable measures every cell before its first frame (26 s for 50,000 rows in 8.2.8),
so lists and tables here are painted line by line.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from trtdbg_ui.render.text import BLANK, Line, Tone


class LineView(ScrollView, can_focus=True):
    """Shows lines under a fixed head; subclasses say how many there are and render one."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"tone--{tone.value}" for tone in Tone),
        "line--cursor",
        "line--hit",
    }

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
    LineView > .tone--plain { color: $foreground; }
    LineView > .tone--dim { color: $tone-dim; }
    LineView > .tone--strong { color: $foreground; text-style: bold; }
    LineView > .tone--head { color: $tone-head; text-style: bold; }
    LineView > .tone--key { color: $tone-key; text-style: bold; }
    LineView > .tone--link { text-style: underline; }
    LineView > .tone--good { color: $tone-good; }
    LineView > .tone--warn { color: $tone-warn; }
    LineView > .tone--bad { color: $tone-bad; text-style: bold; }
    LineView > .tone--float { color: $tone-float; }
    LineView > .tone--int { color: $tone-int; }
    LineView > .tone--bool { color: $tone-bool; }
    LineView > .tone--complex { color: $tone-complex; }
    LineView > .tone--wide-float { color: $tone-wide-float; text-style: bold; }
    LineView > .tone--wide-int { color: $tone-wide-int; text-style: bold; }
    LineView > .tone--wide-complex { color: $tone-wide-complex; text-style: bold; }
    LineView > .line--cursor { background: $cursor-blurred; }
    LineView:focus > .line--cursor { background: $cursor-focused; }
    LineView > .line--hit { background: $line-hit; }
    """

    def __init__(self, **kwargs: Any) -> None:
        """Takes the keywords of a Textual widget."""
        super().__init__(**kwargs)
        self._count = 0

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

    def recount(self, number: int) -> None:
        """Says how many lines there are now, and paints anew."""
        self._count = number
        height = number + len(self.head(self.width_cells))
        self.virtual_size = Size(self.width_cells, height)
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Lays the lines out for the new width."""
        del event
        self.resized(self.width_cells)
        self.recount(self._count)

    def render_line(self, y: int) -> Strip:
        """Returns the painted line `y` of the widget."""
        size = self.width_cells
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

    def paint(self, spans: Line, size: int, *components: str) -> Strip:
        """Returns a line in the theme's colours, filled up to `size` cells."""
        base = self.rich_style
        over = Style()
        for name in components:
            over += self.get_component_rich_style(name, partial=True)
        segments = [
            Segment(
                text if text.isprintable() else _printable(text),
                base
                + self.get_component_rich_style(f"tone--{tone.value}", partial=True)
                + over,
            )
            for text, tone in spans
            if text
        ]
        return Strip(segments).adjust_cell_length(size, base + over)


def _printable(text: str) -> str:
    """Replaces control characters: no name of a model may steer the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)
