"""The app: one frozen state, replaced by every action and shown by the board."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.reactive import reactive
from textual.screen import ModalScreen, Screen
from textual.timer import Timer

from trtdbg.errors import CancelledError, ExitCode
from trtdbg.outputs.plain import one_line
from trtdbg.outputs.report import is_saved_report, read_report
from trtdbg.outputs.summary import build_line
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import BuildStatus, Environment, Report
from trtdbg.session.messages import Build, Job, Log, LogLevel, Progress
from trtdbg_ui.actions import ACTIONS
from trtdbg_ui.activity import Activity
from trtdbg_ui.desk import Answer, Ask, Desk, Worker
from trtdbg_ui.failure import Failure
from trtdbg_ui.inbox import Inbox
from trtdbg_ui.loaded import Loaded
from trtdbg_ui.render.command import command, saved_command
from trtdbg_ui.render.detail import validators
from trtdbg_ui.render.findings import explanation
from trtdbg_ui.render.help import help_lines
from trtdbg_ui.render.passes import neighbour
from trtdbg_ui.render.policy import Change, change, next_path, next_timing
from trtdbg_ui.render.text import Line, Tone, line
from trtdbg_ui.state import BOTTOM, Find, Pane, State
from trtdbg_ui.themes import DARK, DARK_TONES, LIGHT, LIGHT_TONES
from trtdbg_ui.widgets.board import Board
from trtdbg_ui.widgets.cursor_view import CursorView
from trtdbg_ui.widgets.dialog import Dialog
from trtdbg_ui.widgets.engine_list import EngineList
from trtdbg_ui.widgets.find_bar import FindBar
from trtdbg_ui.widgets.finding_list import FindingList
from trtdbg_ui.widgets.node_table import NodeTable
from trtdbg_ui.widgets.pass_list import PassList

_TICK_SECONDS = 0.2
"""How often running times are painted anew."""

MakeWorker = Callable[[Callable[[Progress | Log], None]], Worker]
"""Makes the worker's client, given what takes its progress and log lines."""


class TrtdbgApp(App[int]):
    """Shows one model under changing policies."""

    TITLE = "trtdbg"
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(a.keys, a.name, a.label, show=False, key_display=a.shown)
        for a in ACTIONS
        if a.name != "command_palette"
    ]

    state: reactive[State] = reactive(State(TruncationPolicy()), init=False)

    class Settled(Message):
        """A request ended, in whatever way."""

        def __init__(self, request: Ask, future: Answer) -> None:
            """Says which request, and the future that holds its end."""
            super().__init__()
            self.request = request
            self.future = future

    class Woken(Message):
        """There are events in the inbox."""

    def __init__(
        self,
        model: str,
        *,
        settings: Settings,
        policy: TruncationPolicy,
        target: str | None = None,
        probe_seconds: float = 60.0,
        make_worker: MakeWorker | None = None,
        reports: Iterable[Report] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares the app; nothing is started before the first frame.

        Args:
            model: Path of the program, or of the saved report.
            settings: Compilation settings in force.
            policy: The policy to begin with.
            target: Compute capability that engines are built for.
            probe_seconds: How long TensorRT may be asked about single nodes.
            make_worker: None for a saved report.
            reports: What is known from the start.
            clock: Seconds that only grow.
        """
        super().__init__()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self._inbox = Inbox(lambda: self.post_message(self.Woken()))
        self._worker = make_worker(self._inbox.put) if make_worker is not None else None
        self._job = Job(
            model=model, settings=settings, target=target, probe_seconds=probe_seconds
        )
        self._desk = Desk(
            self._job,
            self._worker,
            lambda request, future: self.post_message(self.Settled(request, future)),
            reports,
        )
        self._clock = clock
        self._ticker: Timer | None = None
        self.set_reactive(TrtdbgApp.state, State(policy))

    @property
    def exit_code(self) -> ExitCode:
        """0, or why nothing was ever shown."""
        if self.state.loaded is None and self.state.failure is not None:
            return self.state.failure.exit_code
        return ExitCode.CLEAN

    def compose(self) -> ComposeResult:
        """Yields the board."""
        job = self._job
        yield Board(job.model, job.settings, job.target, self._desk, id="board")

    def on_mount(self) -> None:
        """Shows the first frame, and only then starts the worker."""
        self._ticker = self.set_interval(_TICK_SECONDS, self._tick, pause=True)
        self._board.show(self.state, self._clock())
        self.call_after_refresh(self._begin)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Returns the colours of tones for themes that do not name them."""
        return DARK_TONES if self.current_theme.dark else LIGHT_TONES

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yields every action for the command palette."""
        del screen
        for action in ACTIONS:
            if action.name != "command_palette":
                title = f"{action.label[0].upper()}{action.label[1:]} ({action.shown})"
                run = partial(self.call_later, self.run_action, action.name)
                yield SystemCommand(title, action.help, run)
        yield SystemCommand("Theme", "Choose among all themes", self.action_change_theme)

    # What the state becomes is shown at once.

    def watch_state(self, old: State, new: State) -> None:
        """Shows a new state."""
        self._board.show(new, self._clock())
        if self._ticker is not None:
            if new.activity is None:
                self._ticker.pause()
            else:
                self._ticker.resume()
        if old.pane is not new.pane or (old.loaded is None and new.loaded is not None):
            self._focus_pane()

    @property
    def _board(self) -> Board:
        return self.screen_stack[0].query_one(Board)

    def _change(self, **changes: object) -> None:
        """Replaces fields of the state; the hits of the search follow the rows."""
        state = replace(self.state, **changes)  # type: ignore[arg-type]
        rows = state.rows
        if rows is not self.state.rows or state.find is not self.state.find:
            pattern = state.find.pattern if state.find else None
            hits = rows.search(pattern) if rows is not None and pattern is not None else ()
            state = replace(state, hits=hits)
        self.state = state

    def _focus_pane(self) -> None:
        widget = self._board.pane(self.state.pane)
        if self.state.loaded is not None or self.state.pane is Pane.LOG:
            self.screen_stack[0].set_focus(widget)

    def _tick(self) -> None:
        self._board.show_clock(self._clock())

    # The worker.

    def _begin(self) -> None:
        known = self._desk.report(self.state.policy)
        if known is not None:
            self._present(known)
            return
        if self._worker is not None:
            self._worker.start()
        self._ask(self.state.policy)

    def _ask(self, policy: TruncationPolicy) -> None:
        self._desk.ask(policy)
        self._change(activity=self._activity())

    def _activity(self) -> Activity | None:
        """Returns the activity that belongs to what runs now."""
        running, activity = self._desk.running, self.state.activity
        if running is None:
            return None
        building = isinstance(running, Build)
        if activity is None or (activity.policy, activity.building) != (
            running.policy,
            building,
        ):
            return Activity(running.policy, self._clock(), building)
        return activity

    @on(Woken)
    def _read_inbox(self) -> None:
        taken = self._inbox.take()
        logs = [event for event in taken if isinstance(event, Log)]
        if logs:
            self._board.add_logs(logs)
        activity = self.state.activity
        if activity is None:
            return
        now = self._clock()
        for event in taken:
            if isinstance(event, Progress):
                activity = activity.advanced(event, now)
        if activity is not self.state.activity:
            self._change(activity=activity)

    @on(Settled)
    def _settle(self, settled: Settled) -> None:
        request, future = settled.request, settled.future
        if request is not self._desk.running:
            return
        self._read_inbox()
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
        if request.policy != self.state.policy:
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
        self._tell(words, title="Build", severity="error" if failed else "information")

    def _cancelled(self, request: Ask) -> None:
        what = "build" if isinstance(request, Build) else "analysis"
        shown = self.state.loaded
        self._change(activity=self._activity())
        if shown is not None:
            known = self._desk.report(shown.report.policy)
            self._change(policy=shown.report.policy)
            self._present(known or shown, line((f"{what} cancelled", Tone.WARN)))
        self._tell(f"The {what} was cancelled.", severity="warning")

    def _failed(self, request: Ask, failure: Failure) -> None:
        shown = self.state.loaded
        policy = self.state.policy
        if shown is not None and request.policy == policy:
            # The keys say again what the screen shows.
            policy = shown.report.policy
        self._change(activity=self._activity(), failure=failure, policy=policy)
        if failure.traceback:
            self._board.add_logs(
                Log(source="worker", level=LogLevel.ERROR, text=text)
                for text in failure.traceback.splitlines()
            )
        if shown is not None:
            self._tell(failure.message, title="Failed", severity="error")

    def _present(self, loaded: Loaded, news: Line | None = None) -> None:
        """Shows a report; place and node stay where they were if they still exist."""
        state = self.state
        place = _same_place(state.loaded, loaded, state.place)
        rows = loaded.rows(place, state.hide_unchanged)
        node = state.node
        if rows.names and (node is None or node not in rows.position):
            node = rows.names[rows.start()]
        self._change(
            loaded=loaded,
            place=place,
            node=node,
            change=_difference(state.loaded, loaded) if news is None else news,
            failure=None,
            activity=self._activity(),
        )

    # Policy.

    def action_timing(self, step: int) -> None:
        """Switches to the next or previous timing."""
        self._switch(next_timing(self.state.policy, step))

    def action_path(self, path: str, step: int) -> None:
        """Switches what is narrowed on inputs, constants or computed values."""
        self._switch(next_path(self.state.policy, path, step))

    def action_again(self) -> None:
        """Analyses the current policy again."""
        if self._desk.read_only:
            self._tell("This is a saved report: there is nothing to analyse again.")
            return
        if self._desk.running is None:
            self._desk.forget()
        self._ask(self.state.policy)

    def _switch(self, policy: TruncationPolicy) -> None:
        known = self._desk.report(policy)
        if known is None and self._desk.read_only:
            self._tell("A saved report holds one policy. Open the .pt2 to try others.")
            return
        if self.state.loaded is None and self.state.failure is None:
            return
        self._change(policy=policy, failure=None)
        if known is not None:
            self._present(known)
        self._ask(policy)

    # Passes and nodes.

    def action_pass(self, step: int, telling: bool) -> None:
        """Steps to another pass."""
        state = self.state
        if state.loaded is not None:
            report, hide = state.loaded.report, state.hide_unchanged
            self._go_to_place(
                neighbour(report, state.place, step, telling=telling, hide_unchanged=hide)
            )

    def action_result(self) -> None:
        """Goes back to what comes out of all passes."""
        if self.state.loaded is not None:
            self._go_to_place(None)

    def action_unchanged(self) -> None:
        """Hides or shows what passes left unchanged."""
        if self.state.loaded is not None:
            self._go_to_place(self.state.place, not self.state.hide_unchanged)

    def _go_to_place(self, place: int | None, hide_unchanged: bool | None = None) -> None:
        state = self.state
        assert state.loaded is not None
        hide = state.hide_unchanged if hide_unchanged is None else hide_unchanged
        rows = state.loaded.rows(place, hide)
        node = state.node
        if rows.names and node not in rows.position:
            node = rows.names[rows.start()]
        self._change(place=place, hide_unchanged=hide, node=node)

    def _go_to_node(self, name: str) -> None:
        """Selects a node, in the result if the pass shown does not have it."""
        rows = self.state.rows
        if rows is not None and name not in rows.position:
            self._change(place=None)
            rows = self.state.rows
        if rows is None or name not in rows.position:
            self._tell(f"{name} is not a node of this graph.", severity="warning")
            return
        pane = self.state.pane if self.state.pane is not Pane.PASSES else Pane.NODES
        self._change(node=name, pane=pane)

    def _go_to_row(self, rows: Iterable[int], none: str) -> None:
        """Selects the first of some rows, or says that there is none."""
        row = next(iter(rows), None)
        table = self.state.rows
        if row is None or table is None:
            self._tell(none)
        else:
            self._change(node=table.names[row])

    def action_problem(self, step: int) -> None:
        """Selects the next node that is left to PyTorch or has a finding."""
        state = self.state
        if state.loaded is None or state.rows is None:
            return
        is_problem = state.loaded.is_problem
        names = state.rows.names
        rows = (i for i in _around(len(names), state.row, step) if is_problem(names[i]))
        self._go_to_row(rows, "No node is left to PyTorch or has a finding.")

    def action_find(self) -> None:
        """Opens the search line."""
        if self.state.rows is None:
            return
        if self.state.find is None:
            self._change(find=Find())
        self._board.query_one(FindBar).edit()

    def action_hit(self, step: int) -> None:
        """Selects the next hit of the search."""
        state = self.state
        if state.find is None or state.rows is None:
            self._tell("Press / to search first.")
            return
        hits = frozenset(state.hits)
        rows = (i for i in _around(len(state.rows.names), state.row, step) if i in hits)
        self._go_to_row(rows, "Nothing found.")

    @on(FindBar.Typed)
    def _search(self, typed: FindBar.Typed) -> None:
        if self.state.find is None:
            return
        self._change(find=Find.of(typed.text))
        state = self.state
        if state.hits and state.rows is not None:
            hit = next((hit for hit in state.hits if hit >= state.row), state.hits[0])
            self._change(node=state.rows.names[hit])

    @on(FindBar.Entered)
    def _searched(self) -> None:
        if self.state.find is not None and not self.state.find.text:
            self._close_find()
        self._change(pane=Pane.NODES)
        self._focus_pane()

    def _close_find(self) -> None:
        self._change(find=None)
        self._board.query_one(FindBar).clear()
        self._focus_pane()

    # Pages.

    def action_help(self) -> None:
        """Shows the help page."""
        self._open("Help", help_lines, "question_mark")

    def action_explain(self) -> None:
        """Explains the findings of the selected node."""
        state = self.state
        if state.loaded is None or state.node is None:
            return
        found = state.loaded.findings_of.get(state.node, ())
        if not found:
            self._tell(f"{state.node} has no findings; f goes to the next node that has.")
            return
        self._open(f"Findings of {state.node}", partial(explanation, found), "e")

    def action_validators(self) -> None:
        """Shows all validators of the selected node."""
        state = self.state
        node = state.loaded.nodes.get(state.node or "") if state.loaded else None
        if state.loaded is None or state.node is None:
            return
        if node is None:
            self._tell(f"{state.node} is not in the lowered graph: no validator sees it.")
            return
        make = partial(validators, state.loaded, node)
        self._open(f"Validators of {node.name}", make, "v")

    def _open(self, title: str, make: Callable[[int], list[Line]], key: str) -> None:
        self.push_screen(Dialog(title, make, key))

    # Engines.

    def action_build(self) -> None:
        """Builds all engines."""
        state = self.state
        if self._desk.read_only:
            self._tell("This is a saved report: engines are built from a .pt2.")
        elif state.loaded is None or state.activity is not None:
            self._tell("The worker is busy; press b when it is done, or esc to cancel.")
        elif not state.loaded.report.engines:
            self._tell("There are no engines to build.")
        elif all(e.build.status is BuildStatus.BUILT for e in state.loaded.report.engines):
            self._tell("All engines are built. ctrl+r starts over.")
        else:
            self._desk.build(state.policy)
            pane = state.pane
            if not self._board.pane(Pane.ENGINES).display:
                pane = Pane.ENGINES if pane in BOTTOM or self.size.height < 32 else pane
            self._change(
                activity=self._activity(), bottom=Pane.ENGINES, pane=pane, failure=None
            )

    def action_leave(self) -> None:
        """Closes the search, or else cancels what runs, or else goes to the node table."""
        if self.state.find is not None:
            self._close_find()
        elif self.state.activity is not None:
            self._desk.cancel()
        elif self.state.failure is not None and self.state.loaded is not None:
            self._change(failure=None)
        else:
            self.action_pane(Pane.NODES.value)

    # The screen.

    def action_pane(self, name: str) -> None:
        """Gives the keyboard to a pane, and shows it if it is not."""
        pane = Pane(name)
        if self.state.loaded is None and pane is not Pane.LOG:
            return
        bottom = pane if pane in BOTTOM else self.state.bottom
        self._change(pane=pane, bottom=bottom)
        self._focus_pane()

    def action_log(self) -> None:
        """Shows the log, or goes back from it."""
        if self.state.pane is not Pane.LOG:
            self.action_pane(Pane.LOG.value)
            return
        self._change(pane=Pane.NODES, bottom=Pane.ENGINES)

    def action_focus_next(self) -> None:
        """Goes to the next pane, shown or not."""
        self._step_pane(1)

    def action_focus_previous(self) -> None:
        """Goes to the previous pane, shown or not."""
        self._step_pane(-1)

    def _step_pane(self, step: int) -> None:
        if isinstance(self.screen, ModalScreen):
            return
        panes = list(Pane)
        here = panes.index(self.state.pane)
        self.action_pane(panes[(here + step) % len(panes)].value)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Notes which pane was given the keyboard by the mouse."""
        pane = self._board.pane_of(event.widget)
        if pane is not None and pane is not self.state.pane:
            self._change(pane=pane, bottom=pane if pane in BOTTOM else self.state.bottom)

    def _tell(
        self, message: str, *, title: str = "", severity: SeverityLevel = "information"
    ) -> None:
        """Shows a toast; what a model's names hold is text and never markup."""
        self.notify(one_line(message), title=title, severity=severity, markup=False)

    def action_theme(self) -> None:
        """Switches between light and dark."""
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    def action_copy(self) -> None:
        """Copies the command line that shows this again."""
        state = self.state
        text = (
            saved_command(self._job.model)
            if self._desk.read_only
            else command(self._job, state.policy)
        )
        self.copy_to_clipboard(text)
        self._tell(text, title="Copied")

    async def action_quit(self) -> None:
        """Ends the app."""
        self.exit(self.exit_code)

    @on(CursorView.Moved)
    def _moved(self, moved: CursorView.Moved) -> None:
        view = moved.view
        if isinstance(view, PassList):
            self._go_to_place(view.place_at(moved.row))
        elif isinstance(view, NodeTable) and self.state.rows is not None:
            self._change(node=self.state.rows.names[moved.row])

    @on(CursorView.Chosen)
    def _chosen(self, chosen: CursorView.Chosen) -> None:
        view, row = chosen.view, chosen.row
        if isinstance(view, PassList):
            self.action_pane(Pane.NODES.value)
        elif isinstance(view, NodeTable):
            self.action_pane(Pane.DETAIL.value)
        elif isinstance(view, EngineList | FindingList):
            name = _node_of(view, row)
            if name is not None:
                self._go_to_node(name)
                self.action_pane(Pane.NODES.value)


def _node_of(view: EngineList | FindingList, row: int) -> str | None:
    if isinstance(view, EngineList):
        return view.node_at(row)
    finding = view.finding_at(row)
    return finding.node if finding else None


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


def _difference(old: Loaded | None, new: Loaded) -> Change | Line:
    """Returns what the switch from one policy to another changed."""
    if old is None or old.report.policy == new.report.policy:
        return ()
    return change(old.report, new.report)


def _same_place(old: Loaded | None, new: Loaded, place: int | None) -> int | None:
    """Returns where the selected pass stands in another report; None if it is not there."""
    if old is None or place is None:
        return None
    record = old.report.passes[place]
    passes = new.report.passes
    same = [
        i for i, p in enumerate(passes) if (p.phase, p.name) == (record.phase, record.name)
    ]
    # A pass can run twice: the one at the same place is meant, if there is one.
    return place if place in same else next(iter(same), None)


def _around(number: int, start: int, step: int) -> Iterable[int]:
    """Yields all rows once, from the one after `start` on in the direction of `step`."""
    for distance in range(1, number + 1):
        yield (start + step * distance) % number


def run(
    model: str,
    *,
    settings: Settings,
    policy: TruncationPolicy,
    target: str | None = None,
    probe_seconds: float = 60.0,
) -> int:
    """Runs the UI on a .pt2 file, or read-only on a saved report, and returns the exit code.

    Raises:
        TrtdbgError: a saved report that cannot be read; or what kept the UI from ever showing
            anything but this error, so that it still stands in the terminal after `q`.
    """
    if is_saved_report(model):
        report = read_report(model)
        return _run(
            TrtdbgApp(
                model,
                settings=report.settings,
                policy=report.policy,
                target=target,
                reports=(report,),
            )
        )
    from trtdbg.session.client import Client

    clients: list[Client] = []

    def make_worker(on_event: Callable[[Progress | Log], None]) -> Client:
        clients.append(Client(on_event))
        return clients[0]

    app = TrtdbgApp(
        model,
        settings=settings,
        policy=policy,
        target=target,
        probe_seconds=probe_seconds,
        make_worker=make_worker,
    )
    try:
        return _run(app)
    finally:
        clients[0].close()


def _run(app: TrtdbgApp) -> int:
    code = app.run()
    failure = app.state.failure
    if app.state.loaded is None and failure is not None and failure.error is not None:
        raise failure.error
    # None means that Textual ended the app on an exception, which it has printed.
    return int(ExitCode.BUG if code is None else code)
