"""What all handlers have: the app whose state they replace, and the desk that they ask."""

from __future__ import annotations

from trtdbg_ui.model.state import Pane, State
from trtdbg_ui.requests.conversation import Requests
from trtdbg_ui.requests.desk import Desk
from trtdbg_ui.shell import Panes
from trtdbg_ui.widgets.board import Board
from trtdbg_ui.widgets.engine_list import EngineList
from trtdbg_ui.widgets.finding_list import FindingList


class ActionHandler:
    """Does what some of the keys say; its `action_` methods are the app's actions."""

    def __init__(self, app: Panes, desk: Desk, conversation: Requests) -> None:
        """Prepares a handler.

        Args:
            app: Shows the state, dialogs and toasts.
            desk: Reports by policy.
            conversation: Asks the worker.
        """
        self.app = app
        self.desk = desk
        self.conversation = conversation

    @property
    def state(self) -> State:
        """What is shown; a new one is shown at once."""
        return self.app.state

    @state.setter
    def state(self, state: State) -> None:
        self.app.state = state

    @property
    def board(self) -> Board:
        """The main screen."""
        return self.app.board

    def change(self, **changes: object) -> None:
        """Shows the state with other fields."""
        self.app.change(**changes)

    @property
    def findings(self) -> FindingList | None:
        """The list of findings while it has the keyboard."""
        view = self.board.pane(Pane.FINDINGS)
        here = self.state.pane is Pane.FINDINGS and self.state.loaded is not None
        return view if here and isinstance(view, FindingList) else None

    @property
    def engine(self) -> int | None:
        """The engine of the cursor in the engines, or else of the selected node."""
        view = self.board.pane(Pane.ENGINES)
        if self.state.pane is Pane.ENGINES and isinstance(view, EngineList):
            return view.engine_at(view.cursor)
        loaded = self.state.loaded
        node = loaded.nodes.get(self.state.node or "") if loaded is not None else None
        return node.engine if node is not None else None
