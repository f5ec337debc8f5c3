"""What the keys of policy and settings do."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg_ui.handlers.handler import ActionHandler
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.questions import Choice
from trtdbg_ui.model.switching import (
    PATHS,
    TIMINGS,
    next_path,
    next_precision,
    next_timing,
    next_verdicts,
    paths_count,
)


class Policy(ActionHandler):
    """Switches policies and settings."""

    def action_timing(self, step: int) -> None:
        """Switches to the next or previous timing."""
        self.choose(next_timing(self.state.policy, step))

    def action_path(self, path: str, step: int) -> None:
        """Switches what is narrowed on inputs, constants or computed values."""
        self.choose(next_path(self._with_lists(), path, step))

    def action_verdicts(self) -> None:
        """Switches who decides what an engine may hold."""
        policy = self.state.policy
        if policy.timing.is_upstream:
            policy = self._with_lists()
        self.choose(next_verdicts(policy))

    def action_precision(self) -> None:
        """Switches what engines compute float32 values in: float32, float16, bfloat16."""
        if self.state.policy.timing is Timing.OFF:
            self.app.tell(
                f"Timing off lowers nothing: switched to late. {key('undo')} goes back."
            )
        self.choose(next_precision(self.state.policy))

    def _with_lists(self) -> TruncationPolicy:
        """Returns a policy under which lists count: `late` in place of one without."""
        policy = self.state.policy
        if paths_count(policy):
            return policy
        timing = policy.timing.value
        self.app.tell(
            f"Timing {timing} has no such choice: switched to late. {key('undo')} goes back."
        )
        return replace(policy, timing=Timing.LATE)

    def action_block(self, step: int) -> None:
        """Switches to a larger or smaller minimum block size, which is at least 1."""
        settings = self.state.settings
        size = settings.min_block_size + step
        if size < 1:
            self.app.tell("The minimum block size is 1: every operator may make an engine.")
            return
        self.choose(self.state.policy, replace(settings, min_block_size=size))

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

    def choose(self, policy: TruncationPolicy, settings: Settings | None = None) -> None:
        """Goes to a policy, and to settings if there are others; undo comes back."""
        before = self.choice
        self.conversation.switch(policy, settings)
        if self.choice != before:
            self.change(past=(*self.state.past, before)[-_LONGEST_PAST:], future=())

    def _travel(self, there: tuple[Choice, ...], back: tuple[Choice, ...], way: str) -> None:
        here = self.choice
        while there and there[-1] == here:
            # A switch that failed: the keys went back by themselves.
            there = there[:-1]
        if not there:
            self.app.tell(f"There is nothing to {way}.")
            return
        settings, policy = there[-1]
        self.conversation.switch(policy, settings)
        if self.choice == here:
            return
        back = (*back, here)
        past, future = (there[:-1], back) if way == "undo" else (back, there[:-1])
        self.change(past=past, future=future)

    @property
    def choice(self) -> Choice:
        """The settings and the policy in force."""
        return self.state.settings, self.state.policy

    def action_switched(self) -> None:
        """Shows what the last switch of policy or settings changed, node by node."""
        before, loaded = self.state.before, self.state.loaded
        if loaded is None:
            return
        if before is None:
            self.app.tell(f"Nothing was switched yet: {key('timing')} switches the timing.")
            return
        from trtdbg_ui.render.switched import edited, switched

        if before.report.model.sha256 == loaded.report.model.sha256:
            title, make = "What the last switch changed", partial(switched, before, loaded)
        else:
            title, make = "What the last edit changed", partial(edited, before, loaded)
        self.app.open_page(title, make, "what-changed")


_LONGEST_PAST = 100
