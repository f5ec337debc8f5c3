"""What the key of advice does."""

from __future__ import annotations

from msgspec.structs import replace

from trtdbg.records import Suggestion
from trtdbg.worker.messages import Weigh
from trtdbg_ui.handlers.handler import ActionHandler
from trtdbg_ui.handlers.policy import Policy
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.requests.conversation import Requests
from trtdbg_ui.requests.desk import Desk
from trtdbg_ui.shell import Panes


class Advice(ActionHandler):
    """Shows what to do about refusals, and does it."""

    def __init__(self, app: Panes, desk: Desk, conversation: Requests, policy: Policy) -> None:
        """Prepares a handler that switches by way of another one."""
        super().__init__(app, desk, conversation)
        self._policy = policy

    def action_advise(self) -> None:
        """Shows what to do about refusals; asks the worker if nobody has yet."""
        loaded = self.state.loaded
        if loaded is None:
            return
        report = loaded.report
        if report.consequences is None and report.suggestion is None:
            request = Weigh(
                job=self.desk.job,
                policy=self.state.policy,
                consequences=True,
                suggestion=True,
            )
            self.conversation.demand(request, "weigh")
            return
        from trtdbg_ui.widgets.advice_dialog import AdviceDialog

        self.app.push_screen(AdviceDialog(report), self._take_suggestion)

    def try_cures(self) -> None:
        """Has what could help against each cause tried in this model."""
        request = Weigh(
            job=self.desk.job,
            policy=self.state.policy,
            consequences=False,
            cures=True,
        )
        self.conversation.demand(request, "try")

    def show_advice(self) -> None:
        """Shows the advice that was waited for, unless something else was opened meanwhile."""
        if len(self.app.screen_stack) > 1:
            self.app.tell(f"{key('advice')} shows what to do about refusals", title="Advice")
        else:
            self.action_advise()

    def _take_suggestion(self, suggestion: Suggestion | None) -> None:
        """Goes to the policy that was suggested, and to the operators it leaves to PyTorch."""
        if suggestion is None:
            return
        settings = self.state.settings
        if suggestion.torch_executed_ops:
            kept = suggestion.torch_executed_ops
            settings = replace(settings, torch_executed_ops=kept)
        if (settings, suggestion.policy) == self._policy.choice:
            self.app.tell("The suggested policy is the one in force.")
        else:
            self._policy.choose(suggestion.policy, settings)
