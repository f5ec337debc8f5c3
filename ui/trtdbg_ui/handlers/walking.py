"""What the keys do that go to other passes, nodes and hits."""

from __future__ import annotations

from trtdbg_ui.handlers.handler import ActionHandler
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.navigation import (
    at_hit,
    at_neighbour,
    at_place,
    at_problem,
    at_stretch,
    hiding_unchanged,
    searching,
)
from trtdbg_ui.model.state import Find, Pane, State
from trtdbg_ui.widgets.find_bar import FindBar
from trtdbg_ui.widgets.place_list import PlaceList


class Walking(ActionHandler):
    """Steps through passes, problems and what a search found."""

    def action_pass(self, step: int, telling: bool) -> None:
        """Steps to another pass."""
        self.state = at_neighbour(self.state, step, telling=telling)

    def action_result(self) -> None:
        """Goes back to what comes out of all passes."""
        self.state = at_place(self.state, None)

    def action_unchanged(self) -> None:
        """Hides or shows what passes left unchanged."""
        self.state = hiding_unchanged(self.state)
        if self.state.place is None and not self.board.pane(Pane.PASSES).display:
            now = "hidden" if self.state.hide_unchanged else "shown again"
            self.app.tell(
                f"Passes that changed nothing are {now}: {key('passes')} lists them."
            )

    def action_problem(self, step: int) -> None:
        """Selects the next node that is left to PyTorch or has a finding.

        In the lists of lines and modules, the next one that costs something.
        """
        places = self.board.pane(self.state.pane)
        if isinstance(places, PlaceList):
            if not places.step(step):
                self.app.tell("No other line or module costs anything.")
            return
        if self.state.loaded is not None:
            none = "No node is left to PyTorch or has a finding."
            self._go_to(at_problem(self.state, step), none)

    def action_stretch(self, step: int) -> None:
        """Goes along the strip, to the next engine or gap."""
        state = at_stretch(self.state, step)
        if state is None:
            self.app.tell("The strip ends here.")
        else:
            self.state = state

    def action_hit(self, step: int) -> None:
        """Selects the next hit of the search."""
        if self.state.find is None or self.state.rows is None:
            self.app.tell(f"Press {key('find')} to search first.")
            return
        self._go_to(at_hit(self.state, step), "Nothing found.")

    def _go_to(self, state: State | None, none: str) -> None:
        """Shows a state, or says that there is none."""
        if state is None:
            self.app.tell(none)
        else:
            self.state = state

    def action_find(self) -> None:
        """Opens the search line."""
        if self.state.rows is None:
            return
        if self.state.find is None:
            self.change(find=Find())
        self.board.query_one(FindBar).edit()

    def search(self, text: str) -> None:
        """Looks for what is typed."""
        if self.state.find is not None:
            self.state = searching(self.state, text)

    def searched(self) -> None:
        """Leaves the search line for the table."""
        if self.state.find is not None and not self.state.find.text:
            self.close_find()
        self.app.action_view(Pane.NODES.value)

    def close_find(self) -> None:
        """Ends the search."""
        self.change(find=None)
        self.board.query_one(FindBar).clear()
        self.app.focus_pane()
