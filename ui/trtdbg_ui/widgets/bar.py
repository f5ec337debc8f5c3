"""Lines that stand above the panes: header, policy bar, answer."""

from __future__ import annotations

from trtdbg_ui.widgets.text_view import TextView


class Bar(TextView, can_focus=False):
    """A text as high as it has lines."""

    DEFAULT_CSS = """
    Bar { height: 1; scrollbar-gutter: auto; overflow-y: hidden; }
    """

    def resized(self, size: int) -> None:
        """Takes as many rows as there are lines."""
        super().resized(size)
        height = self.styles.height
        if height is None or height.value != self._count:
            # Even the same height would have the screen laid out again.
            self.styles.height = self._count
