"""What the key of the matrix does, and the keys inside it."""

from __future__ import annotations

from collections.abc import Sequence

from trtdbg.policy import TruncationPolicy
from trtdbg.worker.messages import Analyze, Build
from trtdbg_ui.handlers.handler import ActionHandler
from trtdbg_ui.handlers.policy import Policy
from trtdbg_ui.model.questions import Ask
from trtdbg_ui.requests.conversation import Requests, unbuilt
from trtdbg_ui.requests.desk import Desk
from trtdbg_ui.shell import Panes


class Comparing(ActionHandler):
    """Compares policies, and builds what is asked for in the table."""

    def __init__(self, app: Panes, desk: Desk, conversation: Requests, policy: Policy) -> None:
        """Prepares a handler that switches by way of another one."""
        super().__init__(app, desk, conversation)
        self._policy = policy

    def action_matrix(self) -> None:
        """Compares all timings and policies, analysing those that are not known yet."""
        if self.state.loaded is None:
            return
        if self.desk.read_only:
            self.app.tell(
                f"A {self.desk.kind} holds one policy. Open the .pt2 to compare others."
            )
            return
        from trtdbg_ui.render.matrix import matrix_rows
        from trtdbg_ui.widgets.matrix import Matrix

        self.app.push_screen(Matrix(), self._chosen_in_matrix)
        self.desk.errors.clear()
        rows = matrix_rows(self.desk, self.state, self.app.clock())
        self.conversation.line_up(
            Analyze(job=self.desk.job, policy=row.policy) for row in rows if row.loaded is None
        )
        self.app.call_after_refresh(self.show)

    def show(self) -> None:
        """Shows the table as it is now, if it is open."""
        if len(self.app.screen_stack) < 2:
            return
        from trtdbg_ui.render.matrix import matrix_rows
        from trtdbg_ui.widgets.matrix import Matrix

        if isinstance(self.app.screen, Matrix):
            rows = matrix_rows(self.desk, self.state, self.app.clock())
            self.app.screen.show(rows, self.state.policy)

    def build(self, policies: Sequence[TruncationPolicy]) -> None:
        """Builds the engines of rows of the matrix, one row after the other."""
        requests: list[Ask] = []
        for policy in policies:
            loaded = self.desk.report(policy)
            engines = unbuilt(loaded.report) if loaded is not None else ()
            if engines:
                request = Build(job=self.desk.job, policy=policy, engines=engines)
                requests.append(request)
        if not requests:
            self.app.tell(
                "There are no engines left to build; what is not analysed has none yet."
            )
        self.conversation.line_up(requests)

    def stop(self) -> None:
        """Cancels what runs for the matrix, and what is still to run."""
        self.desk.cancel()
        self.show()

    def _chosen_in_matrix(self, policy: TruncationPolicy | None) -> None:
        self.desk.drop_line()
        if policy is not None:
            self._policy.choose(policy)
