"""The screen: bars above, panes in the middle, keys below; shows what a state says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from trtdbg.worker.messages import Log
from trtdbg_ui.model.state import VIEWS, Pane, State, visible
from trtdbg_ui.model.switching import PolicySwitch, tallies
from trtdbg_ui.render.activity import activity_line, failure_note, loading_lines
from trtdbg_ui.render.answer import answer
from trtdbg_ui.render.causes import cause_detail
from trtdbg_ui.render.detail import detail
from trtdbg_ui.render.find import find_line
from trtdbg_ui.render.footer import hints
from trtdbg_ui.render.header import header_line
from trtdbg_ui.render.policy import (
    change_line,
    policy_line,
    prebuilt_lines,
    room_beside_settings,
    settings_line,
)
from trtdbg_ui.render.strip import strip_line
from trtdbg_ui.render.tabs import WORDS, tabs_line
from trtdbg_ui.requests.desk import Desk
from trtdbg_ui.text import Line, Tone, crop, line
from trtdbg_ui.widgets.bar import Bar
from trtdbg_ui.widgets.cause_list import CauseList
from trtdbg_ui.widgets.engine_list import EngineList
from trtdbg_ui.widgets.find_bar import FindBar
from trtdbg_ui.widgets.finding_list import FindingList
from trtdbg_ui.widgets.key_bar import KeyBar
from trtdbg_ui.widgets.lines import LineView
from trtdbg_ui.widgets.log_list import LogList
from trtdbg_ui.widgets.node_table import NodeTable
from trtdbg_ui.widgets.pass_list import PassList
from trtdbg_ui.widgets.place_list import ModuleList, PlaceList
from trtdbg_ui.widgets.text_view import TextView

_TALL: Final = 32
"""Lines of a screen on which the answer may take more than four."""


class Board(Vertical):
    """All widgets of the main screen; knows how to show a state and nothing else."""

    DEFAULT_CSS = """
    Board { background: $background; }
    Board > #header { background: $panel; }
    Board > #header, Board > #policy, Board > #settings, Board > #answer { padding: 0; }
    Board #body { height: 1fr; }
    Board #middle { width: 1fr; }
    Board #middle > .pane { height: 1fr; }
    Board.-below #causes { max-height: 40%; }
    Board > #settings.-flash { background: $cursor-focused; }
    Board .pane {
        border-top: solid $panel; border-title-color: $tone-dim;
        border-title-align: left; padding: 0;
    }
    Board .pane:focus { border-top: heavy $tone-key; border-title-color: $tone-key; }
    Board #passes { width: 22%; min-width: 30; max-width: 50; margin: 0 1 0 0; }
    Board #nodes { width: 1fr; }
    Board #detail { width: 27%; min-width: 38; max-width: 64; margin: 0 0 0 1; }
    Board.-alone #passes, Board.-alone #detail { width: 1fr; max-width: 100%; margin: 0; }
    Board.-alone #detail { padding: 0 0 0 1; }
    Board.-alone .pane { border-top: none; }
    Board.-alone .pane:focus { border-top: none; }
    Board #loading { height: 1fr; }
    Board > KeyBar { background: $panel; }
    """

    def __init__(self, model: str, target: str | None, desk: Desk, **kwargs: Any) -> None:
        """Takes what stays the same while the app runs."""
        super().__init__(**kwargs)
        self._model = model
        self._target = target
        self._desk = desk
        self._state: State | None = None
        self._panes: dict[Pane, LineView] = {
            Pane.CAUSES: CauseList(id="causes", classes="pane"),
            Pane.PASSES: PassList(id="passes", classes="pane"),
            Pane.NODES: NodeTable(id="nodes", classes="pane"),
            Pane.DETAIL: TextView(id="detail", classes="pane"),
            Pane.ENGINES: EngineList(read_only=desk.read_only, id="engines", classes="pane"),
            Pane.FINDINGS: FindingList(id="findings", classes="pane"),
            Pane.MODULES: ModuleList(id="modules", classes="pane"),
            Pane.LINES: PlaceList(id="lines", classes="pane"),
            Pane.LOG: LogList(id="log", classes="pane"),
        }
        self._complete = False
        self._middle: Vertical
        self._body: Horizontal

    def compose(self) -> ComposeResult:
        """Yields what the first frame shows: the bars, what is loading, the keys."""
        yield Bar(id="header")
        yield Bar(id="policy")
        yield Bar(id="settings")
        yield TextView(id="loading", can_focus=False)
        yield KeyBar(id="keys")

    def complete(self) -> None:
        """Mounts what only a report or the log needs; the first frame comes without.

        Mounting twice as many widgets took twice the time.
        """
        if self._complete:
            return
        self._complete = True
        self._middle = Vertical(*(self._panes[pane] for pane in _MIDDLE), id="middle")
        passes, details = self._panes[Pane.PASSES], self._panes[Pane.DETAIL]
        self._body = Horizontal(passes, self._middle, details, id="body")
        for pane, title in WORDS.items():
            self._panes[pane].border_title = title
        find = FindBar(id="find")
        find.display = False
        answer, strip, tabs = Bar(id="answer"), Bar(id="strip"), Bar(id="tabs")
        self.mount(answer, strip, after="#header")
        self.mount(tabs, self._body, find, before="#keys")
        if self._state is not None:
            self._arrange(self._state)
            self._show_answer(self._state)

    def pane(self, pane: Pane) -> LineView:
        """Returns the widget of a pane."""
        return self._panes[pane]

    @property
    def place_in_causes(self) -> str | None:
        """The node that the cursor in the causes stands on; None if it is on a cause."""
        causes = self._panes[Pane.CAUSES]
        assert isinstance(causes, CauseList)
        return causes.node_at(causes.cursor) if causes.stands_for_node() else None

    def pane_of(self, widget: object) -> Pane | None:
        """Returns the pane that a widget is."""
        return next((pane for pane, each in self._panes.items() if each is widget), None)

    def show(self, state: State, now: float) -> None:
        """Shows a state; what did not change is left alone."""
        old, self._state = self._state, state
        if state.loaded is not None or state.pane is Pane.LOG:
            self.complete()
        if old is None or _places(old) != _places(state):
            self._arrange(state)
        if old is None or old.loaded is not state.loaded:
            self._show_loaded(state)
        if old is None or (old.loaded, old.failure) != (state.loaded, state.failure):
            self._show_answer(state)
        self._show_bars(state)
        self._show_table(old, state)
        places = self._panes[state.main]
        if state.loaded is not None and isinstance(places, PlaceList):
            places.show(state.loaded, state.node)
        self._show_find(state)
        self.show_clock(now)
        self.query_one(KeyBar).show_hints(hints(state, self._desk.read_only))

    def show_clock(self, now: float) -> None:
        """Shows how long things have been running."""
        state = self._state
        if state is None:
            return
        flashes = isinstance(state.change, PolicySwitch) and now < state.flash_until
        self._bar("settings").set_class(flashes, "-flash")
        self._bar("settings").show(lambda size: [self._settings_line(state, now, size)])
        if state.loaded is None:
            self.query_one("#loading", TextView).show(
                lambda size: loading_lines(
                    self._model, state.activity, state.failure, now, size
                )
            )
        else:
            engines = self._panes[Pane.ENGINES]
            assert isinstance(engines, EngineList)
            engines.show(state.loaded, state.activity, now, state.layers)

    def _settings_line(self, state: State, now: float, size: int) -> Line:
        """Returns the settings in force, or what is not known of a compiled program."""
        report = state.loaded.report if state.loaded is not None else None
        if report is not None and report.model.prebuilt is not None:
            return crop(prebuilt_lines(report)[1], size)
        return settings_line(
            state.policy,
            state.settings,
            self._target,
            report.environment if report is not None else None,
            _news(state, now, room_beside_settings(size)),
            size,
        )

    def add_logs(self, logs: Iterable[Log]) -> None:
        """Appends lines to the log pane."""
        self.complete()
        pane = self._panes[Pane.LOG]
        assert isinstance(pane, LogList)
        pane.add(logs)
        self._show_titles()

    def on_resize(self, event: events.Resize) -> None:
        """Chooses the panes anew that fit."""
        del event
        if self._state is not None:
            self._arrange(self._state)
            self._show_answer(self._state)

    def _bar(self, name: str) -> Bar:
        return self.query_one(f"#{name}", Bar)

    def _arrange(self, state: State) -> None:
        """Shows the panes that fit and hides the others."""
        shown = self._shown(state)
        for pane, widget in self._panes.items():
            widget.display = pane in shown
        if self._complete:
            self._body.display = bool(shown)
            self._middle.display = any(pane in shown for pane in _MIDDLE)
        self.query_one("#loading").display = not shown
        self.set_class(len(shown) == 1, "-alone")
        below = {Pane.CAUSES, Pane.NODES} <= shown
        self.set_class(below, "-below")
        causes = self._panes[Pane.CAUSES]
        assert isinstance(causes, CauseList)
        causes.fit_rows(below)
        self._show_titles()

    def _shown(self, state: State) -> frozenset[Pane]:
        if state.loaded is None:
            return frozenset({Pane.LOG} if state.pane is Pane.LOG else ())
        columns, lines = self.size.width, self.size.height
        return visible(state.pane, state.main, columns, lines, zoom=state.zoom)

    def _show_titles(self) -> None:
        state = self._state
        if state is None:
            return
        log = self._panes[Pane.LOG]
        assert isinstance(log, LogList)
        counts = {Pane.LOG: log.total()}
        if state.loaded is not None:
            report = state.loaded.report
            counts[Pane.CAUSES] = str(len(state.loaded.causes))
            counts[Pane.ENGINES] = str(len(report.engines))
            counts[Pane.FINDINGS] = str(len(report.findings))
        if self._complete:
            tabs = self._bar("tabs")
            tabs.display = bool(self._shown(state))
            tabs.show(lambda size: [tabs_line(state.main, counts, state.zoom, size)])

    def _show_bars(self, state: State) -> None:
        self._bar("header").show(
            lambda size: [
                header_line(
                    self._model,
                    state.loaded,
                    self._desk.read_only,
                    size,
                    trusted=self._desk.trusted,
                    outdated=state.outdated,
                )
            ]
        )
        report = state.loaded.report if state.loaded is not None else None
        if report is not None and report.model.prebuilt is not None:
            told = prebuilt_lines(report)[0]
            self._bar("policy").show(lambda size: [crop(told, size)])
            return
        known = tallies(state.policy, (loaded.report for loaded in self._desk.known()))
        self._bar("policy").show(lambda size: [policy_line(state.policy, known, size)])

    def _show_answer(self, state: State) -> None:
        if not self._complete:
            return
        most = 5 if self.size.height >= _TALL else 4
        bar = self._bar("answer")
        bar.display = self._bar("strip").display = state.loaded is not None
        read_only = self._desk.read_only
        bar.show(lambda size: _answer_lines(state, most, size, read_only))

    def _show_loaded(self, state: State) -> None:
        findings = self._panes[Pane.FINDINGS]
        assert isinstance(findings, FindingList)
        if state.loaded is not None:
            findings.show(state.loaded.alike)
            causes = self._panes[Pane.CAUSES]
            assert isinstance(causes, CauseList)
            causes.show(state.loaded, state.cause)
        self._show_titles()

    def _show_table(self, old: State | None, state: State) -> None:
        """Shows passes, nodes and the details of the selected node."""
        passes, table = self._panes[Pane.PASSES], self._panes[Pane.NODES]
        view = self._panes[Pane.DETAIL]
        assert isinstance(passes, PassList)
        assert isinstance(table, NodeTable)
        assert isinstance(view, TextView)
        rows, loaded = state.rows, state.loaded
        if rows is None or loaded is None:
            return
        same_rows = old is not None and old.rows is rows
        if not same_rows or old is None or old.hide_unchanged is not state.hide_unchanged:
            passes.show(loaded.report, state.place, state.hide_unchanged)
        if not same_rows or table.cursor != state.row:
            table.show(rows, state.row, state.hide_unchanged, state.switched)
        if not same_rows or old is None or (old.row, old.cause) != (state.row, state.cause):
            read_only = self._desk.read_only
            view.show(lambda size: _details(state, size, read_only), to_top=True)
            causes = self._panes[Pane.CAUSES]
            if state.cause is not None and isinstance(causes, CauseList):
                causes.go_to(state.cause)
        if old is None or (old.loaded, old.node) != (loaded, state.node):
            here = loaded.stretch_of.get(state.node or "")
            self._bar("strip").show(
                lambda size: [strip_line(loaded.stretches, here, loaded.failed_engines, size)]
            )

    def _show_find(self, state: State) -> None:
        if not self._complete:
            return
        bar = self.query_one(FindBar)
        bar.display = state.find is not None
        table = self._panes[Pane.NODES]
        assert isinstance(table, NodeTable)
        table.show_hits(frozenset(state.hits))
        if state.find is not None:
            bar.show(find_line(state.find, state.hits, state.row))


_MIDDLE = tuple(pane for pane in VIEWS if pane is not Pane.PASSES)


def _places(state: State) -> tuple[object, ...]:
    """Returns what decides which panes are shown."""
    return state.pane, state.main, state.zoom, state.loaded is None


def _details(state: State, size: int, read_only: bool) -> list[Line]:
    """Returns what is known about the selected cause, or else about the selected node."""
    loaded, rows = state.loaded, state.rows
    if loaded is None or rows is None:
        return []
    if state.cause is not None and state.cause < len(loaded.causes):
        return cause_detail(loaded, loaded.causes[state.cause], size, read_only)
    return detail(rows, state.row, size)


def _news(state: State, now: float, size: int) -> Line:
    """Returns what runs, or else what the last switch of policy or build brought."""
    if state.activity is not None:
        return activity_line(state.activity, now)
    if isinstance(state.change, PolicySwitch):
        return change_line(state.change, size)
    return state.change


def _answer_lines(state: State, most: int, size: int, read_only: bool) -> list[Line]:
    """Returns what went wrong, or else the answer, in at most `most` lines."""
    if state.failure is not None:
        lines = failure_note(state.failure, size)
    elif state.loaded is not None:
        told = answer(state.loaded, size - 1, read_only=read_only)
        lines = [line(" ", *each) for each in told]
    else:
        lines = []
    shown = [crop(each, size) for each in lines[:most]]
    if len(lines) > most:
        more = f"  +{len(lines) - most} more"
        last = crop(lines[most - 1], size - len(more))
        shown[-1] = line(*last, (more, Tone.DIM))
    return shown
