"""What stands over the screen: a frame in the middle, closed by the key that opened it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from textual import events
from textual.screen import ModalScreen

from trtdbg_ui.keys.keymap import in_force

Result = TypeVar("Result")


class Overlay(ModalScreen[Result]):
    """A screen over the screen with one framed list or group; subclasses say how large it is.

    Toasts stand in it too, and have no frame. What is below stays as it is: to dim it would be
    to send the whole screen to the terminal, twice.
    """

    DEFAULT_CSS = """
    Overlay { align: center middle; background: transparent; }
    Overlay > LineView, Overlay > Vertical {
        background: $surface;
        border: round $tone-head; padding: 0 1;
        border-title-color: $tone-head; border-subtitle-color: $tone-dim;
    }
    """

    def on_click(self, event: events.Click) -> None:
        """Closes with a click beside the frame, as Escape does."""
        under, _ = self.get_widget_at(event.screen_x, event.screen_y)
        if under is self:
            self.leave()

    def leave(self) -> None:
        """Closes without a choice; subclasses that keep something say so here."""
        self.dismiss(None)

    def close_with(
        self, opener: str, closing: str = "dismiss", *, but: Collection[str] = ()
    ) -> None:
        """Binds the keys that opened this to what closes it.

        Args:
            opener: Id of the action that opened this.
            closing: The action that closes it.
            but: Keys that do something else here.
        """
        for each in in_force().keys_of(opener):
            if each not in but:
                self._bindings.bind(each, closing, show=False)
