"""What the keys of builds, layers and measurements do."""

from __future__ import annotations

from trtdbg.worker.messages import Measure
from trtdbg_ui.handlers.handler import ActionHandler
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.state import Pane
from trtdbg_ui.widgets.cause_list import CauseList
from trtdbg_ui.widgets.engine_list import EngineList
from trtdbg_ui.widgets.place_list import PlaceList


class Engines(ActionHandler):
    """Builds engines, shows their layers, and has the numbers compared."""

    def action_build(self) -> None:
        """Builds all engines that are not built yet."""
        if self.conversation.build():
            self._show_engines()

    def action_build_one(self) -> None:
        """Builds the engine of the cursor in the engines, or else of the selected node."""
        engine = self.engine
        if engine is None:
            self.app.tell(f"No engine is selected: {key('engines')} goes to them.")
        elif self.conversation.build(engine):
            self._show_engines(engine)

    def action_layers(self) -> None:
        """Shows the layers of the engine of the cursor or the node, or hides them again.

        In the findings it does the same with those that are alike.
        """
        if self.state.pane is Pane.CAUSES:
            causes = self.board.pane(Pane.CAUSES)
            assert isinstance(causes, CauseList)
            if not causes.toggle():
                self.app.tell("This cause has no places to list.")
            return
        places = self.board.pane(self.state.pane)
        if isinstance(places, PlaceList):
            if not places.toggle():
                self.app.tell("There is nothing below this row.")
            return
        findings = self.findings
        if findings is not None:
            if not findings.toggle(findings.cursor):
                self.app.tell("No other finding is like this one.")
            return
        engine = self.engine
        if engine is None:
            self.app.tell(f"No engine is selected: {key('engines')} goes to them.")
            return
        self.change(layers=self.state.layers ^ {engine})
        self._show_engines(engine)

    def action_measure(self) -> None:
        """Runs the original and the truncated program, to compare their numbers."""
        request = Measure(job=self.desk.job, policy=self.state.policy)
        self.conversation.demand(request, "run")

    def _show_engines(self, engine: int | None = None) -> None:
        """Shows the engines, with the cursor on one of them if one is meant."""
        self.app.action_view(Pane.ENGINES.value)
        view = self.board.pane(Pane.ENGINES)
        if engine is not None and isinstance(view, EngineList):
            # A pane that was hidden has no lines before it is laid out.
            self.app.call_after_refresh(view.go_to, engine)
