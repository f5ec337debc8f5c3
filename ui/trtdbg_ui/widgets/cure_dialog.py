"""The page of what was tried against a cause; a letter does it."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from trtdbg.records import Cause, CureKind
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.render.causes import cause_detail
from trtdbg_ui.widgets.dialog import PageOverlay


class CureDialog(PageOverlay[int | None]):
    """Ends with the number of the cure that was chosen, else with None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "Close", show=False),
    ]

    def __init__(self, loaded: Loaded, cause: Cause) -> None:
        """Prepares the page about one cause."""
        super().__init__(
            "What to do about it", lambda size: cause_detail(loaded, cause, size), "cures"
        )
        self._cause = cause

    def hint(self) -> str:
        """Returns that a letter does what it stands at, if there is one."""
        does = any(cure.kind is not CureKind.NONE for cure in self._cause.cures)
        return "a letter does it · esc closes" if does else "esc closes"

    def on_key(self, event: events.Key) -> None:
        """Does what the letter stands at."""
        index = ord(event.key) - ord("a") if len(event.key) == 1 else -1
        cures = self._cause.cures
        if 0 <= index < len(cures) and cures[index].kind is not CureKind.NONE:
            event.stop()
            self.dismiss(index)
