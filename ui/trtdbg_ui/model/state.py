"""What the screen shows: one frozen value, replaced as a whole by every action."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from trtdbg.policy import Settings, TruncationPolicy
from trtdbg_ui.model.activity import Activity
from trtdbg_ui.model.failure import Failure
from trtdbg_ui.model.loaded import Loaded, RowSequence, Showing
from trtdbg_ui.model.questions import Choice
from trtdbg_ui.model.switching import PolicySwitch
from trtdbg_ui.model.view import USUAL, View
from trtdbg_ui.text import Line

DEFAULTS = Settings()


class Pane(StrEnum):
    """The panes: the views in the order of their keys 1 to 8, and the details."""

    CAUSES = "causes"
    NODES = "nodes"
    PASSES = "passes"
    ENGINES = "engines"
    LOG = "log"
    FINDINGS = "findings"
    MODULES = "modules"
    LINES = "lines"
    DETAIL = "detail"


VIEWS = tuple(pane for pane in Pane if pane is not Pane.DETAIL)
"""What a number key chooses; the details stand beside each of them but the log."""


@dataclass(frozen=True)
class Find:
    """A search that is open."""

    text: str = ""
    pattern: re.Pattern[str] | None = None
    error: str | None = None
    """What is wrong with the regular expression."""

    @classmethod
    def of(cls, text: str) -> Find:
        """Returns the search for a text; lower case finds both cases."""
        if not text:
            return cls()
        flags = re.IGNORECASE if text == text.lower() else 0
        try:
            return cls(text, re.compile(text, flags))
        except re.error as error:
            return cls(text, error=str(error))


@dataclass(frozen=True, eq=False)
class State:
    """One moment of the screen. Compared by identity: reports are large."""

    policy: TruncationPolicy
    settings: Settings = DEFAULTS
    """What the keys say; the report shown can lag behind while another is computed."""
    loaded: Loaded | None = None
    """The report shown."""
    before: Loaded | None = None
    """What was shown before the last switch of policy or settings."""
    place: int | None = None
    """Position of the pass whose snapshot is shown; None is the result."""
    node: str | None = None
    """Name of the selected node."""
    hide_unchanged: bool = False
    against: int | None = None
    """Position of the pass that the one shown is compared with; None is the one before."""
    view: View = USUAL
    """How the node table is shown."""
    trail: tuple[str, ...] = ()
    """Nodes that were left by a jump, the last one last."""
    pane: Pane = Pane.CAUSES
    """The pane that has the keyboard."""
    main: Pane = Pane.CAUSES
    """The view that is shown."""
    zoom: bool = False
    """Whether the pane with the keyboard has the whole screen."""
    cause: int | None = None
    """Position of the cause that the details are about; None if they are about the node."""
    activity: Activity | None = None
    """What runs in the worker."""
    failure: Failure | None = None
    """Why the last request was not answered."""
    change: PolicySwitch | Line = ()
    """What the last switch of policy changed, or how the last build ended."""
    switched: frozenset[str] = frozenset()
    """Nodes that the last switch of policy or settings changed."""
    flash_until: float = 0.0
    """The app's clock; the numbers that a switch changed stand out until then."""
    layers: frozenset[int] = frozenset()
    """Engines whose layers are shown."""
    past: tuple[Choice, ...] = ()
    """Policies and settings before this one, which undo goes back to; the last one last."""
    future: tuple[Choice, ...] = ()
    """Those that redo goes forward to, the next one last."""
    outdated: bool = False
    """Whether the report shown is of the file as it was before its last change."""
    find: Find | None = None

    hits: tuple[int, ...] = ()
    """Numbers of the rows that the search found, in order."""

    @property
    def rows(self) -> RowSequence | None:
        """Rows of the node table."""
        if self.loaded is None:
            return None
        return self.loaded.rows(self.showing)

    @property
    def showing(self) -> Showing:
        """Which rows the node table shows; what has no meaning in the result is left out."""
        if self.place is None:
            return Showing(view=self.view)
        return Showing(self.place, self.hide_unchanged, self.against, self.view)

    @property
    def row(self) -> int:
        """Number of the selected row, 0 if the selected node is not among them."""
        rows = self.rows
        if rows is None or self.node is None:
            return 0
        return rows.position.get(self.node, 0)

    def has(self, name: str) -> bool:
        """Returns whether the node table shows a node of that name."""
        rows = self.rows
        return rows is not None and name in rows.position

    def changed(self, **changes: object) -> State:
        """Returns the state with other fields; the hits of the search follow the rows."""
        state = replace(self, **changes)  # type: ignore[arg-type]
        rows = state.rows
        if rows is self.rows and state.find is self.find:
            return state
        pattern = state.find.pattern if state.find else None
        hits = rows.search(pattern) if rows is not None and pattern is not None else ()
        return replace(state, hits=hits)


def visible(
    pane: Pane, main: Pane, columns: int, lines: int, *, zoom: bool = False
) -> frozenset[Pane]:
    """Returns the panes that are shown on a screen of that size.

    Args:
        pane: The pane with the keyboard, always shown.
        main: The view that was chosen last.
        columns: Width of the screen.
        lines: Height of the screen.
        zoom: Show that pane and no other.
    """
    if zoom:
        return frozenset({pane})
    shown = {main}
    if (main is Pane.CAUSES and lines >= _ROOM_BELOW) or (
        main is Pane.PASSES and columns >= _ROOM_BESIDE
    ):
        shown.add(Pane.NODES)
    if main is not Pane.LOG and columns >= (_ROOM_FOR_THREE if main is Pane.PASSES else 110):
        shown.add(Pane.DETAIL)
    return frozenset(shown if pane in shown else {pane})


_ROOM_BELOW = 24
"""Lines from which on the graph stands below the causes."""
_ROOM_BESIDE = 100
"""Columns from which on the graph stands beside the passes, and with details from more on."""
_ROOM_FOR_THREE = 140
