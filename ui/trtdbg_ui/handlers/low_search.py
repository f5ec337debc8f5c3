"""What the key of the search for a low precision does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import msgspec

from trtdbg.batch.low_search import Kept, SearchOverError
from trtdbg.batch.precision import Question, search
from trtdbg.errors import TrtdbgError
from trtdbg.policy import Precision, searched
from trtdbg.records.precision import LowRanking, LowTrial
from trtdbg.worker.messages import LowAnswer, LowQuestion
from trtdbg_ui.handlers.handler import ActionHandler
from trtdbg_ui.handlers.policy import Policy
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.searching import Searching
from trtdbg_ui.requests.conversation import Requests
from trtdbg_ui.requests.desk import Desk
from trtdbg_ui.shell import Panes


class LowSearching(ActionHandler):
    """Searches in a thread of its own, and shows in a dialog how far it is."""

    def __init__(self, app: Panes, desk: Desk, conversation: Requests, policy: Policy) -> None:
        """Prepares a handler that switches by way of another one."""
        super().__init__(app, desk, conversation)
        self._policy = policy
        self._run: _SearchRun | None = None

    def action_low_search(self) -> None:
        """Starts to search which operators must stay in float32, and shows it."""
        refusal = self.conversation.why_not_now("search")
        if refusal is not None:
            self.app.tell(refusal)
            return
        from trtdbg_ui.widgets.low_search_dialog import LowSearchDialog

        policy = self.state.policy
        if policy.precision is Precision.NONE:
            policy = msgspec.structs.replace(policy, precision=Precision.FLOAT16)
        job = self.desk.job
        question = Question(model=job.model, job=job, policy=searched(policy))
        run = _SearchRun(question, self.desk, lambda: self.app.call_later(self._show))
        self._run = run
        self.app.push_screen(LowSearchDialog(run.now), self._closed)
        threading.Thread(target=run, daemon=True).start()

    def _show(self) -> None:
        from trtdbg_ui.widgets.low_search_dialog import LowSearchDialog

        if isinstance(self.app.screen, LowSearchDialog) and self._run is not None:
            self.app.screen.take(self._run.now)

    def _closed(self, taken: bool | None) -> None:
        """Goes to the set that was found, or stops what runs."""
        run, self._run = self._run, None
        if run is None:
            return
        if run.now.runs:
            run.stop()
            self.app.tell(f"The search was stopped; {key('low-search')} begins anew.")
        elif taken and run.now.found is not None:
            self._policy.choose(run.now.found.policy)


class _SearchRun:
    """One search; called in a thread of its own, read from another."""

    def __init__(self, question: Question, desk: Desk, changed: Callable[[], object]) -> None:
        self._question = question
        self._desk = desk
        self._changed = changed
        self._stopped = threading.Event()
        self.now = Searching(question.policy.precision.value, question.rtol)
        """Replaced by the thread of the search only."""

    def stop(self) -> None:
        """Ends it after the evaluation that runs; from any thread."""
        self._stopped.set()

    def __call__(self) -> None:
        try:
            found = search(
                self._question, self._ask, is_over=self._stopped.is_set, seen=self._seen
            )
        except SearchOverError:
            # Nobody looks at it any more.
            return
        except TrtdbgError as error:
            self.now = replace(self.now, error=str(error))
        else:
            self.now = replace(self.now, found=found)
        self._changed()

    def _ask(self, request: LowQuestion) -> LowAnswer:
        if self._stopped.is_set():
            raise SearchOverError
        answer = self._desk.aside(request).result()
        assert isinstance(answer, LowAnswer)
        return answer

    def _seen(self, ranking: LowRanking, keep: Kept, trial: LowTrial) -> None:
        self.now = self.now.having_seen(ranking, keep, trial)
        self._changed()
