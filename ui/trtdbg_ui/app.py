"""The app: what the keys do to the state, and how the UI begins and ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.message import Message

from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Finding, Report
from trtdbg.worker.messages import Access, Job, News
from trtdbg_ui.handlers.files import Outside
from trtdbg_ui.handlers.reproducing import Reproducing
from trtdbg_ui.keys.keymap import Keymap, key
from trtdbg_ui.model.navigation import (
    at_hit,
    at_neighbour,
    at_place,
    at_problem,
    hiding_unchanged,
    searching,
)
from trtdbg_ui.model.questions import Ask
from trtdbg_ui.model.state import Find, Pane, State
from trtdbg_ui.requests.conversation import Conversation
from trtdbg_ui.requests.desk import Answer, Desk, Worker
from trtdbg_ui.requests.inbox import Inbox
from trtdbg_ui.widgets.board import Board
from trtdbg_ui.widgets.cursor_view import CursorView
from trtdbg_ui.widgets.engine_list import EngineList
from trtdbg_ui.widgets.find_bar import FindBar
from trtdbg_ui.widgets.finding_list import FindingList
from trtdbg_ui.widgets.node_table import NodeTable
from trtdbg_ui.widgets.pass_list import PassList
from trtdbg_ui.widgets.text_view import TextView

MakeWorker = Callable[[Callable[[News], None]], Worker]
"""Makes the worker's client, given what takes what it tells while it works."""

_PLAIN_ACCESS = Access()


class TrtdbgApp(Reproducing, Outside):
    """Shows one model under changing policies."""

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
        access: Access = _PLAIN_ACCESS,
        make_worker: MakeWorker | None = None,
        reports: Iterable[Report] = (),
        clock: Callable[[], float] = time.monotonic,
        keymap: Keymap | None = None,
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
        """
        super().__init__(policy, settings, clock, keymap or Keymap())
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
            lambda request, future: self.post_message(self.Settled(request, future)),
            reports,
        )
        self._conversation = Conversation(self, self._desk, inbox, clock)

    def compose(self) -> ComposeResult:
        """Yields the board."""
        job = self._job
        yield Board(job.model, job.target, self._desk, id="board")

    def on_mount(self) -> None:
        """Shows the first frame, and only then starts the worker."""
        self._conversation.foresee()
        self._show_first()
        self.call_after_refresh(self._conversation.begin)

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

    @on(Settled)
    def _settle(self, settled: Settled) -> None:
        self._conversation.settle(settled.request, settled.future)

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

    # Policy.

    def action_again(self) -> None:
        """Analyses the current policy again."""
        self._conversation.again()

    # Passes and nodes.

    def action_pass(self, step: int, telling: bool) -> None:
        """Steps to another pass."""
        self.state = at_neighbour(self.state, step, telling=telling)

    def action_result(self) -> None:
        """Goes back to what comes out of all passes."""
        self.state = at_place(self.state, None)

    def action_unchanged(self) -> None:
        """Hides or shows what passes left unchanged."""
        self.state = hiding_unchanged(self.state)

    def action_problem(self, step: int) -> None:
        """Selects the next node that is left to PyTorch or has a finding."""
        if self.state.loaded is not None:
            none = "No node is left to PyTorch or has a finding."
            self._go_to(at_problem(self.state, step), none)

    def action_hit(self, step: int) -> None:
        """Selects the next hit of the search."""
        if self.state.find is None or self.state.rows is None:
            self.tell(f"Press {key('find')} to search first.")
            return
        self._go_to(at_hit(self.state, step), "Nothing found.")

    def _go_to(self, state: State | None, none: str) -> None:
        """Shows a state, or says that there is none."""
        if state is None:
            self.tell(none)
        else:
            self.state = state

    def action_find(self) -> None:
        """Opens the search line."""
        if self.state.rows is None:
            return
        if self.state.find is None:
            self._change(find=Find())
        self._board.query_one(FindBar).edit()

    @on(FindBar.Typed)
    def _search(self, typed: FindBar.Typed) -> None:
        if self.state.find is not None:
            self.state = searching(self.state, typed.text)

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
        from trtdbg_ui.render.help import help_lines

        self._open("Help", partial(help_lines, self.state.pane), "help")

    def action_explain(self) -> None:
        """Explains the selected node's findings; in their list the one of the cursor."""
        state = self.state
        if state.loaded is None:
            return
        view = self._findings
        if view is not None:
            findings = view.findings_at(view.cursor)
            if findings:
                self._explain(_title_of(findings), findings)
            return
        if state.node is None:
            return
        found = state.loaded.findings_of.get(state.node, ())
        if not found:
            go_on = f"{key('next-problem')} goes to the next node that has."
            self.tell(f"{state.node} has no findings; {go_on}")
            return
        self._explain(f"Findings of {state.node}", found)

    def _explain(self, title: str, findings: tuple[Finding, ...]) -> None:
        from trtdbg_ui.render.findings import explanation

        self._open(title, partial(explanation, findings), "explain")

    def action_validators(self) -> None:
        """Shows all validators of the selected node."""
        state = self.state
        node = state.loaded.nodes.get(state.node or "") if state.loaded else None
        if state.loaded is None or state.node is None:
            return
        if node is None:
            self.tell(f"{state.node} is not in the lowered graph: no validator sees it.")
            return
        from trtdbg_ui.render.validators import validators

        make = partial(validators, state.loaded, node)
        self._open(f"Validators of {node.name}", make, "validators")

    def action_origin(self) -> None:
        """Shows where the selected node's wide dtype begins, and the passes behind it."""
        state = self.state
        node = state.loaded.nodes.get(state.node or "") if state.loaded else None
        if state.loaded is None or state.node is None:
            return
        if node is None:
            self.tell(
                f"{state.node} is not in the lowered graph: {key('result')} shows the result."
            )
            return
        from trtdbg_ui.render.origin import origin

        make = partial(origin, state.loaded.report, node)
        self._open(f"Origin of {node.name}", make, "where-from")

    # The screen.

    def action_copy(self) -> None:
        """Copies the command line that shows this again."""
        from trtdbg_ui.render.command import command, saved_command

        state = self.state
        text = (
            saved_command(self._job.model)
            if self._desk.read_only
            else command(self._desk.job, state.policy)
        )
        self.copy_to_clipboard(text)
        self.tell(text, title="Copied")

    @on(CursorView.Moved)
    def _moved(self, moved: CursorView.Moved) -> None:
        view = moved.view
        if isinstance(view, PassList):
            self.state = at_place(self.state, view.place_at(moved.row))
        elif isinstance(view, NodeTable) and self.state.rows is not None:
            self._change(node=self.state.rows.names[moved.row])

    @on(TextView.Clicked)
    def _clicked(self, clicked: TextView.Clicked) -> None:
        """Goes to the node whose name was clicked in the details, or as a link on a page.

        The policy bar switches.
        """
        state = self.state
        if clicked.view.id == "policy":
            self.click_policy(clicked.word)
        from trtdbg_ui.widgets.dialog import Dialog

        page = self.screen if isinstance(self.screen, Dialog) and clicked.link else None
        if page is None and clicked.view is not self._board.pane(Pane.DETAIL):
            return
        words = (*clicked.longer, clicked.word)
        nodes = state.loaded.nodes if state.loaded is not None else {}
        name = next((word for word in words if word in nodes or state.has(word)), None)
        if name is None or name == state.node:
            return
        if page is not None:
            page.dismiss()
        self._jump(name)

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
                self._jump(name)
                self.action_pane(Pane.NODES.value)


def _title_of(findings: tuple[Finding, ...]) -> str:
    """Returns the title of findings that are alike, or of a single one."""
    node, more = findings[0].node, len(findings) - 1
    title = f"Finding of {node}" if node else "Finding"
    return f"{title} and {more} alike" if more else title


def _node_of(view: EngineList | FindingList, row: int) -> str | None:
    if isinstance(view, EngineList):
        return view.node_at(row)
    finding = view.finding_at(row)
    return finding.node if finding else None
