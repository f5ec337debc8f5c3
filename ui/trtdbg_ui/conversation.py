"""What is asked of the worker, and what its answers do to the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Protocol

from textual.notifications import SeverityLevel

from trtdbg.errors import CancelledError
from trtdbg.outputs.summary import build_line
from trtdbg.policy import TruncationPolicy
from trtdbg.records import BuildStatus, Environment, Report
from trtdbg.session.messages import Build, Log, LogLevel, Progress
from trtdbg_ui.activity import Activity
from trtdbg_ui.desk import Answer, Ask, Desk
from trtdbg_ui.failure import Failure
from trtdbg_ui.inbox import Inbox
from trtdbg_ui.keymap import key
from trtdbg_ui.loaded import Loaded
from trtdbg_ui.navigation import presenting
from trtdbg_ui.render.text import Line, Tone, line
from trtdbg_ui.state import State


class View(Protocol):
    """What a conversation needs of the app."""

    state: State
    """What is shown; a new one is shown at once."""

    def tell(
        self, message: str, *, title: str = "", severity: SeverityLevel = "information"
    ) -> None:
        """Says something that goes away by itself."""

    def add_logs(self, logs: Iterable[Log]) -> None:
        """Adds lines to the log."""


class Conversation:
    """Asks the desk for what the policy needs, and shows how each request ends."""

    def __init__(
        self, view: View, desk: Desk, inbox: Inbox, clock: Callable[[], float]
    ) -> None:
        """Prepares a conversation; nothing is asked before `begin`.

        Args:
            view: Where answers are shown.
            desk: Who is asked.
            inbox: Where the worker's progress and log lines arrive.
            clock: Seconds that only grow.
        """
        self._view = view
        self._desk = desk
        self._inbox = inbox
        self._clock = clock

    # Questions.

    def begin(self) -> None:
        """Shows the report under the first policy, or starts the worker and asks for it."""
        policy = self._view.state.policy
        known = self._desk.report(policy)
        if known is not None:
            self._present(known)
            return
        self._desk.start()
        self._ask(policy)

    def switch(self, policy: TruncationPolicy) -> None:
        """Goes to another policy; its report is shown as soon as it is known."""
        known = self._desk.report(policy)
        if known is None and self._desk.read_only:
            self._view.tell("A saved report holds one policy. Open the .pt2 to try others.")
            return
        state = self._view.state
        if state.loaded is None and state.failure is None:
            return
        self._change(policy=policy, failure=None)
        if known is not None:
            self._present(known)
        self._ask(policy)

    def again(self) -> None:
        """Analyses the current policy again."""
        if self._desk.read_only:
            self._view.tell("This is a saved report: there is nothing to analyse again.")
            return
        if self._desk.running is None:
            self._desk.forget()
        self._ask(self._view.state.policy)

    def build(self) -> bool:
        """Starts to build all engines and returns True, or says why it does not."""
        state = self._view.state
        refusal = _why_no_build(state, self._desk.read_only)
        if refusal is not None:
            self._view.tell(refusal)
            return False
        self._desk.build(state.policy)
        self._change(activity=self._activity(), failure=None)
        return True

    def _ask(self, policy: TruncationPolicy) -> None:
        self._desk.ask(policy)
        self._change(activity=self._activity())

    # Answers.

    def hear(self) -> None:
        """Shows the progress and the log lines that have arrived."""
        taken = self._inbox.take()
        logs = [event for event in taken if isinstance(event, Log)]
        if logs:
            self._view.add_logs(logs)
        activity = self._view.state.activity
        if activity is None:
            return
        now = self._clock()
        for event in taken:
            if isinstance(event, Progress):
                activity = activity.advanced(event, now)
        if activity is not self._view.state.activity:
            self._change(activity=activity)

    def settle(self, request: Ask, future: Answer) -> None:
        """Shows how a request ended, unless another runs by now."""
        if request is not self._desk.running:
            return
        self.hear()
        report, error = _outcome(future)
        if report is not None:
            loaded = self._desk.take(request, report)
            self._desk.free()
            self._answered(request, loaded)
        elif error is None:
            self._desk.take_cancelled(request)
            self._desk.free()
            self._cancelled(request)
        else:
            self._desk.free()
            self._failed(request, Failure.of(error))

    def _answered(self, request: Ask, loaded: Loaded) -> None:
        if request.policy != self._view.state.policy:
            # Somebody went on to another policy; this one waits for the way back.
            self._change(activity=self._activity())
            return
        if not isinstance(request, Build):
            self._present(loaded)
            return
        failed = any(
            engine.build.status is BuildStatus.FAILED for engine in loaded.report.engines
        )
        words = build_line(loaded.report)
        self._present(loaded, line((words, Tone.BAD if failed else Tone.GOOD)))
        self._view.tell(words, title="Build", severity="error" if failed else "information")

    def _cancelled(self, request: Ask) -> None:
        what = "build" if isinstance(request, Build) else "analysis"
        shown = self._view.state.loaded
        self._change(activity=self._activity())
        if shown is not None:
            known = self._desk.report(shown.report.policy)
            self._change(policy=shown.report.policy)
            self._present(known or shown, line((f"{what} cancelled", Tone.WARN)))
        self._view.tell(f"The {what} was cancelled.", severity="warning")

    def _failed(self, request: Ask, failure: Failure) -> None:
        shown = self._view.state.loaded
        policy = self._view.state.policy
        if shown is not None and request.policy == policy:
            # The keys say again what the screen shows.
            policy = shown.report.policy
        self._change(activity=self._activity(), failure=failure, policy=policy)
        if failure.traceback:
            self._view.add_logs(
                Log(source="worker", level=LogLevel.ERROR, text=text)
                for text in failure.traceback.splitlines()
            )
        if shown is not None:
            self._view.tell(failure.message, title="Failed", severity="error")

    # The state.

    def _present(self, loaded: Loaded, news: Line | None = None) -> None:
        self._view.state = presenting(self._view.state, loaded, self._activity(), news)

    def _change(self, **changes: object) -> None:
        self._view.state = self._view.state.changed(**changes)

    def _activity(self) -> Activity | None:
        """Returns the activity that belongs to what runs now."""
        running, activity = self._desk.running, self._view.state.activity
        if running is None:
            return None
        building = isinstance(running, Build)
        if activity is None or (activity.policy, activity.building) != (
            running.policy,
            building,
        ):
            return Activity(running.policy, self._clock(), building)
        return activity


def _why_no_build(state: State, read_only: bool) -> str | None:
    if read_only:
        return "This is a saved report: engines are built from a .pt2."
    if state.loaded is None or state.activity is not None:
        return (
            f"The worker is busy; press {key('build')} when it is done, "
            f"or {key('cancel')} to cancel."
        )
    engines = state.loaded.report.engines
    if not engines:
        return "There are no engines to build."
    if all(engine.build.status is BuildStatus.BUILT for engine in engines):
        return f"All engines are built. {key('analyse-again')} starts over."
    return None


def _outcome(
    future: Future[Environment | Report],
) -> tuple[Report | None, BaseException | None]:
    """Returns the report or the error of an ended request; neither if it was cancelled."""
    if future.cancelled():
        return None, None
    error = future.exception()
    if isinstance(error, CancelledError):
        return None, None
    if error is not None:
        return None, error
    report = future.result()
    assert isinstance(report, Report)
    return report, None
