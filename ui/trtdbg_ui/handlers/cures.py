"""What the keys do that act on a cause."""

from __future__ import annotations

from trtdbg.analysis.cause_lines import untried
from trtdbg.records import Cause, Cure, CureKind
from trtdbg_ui.handlers.advice import Advice
from trtdbg_ui.handlers.files import Files
from trtdbg_ui.handlers.handler import ActionHandler
from trtdbg_ui.handlers.policy import Policy
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.navigation import at_node, cause_shown
from trtdbg_ui.model.questions import Choice
from trtdbg_ui.model.typed import choice_typed
from trtdbg_ui.requests.conversation import Requests
from trtdbg_ui.requests.desk import Desk
from trtdbg_ui.shell import Panes


class Cures(ActionHandler):
    """Does what was tried against a cause and helps, or has it tried first."""

    def __init__(
        self,
        app: Panes,
        desk: Desk,
        conversation: Requests,
        policy: Policy,
        files: Files,
        advice: Advice,
    ) -> None:
        """Prepares a handler that acts by way of others."""
        super().__init__(app, desk, conversation)
        self._policy = policy
        self._files = files
        self._advice = advice

    @property
    def cause(self) -> Cause | None:
        """The cause of the cursor, or of the selected node, or else the first one."""
        causes = self.state.loaded.causes if self.state.loaded is not None else ()
        return cause_shown(self.state) or next(iter(causes), None)

    def action_cure(self, index: int) -> None:
        """Does one of the things that help against the cause."""
        cause = self.cause
        if cause is None:
            self._say_none()
        elif not cause.cures:
            self._advice.try_cures()
        elif index < len(cause.cures):
            self._do(cause, cause.cures[index])

    def action_cures(self) -> None:
        """Shows all that was tried against the cause; a letter does it."""
        cause, loaded = self.cause, self.state.loaded
        if cause is None or loaded is None:
            self._say_none()
            return
        if not cause.cures:
            self._advice.try_cures()
            return
        from trtdbg_ui.widgets.cure_dialog import CureDialog

        def chosen(index: int | None) -> None:
            if index is not None:
                self._do(cause, cause.cures[index])

        self.app.push_screen(CureDialog(loaded, cause), chosen)

    def show_tried(self) -> None:
        """Shows what was tried, or says that the time for it was over before."""
        cause, loaded = self.cause, self.state.loaded
        if cause is None or loaded is None:
            return
        if cause.cures and len(self.app.screen_stack) == 1:
            self.action_cures()
            return
        over = untried(loaded.report)
        self.app.tell(over or f"{key('cures')} shows what was tried.", title="Cures")

    def _say_none(self) -> None:
        if self.state.loaded is not None:
            self.app.tell("Nothing keeps an operator out of the engines.")

    def _do(self, cause: Cause, cure: Cure) -> None:
        if cure.kind is CureKind.NONE:
            self.app.tell(cure.say)
        elif cure.kind is CureKind.EDIT:
            self._edit(cause, cure)
        else:
            choice = self._choice(cure)
            if choice is None:
                self._copy(cure)
            else:
                settings, policy = choice
                self._policy.choose(policy, settings)

    def _choice(self, cure: Cure) -> Choice | None:
        """Returns the settings and the policy that were tried; None if they are in force."""
        settings, policy = here = self._policy.choice
        if cure.policy is None and cure.settings is None:
            return choice_typed(cure.type or "", here)
        found = cure.settings or settings, cure.policy or policy
        return found if found != here else None

    def _edit(self, cause: Cause, cure: Cure) -> None:
        """Opens the line in the editor, with what to type there copied."""
        if cause.nodes and self.state.node not in cause.nodes:
            self.state = at_node(self.state, cause.nodes[0]).changed(cause=self.state.cause)
        self._copy(cure)
        self._files.action_edit()
        again = f"{key('analyse-again')} reads the file again once it is exported anew."
        self.app.tell(again)

    def _copy(self, cure: Cure) -> None:
        text = cure.line or cure.type
        if text:
            self.app.copy_to_clipboard(text)
            self.app.tell(text, title="Copied")
        else:
            self.app.tell(cure.say)
