"""The app: what the keys do to the state, and how the UI begins and ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.message import Message

from trtdbg.errors import ExitCode, TrtdbgError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Report
from trtdbg.viewing import WatchedFile
from trtdbg.worker.messages import Access, Job, News, Reproduce
from trtdbg_ui.handlers.advice import Advice
from trtdbg_ui.handlers.cures import Cures
from trtdbg_ui.handlers.engines import Engines
from trtdbg_ui.handlers.files import Files
from trtdbg_ui.handlers.low_search import LowSearching
from trtdbg_ui.handlers.matrix import Comparing
from trtdbg_ui.handlers.pages import Pages
from trtdbg_ui.handlers.policy import Policy
from trtdbg_ui.handlers.reproducing import Reproducing
from trtdbg_ui.handlers.tables import Tables
from trtdbg_ui.handlers.walking import Walking
from trtdbg_ui.keys.keymap import Keymap
from trtdbg_ui.model.navigation import (
    at_node,
    at_place,
)
from trtdbg_ui.model.questions import Ask
from trtdbg_ui.model.state import Pane, State
from trtdbg_ui.render.tabs import view_named
from trtdbg_ui.requests.conversation import Requests
from trtdbg_ui.requests.desk import Answer, AskedWorker, Desk
from trtdbg_ui.requests.inbox import Inbox
from trtdbg_ui.shell import Panes
from trtdbg_ui.widgets.board import Board
from trtdbg_ui.widgets.cause_list import CauseList
from trtdbg_ui.widgets.cursor_view import CursorView
from trtdbg_ui.widgets.engine_list import EngineList
from trtdbg_ui.widgets.find_bar import FindBar
from trtdbg_ui.widgets.finding_list import FindingList
from trtdbg_ui.widgets.node_table import NodeTable
from trtdbg_ui.widgets.pass_list import PassList
from trtdbg_ui.widgets.place_list import PlaceList
from trtdbg_ui.widgets.text_view import TextView

if TYPE_CHECKING:
    from trtdbg_ui.widgets.matrix import Matrix

MakeWorker = Callable[[Callable[[News], None]], AskedWorker]
"""Makes the worker's client, given what takes what it tells while it works."""

_PLAIN_ACCESS = Access()
_WATCH_SECONDS = 0.4
"""How often the file of a watched model is looked at."""
_LOOK_SECONDS = 1.0
"""How often it is looked whether the worker has time for what nobody waits for."""
_ORPHAN_SECONDS = 1.0
"""How often an app in a browser looks whether its server still lives."""


class TrtdbgApp(Panes):
    """Shows one model under changing policies."""

    class RequestEnded(Message):
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
        access: Access = _PLAIN_ACCESS,
        make_worker: MakeWorker | None = None,
        reports: Iterable[Report] = (),
        clock: Callable[[], float] = time.monotonic,
        keymap: Keymap | None = None,
        watched: WatchedFile | None = None,
    ) -> None:
        """Prepares the app; nothing is started before the first frame.

        Args:
            model: Path of the program, or of the saved report.
            settings: Compilation settings in force.
            policy: The policy to begin with.
            target: Compute capability that engines are built for.
            probe_seconds: How long TensorRT may be asked about single nodes.
            access: How far the file is trusted, and what the worker may take.
            make_worker: None for a saved report.
            reports: What is known from the start.
            clock: Seconds that only grow.
            keymap: Which key does what; None is as built in.
            watched: Says when the model changes on disk; None does not look.
        """
        super().__init__(policy, settings, clock, keymap or Keymap())
        self._last_input = clock()
        inbox = Inbox(lambda: self.post_message(self.Woken()))
        worker = make_worker(inbox.put) if make_worker is not None else None
        self._job = Job(
            model=model,
            settings=settings,
            target=target,
            probe_seconds=probe_seconds,
            access=access,
        )
        self._desk = Desk(
            self._job,
            worker,
            lambda request, future: self.post_message(self.RequestEnded(request, future)),
            reports,
        )
        self._conversation = Requests(self, self._desk, inbox, clock)
        self._watched = watched
        own = self, self._desk, self._conversation
        self.policy = Policy(*own)
        self.tables = Tables(*own)
        self.walking = Walking(*own)
        self.comparing = Comparing(*own, self.policy)
        self.advice = Advice(*own, self.policy)
        files = Files(*own)
        self.cures = Cures(*own, self.policy, files, self.advice)
        self.reproducing = Reproducing(*own)
        self.take_actions(
            self.policy,
            self.tables,
            self.walking,
            self.comparing,
            self.advice,
            self.reproducing,
            Engines(*own),
            LowSearching(*own, self.policy),
            Pages(*own),
            files,
            self.cures,
        )

    def compose(self) -> ComposeResult:
        """Yields the board."""
        job = self._job
        yield Board(job.model, job.target, self._desk, id="board")

    def on_mount(self) -> None:
        """Shows the first frame, and only then starts the worker."""
        self._conversation.foresee()
        self._show_first()
        self.call_after_refresh(self._conversation.begin)
        if self._watched is not None:
            self.set_interval(_WATCH_SECONDS, self.look_at_file)
        self.set_interval(_LOOK_SECONDS, self._count_aside)
        if self.is_web:
            server = os.getppid()
            self.set_interval(_ORPHAN_SECONDS, lambda: self._end_without(server))

    def look_at_file(self) -> None:
        """Analyses the model again if its file has changed and is whole."""
        if self._watched is None or not self._watched.changed():
            return
        try:
            settings = self._watched.settings()
        except TrtdbgError as error:
            self._conversation.fail_edit(error)
            return
        self._conversation.take_edit(settings)

    async def on_event(self, event: events.Event) -> None:
        """Notes when the user last did something."""
        if isinstance(event, events.Key | events.MouseDown):
            self._last_input = self.clock()
        await super().on_event(event)

    def _count_aside(self) -> None:
        if len(self.screen_stack) == 1:
            self._conversation.count_aside(self.clock() - self._last_input)

    def _end_without(self, server: int) -> None:
        """Ends an app in a browser whose server was killed."""
        if os.getppid() != server:
            self.exit(ExitCode.INTERRUPTED)

    def watch_state(self, old: State, new: State) -> None:
        """Shows a new state, in the table of policies too if that is open."""
        super().watch_state(old, new)
        self.comparing.show()

    def _tick(self) -> None:
        super()._tick()
        self.comparing.show()

    def show_advice(self) -> None:
        """Shows the advice that somebody asked for."""
        self.advice.show_advice()

    def show_cures(self) -> None:
        """Says where what was tried stands, which somebody asked for."""
        self.cures.show_tried()

    def take_recipes(self, request: Reproduce, report: Report | None, why_not: str) -> None:
        """Hands on what reproducers are made of, or why there is none."""
        self.reproducing.take_recipes(request, report, why_not)

    def on_matrix_wanted(self, wanted: Matrix.Wanted) -> None:
        """Builds the engines of rows of the matrix."""
        self.comparing.build(wanted.policies)

    def on_matrix_stopped(self) -> None:
        """Cancels what runs for the matrix."""
        self.comparing.stop()

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing more is to be shown by itself."""
        shown = self.state.loaded is not None or self.state.failure is not None
        from trtdbg_ui.widgets.repro_dialog import ReproDialog

        waits = isinstance(self.screen, ReproDialog) and self.screen.busy
        idle = self._desk.running is None and self.state.activity is None
        return shown and idle and not waits

    def abandon(self) -> None:
        """Kills the worker in the midst of what it does."""
        self._desk.cancel()

    # The worker.

    @on(Woken)
    def _hear(self) -> None:
        self._conversation.hear()

    @on(RequestEnded)
    def _settle(self, settled: RequestEnded) -> None:
        self._conversation.settle(settled.request, settled.future)

    def action_leave(self) -> None:
        """Closes the search, or else cancels what runs, or else goes to the node table."""
        if self.state.find is not None:
            self.walking.close_find()
        elif self.state.activity is not None:
            self._desk.cancel()
        elif self.state.failure is not None and self.state.loaded is not None:
            self.change(failure=None)
        else:
            self.action_view(self.state.main.value)

    # Policy.

    def action_again(self) -> None:
        """Analyses the current policy again."""
        self._conversation.again()

    @on(FindBar.Typed)
    def _search(self, typed: FindBar.Typed) -> None:
        self.walking.search(typed.text)

    @on(FindBar.Entered)
    def _searched(self) -> None:
        self.walking.searched()

    # The screen.

    @on(CursorView.Moved)
    def _moved(self, moved: CursorView.Moved) -> None:
        view = moved.view
        if isinstance(view, CauseList):
            self._at_cause(view, moved.row)
        elif isinstance(view, PlaceList):
            self._at_row_of(view, moved.row)
        elif isinstance(view, PassList):
            self.state = at_place(self.state, view.place_at(moved.row))
        elif isinstance(view, NodeTable) and self.state.rows is not None:
            self.change(node=self.state.rows.names[moved.row], cause=None)

    @on(TextView.Clicked)
    def _clicked(self, clicked: TextView.Clicked) -> None:
        """Goes to the node whose name was clicked in the details, or as a link on a page.

        The policy bar switches.
        """
        state = self.state
        if clicked.view.id == "policy":
            self.policy.click_policy(clicked.word)
        if clicked.view.id == "tabs":
            pane = view_named(clicked.word)
            if pane is not None:
                self.action_view(pane.value)
        from trtdbg_ui.widgets.dialog import Dialog

        page = self.screen if isinstance(self.screen, Dialog) and clicked.link else None
        if page is None and clicked.view is not self.board.pane(Pane.DETAIL):
            return
        words = (*clicked.longer, clicked.word)
        nodes = state.loaded.nodes if state.loaded is not None else {}
        name = next((word for word in words if word in nodes or state.has(word)), None)
        if name is None or name == state.node:
            return
        if page is not None:
            page.dismiss()
        self.tables.jump(name)

    def _at_cause(self, view: CauseList, row: int) -> None:
        """Shows the cause of a row, or its place, in the details and in the graph."""
        name, loaded = view.node_at(row), self.state.loaded
        if loaded is None or view.cause is None:
            return
        state = at_node(self.state, name) if name is not None else self.state
        cause = None if view.stands_for_node() else loaded.causes.index(view.cause)
        self.state = state.changed(cause=cause, pane=Pane.CAUSES, trail=self.state.trail)

    def _at_row_of(self, view: PlaceList, row: int) -> None:
        """Shows in the details what of a module or a line is worth a look first."""
        place, loaded = view.row_at(row), self.state.loaded
        name = loaded.telling(place.nodes) if loaded is not None and place else None
        if name is not None:
            self.state = at_node(self.state, name).changed(trail=self.state.trail)

    @on(CursorView.Chosen)
    def _chosen(self, chosen: CursorView.Chosen) -> None:
        view, row = chosen.view, chosen.row
        if isinstance(view, CauseList):
            # A cause opens; one of its places, like a node, is read in the details.
            if view.stands_for_node() or not view.toggle():
                self.action_pane(Pane.DETAIL.value)
        elif isinstance(view, PlaceList):
            place = view.row_at(row)
            if place is not None:
                self.tables.show_place(place)
        elif isinstance(view, PassList):
            self.action_pane(Pane.NODES.value)
        elif isinstance(view, NodeTable):
            self.action_pane(Pane.DETAIL.value)
        elif isinstance(view, EngineList | FindingList):
            name = _node_of(view, row)
            if name is not None:
                self.tables.jump(name)
                self.action_view(Pane.NODES.value)


def _node_of(view: EngineList | FindingList, row: int) -> str | None:
    if isinstance(view, EngineList):
        return view.node_at(row)
    finding = view.finding_at(row)
    return finding.node if finding else None
