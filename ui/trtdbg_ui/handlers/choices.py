"""What the keys of policy, settings, builds and measurements do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Suggestion
from trtdbg.worker.messages import Analyze, Build, Measure, Weigh
from trtdbg_ui.handlers.tables import Tables
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.questions import Ask, Choice
from trtdbg_ui.model.state import BOTTOM, Pane, State
from trtdbg_ui.model.switching import (
    PATHS,
    TIMINGS,
    next_path,
    next_timing,
    next_verdicts,
    paths_count,
)
from trtdbg_ui.requests.conversation import Conversation, unbuilt
from trtdbg_ui.requests.desk import Desk
from trtdbg_ui.widgets.engine_list import EngineList

if TYPE_CHECKING:
    from trtdbg_ui.widgets.matrix import Matrix


class Choices(Tables):
    """Switches policies and settings, and asks the worker for more about them."""

    _conversation: Conversation
    _desk: Desk

    def watch_state(self, old: State, new: State) -> None:
        """Shows a new state, in the matrix too if that is open."""
        super().watch_state(old, new)
        self._show_matrix()

    # Policy and settings.

    def action_timing(self, step: int) -> None:
        """Switches to the next or previous timing."""
        self._choose(next_timing(self.state.policy, step))

    def action_path(self, path: str, step: int) -> None:
        """Switches what is narrowed on inputs, constants or computed values."""
        self._choose(next_path(self.state.policy, path, step))
        if not paths_count(self.state.policy):
            timing = self.state.policy.timing.value
            self.tell(f"Timing {timing} does not use this list; early and late do.")

    def action_verdicts(self) -> None:
        """Switches who decides what an engine may hold."""
        if self.state.policy.timing is Timing.UPSTREAM:
            self.tell("timing upstream does what torch_tensorrt does: validators decide.")
            return
        self._choose(next_verdicts(self.state.policy))

    def action_block(self, step: int) -> None:
        """Switches to a larger or smaller minimum block size, which is at least 1."""
        settings = self.state.settings
        size = settings.min_block_size + step
        if size < 1:
            self.tell("The minimum block size is 1: every operator may make an engine.")
            return
        self._choose(self.state.policy, replace(settings, min_block_size=size))

    def click_policy(self, word: str) -> None:
        """Does what a word of the policy bar stands for: a timing, or the next list."""
        timings = [timing.value for timing in TIMINGS]
        if word in timings:
            step = timings.index(word) - TIMINGS.index(self.state.policy.timing)
            if step:
                self.action_timing(step)
        elif word in PATHS:
            self.action_path(word, 1)

    def action_undo(self) -> None:
        """Goes back to the policy and settings before the last switch."""
        self._travel(self.state.past, self.state.future, "undo")

    def action_redo(self) -> None:
        """Goes forward again."""
        self._travel(self.state.future, self.state.past, "redo")

    def _choose(self, policy: TruncationPolicy, settings: Settings | None = None) -> None:
        before = self._choice
        self._conversation.switch(policy, settings)
        if self._choice != before:
            self._change(past=(*self.state.past, before)[-_LONGEST_PAST:], future=())

    def _travel(self, there: tuple[Choice, ...], back: tuple[Choice, ...], way: str) -> None:
        here = self._choice
        while there and there[-1] == here:
            # A switch that failed: the keys went back by themselves.
            there = there[:-1]
        if not there:
            self.tell(f"There is nothing to {way}.")
            return
        settings, policy = there[-1]
        self._conversation.switch(policy, settings)
        if self._choice == here:
            return
        back = (*back, here)
        past, future = (there[:-1], back) if way == "undo" else (back, there[:-1])
        self._change(past=past, future=future)

    @property
    def _choice(self) -> Choice:
        return self.state.settings, self.state.policy

    def action_switched(self) -> None:
        """Shows what the last switch of policy or settings changed, node by node."""
        before, loaded = self.state.before, self.state.loaded
        if loaded is None:
            return
        if before is None:
            self.tell(f"Nothing was switched yet: {key('timing')} switches the timing.")
            return
        from trtdbg_ui.render.switched import switched

        make = partial(switched, before, loaded)
        self._open("What the last switch changed", make, "what-changed")

    # Builds and measurements.

    def action_build(self) -> None:
        """Builds all engines that are not built yet."""
        if self._conversation.build():
            self._show_engines()

    def action_build_one(self) -> None:
        """Builds the engine of the cursor in the engines, or else of the selected node."""
        engine = self._engine()
        if engine is None:
            self.tell(f"No engine is selected: {key('engines')} goes to them.")
        elif self._conversation.build(engine):
            self._show_engines(engine)

    def action_layers(self) -> None:
        """Shows the layers of the engine of the cursor or the node, or hides them again.

        In the findings it does the same with those that are alike.
        """
        findings = self._findings
        if findings is not None:
            if not findings.toggle(findings.cursor):
                self.tell("No other finding is like this one.")
            return
        engine = self._engine()
        if engine is None:
            self.tell(f"No engine is selected: {key('engines')} goes to them.")
            return
        self._change(layers=self.state.layers ^ {engine})
        self._show_engines(engine)

    def action_measure(self) -> None:
        """Runs the original and the truncated program, to compare their numbers."""
        request = Measure(job=self._desk.job, policy=self.state.policy)
        self._conversation.demand(request, "run")

    def action_advise(self) -> None:
        """Shows what to do about refusals; asks the worker if nobody has yet."""
        loaded = self.state.loaded
        if loaded is None:
            return
        report = loaded.report
        if report.consequences is None and report.suggestion is None:
            request = Weigh(
                job=self._desk.job,
                policy=self.state.policy,
                consequences=True,
                suggestion=True,
            )
            self._conversation.demand(request, "weigh")
            return
        from trtdbg_ui.widgets.advice_dialog import AdviceDialog

        self.push_screen(AdviceDialog(report), self._take_suggestion)

    def show_advice(self) -> None:
        """Shows the advice that was waited for, unless something else was opened meanwhile."""
        if len(self.screen_stack) > 1:
            self.tell(f"{key('advice')} shows what to do about refusals", title="Advice")
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
        if (settings, suggestion.policy) == self._choice:
            self.tell("The suggested policy is the one in force.")
        else:
            self._choose(suggestion.policy, settings)

    def _engine(self) -> int | None:
        view = self._board.pane(Pane.ENGINES)
        if self.state.pane is Pane.ENGINES and isinstance(view, EngineList):
            return view.engine_at(view.cursor)
        loaded = self.state.loaded
        node = loaded.nodes.get(self.state.node or "") if loaded is not None else None
        return node.engine if node is not None else None

    def _show_engines(self, engine: int | None = None) -> None:
        """Shows the engines, with the cursor on one of them if one is meant."""
        pane = self.state.pane
        if not self._board.pane(Pane.ENGINES).display:
            pane = Pane.ENGINES if pane in BOTTOM or self.size.height < 32 else pane
        self._change(bottom=Pane.ENGINES, pane=pane)
        view = self._board.pane(Pane.ENGINES)
        if engine is not None and isinstance(view, EngineList):
            # A pane that was hidden has no lines before it is laid out.
            self.call_after_refresh(view.go_to, engine)

    # The matrix.

    def action_matrix(self) -> None:
        """Compares all timings and policies, analysing those that are not known yet."""
        if self.state.loaded is None:
            return
        if self._desk.read_only:
            self.tell("A saved report holds one policy. Open the .pt2 to compare others.")
            return
        from trtdbg_ui.render.matrix import matrix_rows
        from trtdbg_ui.widgets.matrix import Matrix

        self.push_screen(Matrix(), self._chosen_in_matrix)
        self._desk.errors.clear()
        rows = matrix_rows(self._desk, self.state, self._clock())
        self._conversation.line_up(
            Analyze(job=self._desk.job, policy=row.policy)
            for row in rows
            if row.loaded is None
        )
        self.call_after_refresh(self._show_matrix)

    def _show_matrix(self) -> None:
        if len(self.screen_stack) < 2:
            return
        from trtdbg_ui.render.matrix import matrix_rows
        from trtdbg_ui.widgets.matrix import Matrix

        if isinstance(self.screen, Matrix):
            rows = matrix_rows(self._desk, self.state, self._clock())
            self.screen.show(rows, self.state.policy)

    def _tick(self) -> None:
        super()._tick()
        self._show_matrix()

    def on_matrix_wanted(self, wanted: Matrix.Wanted) -> None:
        """Builds the engines of rows of the matrix, one row after the other."""
        requests: list[Ask] = []
        for policy in wanted.policies:
            loaded = self._desk.report(policy)
            engines = unbuilt(loaded.report) if loaded is not None else ()
            if engines:
                request = Build(job=self._desk.job, policy=policy, engines=engines)
                requests.append(request)
        if not requests:
            self.tell("There are no engines left to build; what is not analysed has none yet.")
        self._conversation.line_up(requests)

    def on_matrix_stopped(self) -> None:
        """Cancels what runs for the matrix, and what is still to run."""
        self._desk.cancel()
        self._show_matrix()

    def _chosen_in_matrix(self, policy: TruncationPolicy | None) -> None:
        self._desk.drop_line()
        if policy is not None:
            self._choose(policy)


_LONGEST_PAST = 100
