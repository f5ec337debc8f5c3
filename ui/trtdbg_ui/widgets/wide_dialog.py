"""A page as wide as the screen, for two columns."""

from __future__ import annotations

from trtdbg_ui.widgets.dialog import Dialog


class WideDialog(Dialog):
    """A text with a title that takes all the width there is."""

    DEFAULT_CSS = """
    WideDialog > Page { width: 98%; max-width: 180; }
    """
