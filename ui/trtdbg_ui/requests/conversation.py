"""What is asked of the worker, and what its answers do to the screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Protocol

from msgspec.structs import replace
from textual.notifications import SeverityLevel

from trtdbg.analysis.numerics import headline
from trtdbg.analysis.summary import broken_end, build_line
from trtdbg.errors import CancelledError, ExitCode, TrtdbgError
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import BuildRecord, BuildStatus, Report
from trtdbg.worker.messages import (
    Analyze,
    Build,
    EngineBuilt,
    Log,
    LogLevel,
    Measure,
    Progress,
    Recalled,
    Reply,
    Reproduce,
    Weigh,
)
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.activity import Activity
from trtdbg_ui.model.edits import edited
from trtdbg_ui.model.failure import Failure
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.model.navigation import presenting
from trtdbg_ui.model.questions import Ask, choice_of
from trtdbg_ui.model.state import State
from trtdbg_ui.model.switching import PolicySwitch, tallies
from trtdbg_ui.requests.desk import Answer, Desk
from trtdbg_ui.requests.inbox import Inbox
from trtdbg_ui.text import Line, Tone, line

_FLASH_SECONDS = 1.5
_QUIET_SECONDS = {Timing.LATE: 2.0, Timing.UPSTREAM: 2.0, Timing.OFF: 2.0, Timing.EARLY: 15.0}
"""How long no key was pressed before a timing is analysed that nobody asked for."""


class RequestView(Protocol):
    """What a conversation needs of the app."""

    state: State
    """What is shown; a new one is shown at once."""

    def tell(
        self, message: str, *, title: str = "", severity: SeverityLevel = "information"
    ) -> None:
        """Says something that goes away by itself."""

    def add_logs(self, logs: Iterable[Log]) -> None:
        """Adds lines to the log."""

    def show_advice(self) -> None:
        """Shows what to do about refusals, or against causes, which somebody asked for."""

    def show_cures(self) -> None:
        """Shows what was tried against causes, which somebody asked for."""

    def take_recipes(self, request: Reproduce, report: Report | None, why_not: str) -> None:
        """Takes what reproducers are made of, or why there is none."""


class Requests:
    """Asks the desk for what the policy needs, and shows how each request ends."""

    def __init__(
        self, view: RequestView, desk: Desk, inbox: Inbox, clock: Callable[[], float]
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
        self._recalled: float | None = None
        """When the answer was made that comes now, if it was made before."""
        self._first_settings = desk.job.settings
        """What the model began with, unless somebody switched."""
        self._edit: Settings | None = None
        """The settings of a changed file that waits for what runs to end."""
        self._edited: Ask | None = None
        """The request that analyses a changed file."""

    # Questions.

    def foresee(self) -> None:
        """Shows a report that is known, or else what `begin` will ask for."""
        policy = self._view.state.policy
        known = self._desk.report(policy)
        if known is not None:
            self._present(known)
        elif not self._desk.read_only:
            request = Analyze(job=self._desk.job, policy=policy)
            self._change(activity=Activity.of(request, self._clock()))

    def begin(self) -> None:
        """Starts the worker and asks it, unless the report is known."""
        policy = self._view.state.policy
        if self._desk.report(policy) is None:
            self._desk.start()
            self._ask(policy)

    def switch(self, policy: TruncationPolicy, settings: Settings | None = None) -> None:
        """Goes to another policy; its report is shown as soon as it is known.

        Args:
            policy: The policy.
            settings: Compilation settings to go to with it; None keeps those in force.
        """
        self._desk.use(settings or self._view.state.settings)
        known = self._desk.report(policy)
        if known is None and self._desk.read_only:
            self._desk.use(self._view.state.settings)
            self._view.tell(
                f"A {self._desk.kind} holds one policy. Open the .pt2 to try others."
            )
            return
        state = self._view.state
        if state.loaded is None and state.failure is None:
            self._desk.use(state.settings)
            return
        self._change(policy=policy, settings=self._desk.job.settings, failure=None)
        if known is not None:
            self._present(known)
        self._ask(policy)

    def again(self) -> None:
        """Analyses the current policy again."""
        if self._desk.read_only:
            self._view.tell(f"This is a {self._desk.kind}: there is nothing to analyse again.")
            return
        if self._desk.asked_for is None:
            self._desk.forget()
        self._ask(self._view.state.policy)

    def take_edit(self, settings: Settings) -> None:
        """Analyses the model again, whose file has changed.

        The report shown stays until there is a new one. What runs is about the file as it was,
        and ends first.

        Args:
            settings: Compilation settings that the model now begins with.
        """
        self._change(outdated=self._view.state.loaded is not None)
        self._edit = settings
        if self._desk.running is None:
            self._ask_about_edit()

    def fail_edit(self, error: TrtdbgError) -> None:
        """Says why a changed file cannot be analysed; the report shown stays."""
        loaded = self._view.state.loaded is not None
        self._change(failure=Failure.of(error), outdated=loaded)

    def _ask_about_edit(self) -> None:
        if self._edit is None:
            return
        state, settings, self._edit = self._view.state, self._edit, None
        if state.settings != self._first_settings:
            # Somebody switched them.
            settings = state.settings
        else:
            self._first_settings = settings
        self._desk.drop_file()
        self._desk.use(settings)
        self._change(settings=settings, failure=None)
        self._ask(state.policy)
        self._edited = self._desk.running

    def build(self, engine: int | None = None) -> bool:
        """Starts to build engines and returns True, or says why it does not.

        Args:
            engine: Index of one engine; None builds all that are not built yet.
        """
        state = self._view.state
        if self._desk.read_only:
            kind = self._desk.kind
            self._view.tell(f"This is a {kind}: engines are built from the exported .pt2.")
            return False
        refusal = _why_no_build(state, engine)
        if refusal is not None or state.loaded is None:
            self._view.tell(refusal or "")
            return False
        engines = unbuilt(state.loaded.report) if engine is None else (engine,)
        return self.demand(
            Build(job=self._desk.job, policy=state.policy, engines=engines), "build"
        )

    def demand(self, request: Ask, what: str) -> bool:
        """Asks for more about the report shown and returns True, or says why it does not."""
        refusal = self.why_not_now(what)
        if refusal is not None:
            self._view.tell(refusal)
            return False
        self._desk.ask_next(request)
        self._change(activity=self._activity(), failure=None)
        return True

    def why_not_now(self, what: str) -> str | None:
        """Returns why the worker cannot be asked for more at the moment, None if it can."""
        if self._desk.read_only:
            return f"This is a {self._desk.kind}: there is nothing to {what}."
        if self._view.state.loaded is None or self._desk.asked_for is not None:
            return (
                f"The worker is busy; try again when it is done, or {key('cancel')} cancels."
            )
        return None

    def line_up(self, requests: Iterable[Ask]) -> None:
        """Asks for reports that nobody waits for."""
        self._desk.line_up(requests)
        self._change(activity=self._activity())

    def count_aside(self, quiet: float) -> None:
        """Has a timing analysed that is not known, for its number of engines in the bar.

        Nobody is kept waiting: one at a time, after some seconds without a key. `early`
        lowers the program anew, and comes last.

        Args:
            quiet: Seconds for which no key was pressed.
        """
        state, desk = self._view.state, self._desk
        if desk.read_only or state.loaded is None or desk.running is not None:
            return
        for timing, least in _QUIET_SECONDS.items():
            policy = replace(state.policy, timing=timing)
            unknown = timing not in tallies(state.policy, (k.report for k in desk.known()))
            if unknown and quiet >= least and (state.settings, policy) not in desk.errors:
                desk.ask_aside(policy)
                return

    def _ask(self, policy: TruncationPolicy) -> None:
        self._desk.ask(policy)
        activity = self._activity()
        if activity is not self._view.state.activity:
            self._change(activity=activity)

    # Answers.

    def hear(self) -> None:
        """Shows the progress and the log lines that have arrived."""
        taken = self._inbox.take()
        logs = [event for event in taken if isinstance(event, Log)]
        if logs:
            self._view.add_logs(logs)
        for event in taken:
            if isinstance(event, Recalled):
                self._recalled = event.made
        activity = self._view.state.activity
        if activity is None or self._desk.asked_for is not self._desk.running:
            return
        now = self._clock()
        for event in taken:
            if isinstance(event, Progress):
                activity = activity.advanced(event, now)
            elif isinstance(event, EngineBuilt):
                activity = activity.having_built(event)
        if activity is not self._view.state.activity:
            self._change(activity=activity)

    def settle(self, request: Ask, future: Answer) -> None:
        """Shows how a request ended, unless another runs by now."""
        self.hear()
        recalled, self._recalled = self._recalled, None
        if request is not self._desk.running:
            return
        if self._edit is not None:
            self._desk.drop_file()
        self._settle(request, future, recalled)
        self._ask_about_edit()

    def _settle(self, request: Ask, future: Answer, recalled: float | None) -> None:
        report, error = _outcome(future)
        if isinstance(request, Reproduce):
            self._desk.free()
            self._change(activity=self._activity())
            self._reproduced(request, report, error)
        elif report is not None:
            loaded = self._desk.take(request, report)
            self._desk.free()
            self._answered(request, loaded, recalled)
        elif error is None:
            self._desk.take_unfinished(request, self._finished(), cancelled=True)
            self._desk.free()
            self._cancelled(request)
        else:
            self._desk.take_unfinished(request, self._finished(), cancelled=False)
            self._desk.free()
            self._failed(request, Failure.of(error))

    def _answered(self, request: Ask, loaded: Loaded, recalled: float | None) -> None:
        is_edit = request is self._edited
        if is_edit and self._edit is None:
            self._edited = None
        if is_edit and self._is_shown(request) and self._view.state.loaded is not None:
            self._present_edit(loaded)
            return
        if not self._is_shown(request):
            # Somebody went on to another policy; this one waits for the way back.
            self._change(activity=self._activity())
            return
        if isinstance(request, Build):
            statuses = [engine.build.status for engine in loaded.report.engines]
            self._news(
                loaded, "Build", build_line(loaded.report), BuildStatus.FAILED in statuses
            )
        elif isinstance(request, Measure) and loaded.report.numerics is not None:
            words = headline(loaded.report.numerics)
            beyond = loaded.report.numerics.first_beyond is not None
            self._news(loaded, "Numbers", words, beyond)
        elif isinstance(request, Weigh):
            self._present(loaded, ())
            if request.cures:
                self._view.show_cures()
            else:
                self._view.show_advice()
        elif recalled is not None and self._view.state.loaded is None:
            self._present(loaded, line((recalled_words(recalled), Tone.DIM)))
        else:
            self._present(loaded)

    def _present_edit(self, loaded: Loaded) -> None:
        """Shows the analysis of a changed file, unless it only says what went wrong."""
        state = self._view.state
        end = broken_end(loaded.report)
        if end is not None and state.loaded and broken_end(state.loaded.report) is None:
            again = f"{key('analyse-again')} shows how far it came"
            failure = Failure(f"after the edit {end}", again, ExitCode.FAILED)
            self._change(activity=self._activity(), failure=failure)
            self._log_failure(failure)
            return
        self._view.state = edited(state, loaded, self._activity()).changed(
            outdated=self._edit is not None
        )

    def _reproduced(
        self, request: Reproduce, report: Report | None, error: BaseException | None
    ) -> None:
        """Hands on what reproducers are made of; the report shown stays as it is."""
        failure = Failure.of(error) if error is not None else None
        if failure is not None:
            self._log_failure(failure)
        why_not = failure.message if failure is not None else "cancelled"
        self._view.take_recipes(request, report, why_not)

    def _news(self, loaded: Loaded, title: str, words: str, bad: bool) -> None:
        self._present(loaded, line((words, Tone.BAD if bad else Tone.GOOD)))
        self._view.tell(words, title=title, severity="error" if bad else "information")

    def _cancelled(self, request: Ask) -> None:
        nouns = {Build: "build", Measure: "measurement", Weigh: "weighing"}
        what = nouns.get(type(request), "analysis")
        shown = self._view.state.loaded
        self._change(activity=self._activity())
        if shown is not None:
            self._say_what_is_shown(shown)
            known = self._desk.report(shown.report.policy)
            self._present(known or shown, line((f"{what} cancelled", Tone.WARN)))
        self._view.tell(f"The {what} was cancelled.", severity="warning")

    def _failed(self, request: Ask, failure: Failure) -> None:
        shown = self._view.state.loaded
        if not self._is_shown(request):
            # A row of the matrix, which tells it, or a policy that somebody went away from.
            self._desk.take_error(request, failure.message)
            self._change(activity=self._activity())
            return
        if shown is not None:
            self._say_what_is_shown(shown)
            loaded = self._desk.report(shown.report.policy)
            if loaded is not None and loaded is not shown:
                # Engines that were done before the end.
                self._present(loaded, ())
        self._change(activity=self._activity(), failure=failure)
        self._log_failure(failure)
        if shown is not None:
            self._view.tell(failure.message, title="Failed", severity="error")

    def _say_what_is_shown(self, shown: Loaded) -> None:
        """Lets the keys say again what the screen shows."""
        settings = shown.report.settings
        if self._view.state.settings == self._first_settings:
            self._first_settings = settings
        self._desk.use(settings)
        self._change(policy=shown.report.policy, settings=settings)

    def _log_failure(self, failure: Failure) -> None:
        told = failure.traceback or failure.message
        self._view.add_logs(
            Log(source="worker", level=LogLevel.ERROR, text=text) for text in told.splitlines()
        )

    # The state.

    def _present(self, loaded: Loaded, news: Line | None = None) -> None:
        state = presenting(self._view.state, loaded, self._activity(), news)
        if (
            isinstance(state.change, PolicySwitch)
            and state.change is not self._view.state.change
        ):
            state = state.changed(flash_until=self._clock() + _FLASH_SECONDS)
        self._view.state = state

    def _finished(self) -> dict[int, BuildRecord]:
        """Returns what became of the engines that the request was done with."""
        activity = self._view.state.activity
        return dict(activity.finished) if activity is not None else {}

    def _is_shown(self, request: Ask) -> bool:
        """Returns whether a request is about what the keys say."""
        state = self._view.state
        return choice_of(request) == (state.settings, state.policy)

    def _change(self, **changes: object) -> None:
        self._view.state = self._view.state.changed(**changes)

    def _activity(self) -> Activity | None:
        """Returns the activity that belongs to what runs now."""
        running, activity = self._desk.asked_for, self._view.state.activity
        if running is None:
            return None
        fresh = Activity.of(running, self._clock())
        if activity is None or activity.key != fresh.key:
            return fresh
        return activity


def recalled_words(made: float) -> str:
    """Returns what is said of a report that was made before.

    Args:
        made: When, in seconds since 1970.
    """
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(made))
    return f"from the cache, analysed {when}; {key('analyse-again')} analyses anew"


def unbuilt(report: Report) -> tuple[int, ...]:
    """Returns the engines that a build has something to do for."""
    built = BuildStatus.BUILT
    return tuple(e.index for e in report.engines if e.build.status is not built)


def _why_no_build(state: State, engine: int | None) -> str | None:
    if state.loaded is None or state.activity is not None:
        return (
            f"The worker is busy; press {key('build')} when it is done, "
            f"or {key('cancel')} to cancel."
        )
    engines = state.loaded.report.engines
    if not engines:
        return "There are no engines to build."
    over = f"{key('analyse-again')} starts over."
    if not unbuilt(state.loaded.report):
        return f"All engines are built. {over}"
    if engine is not None and engine not in unbuilt(state.loaded.report):
        return f"Engine {engine} is built. {over}"
    return None


def _outcome(
    future: Future[Reply],
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
