"""Policies, the matrix, single builds, numbers and a killed worker, with the real chain."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.render.matrix import policies
from trtdbg_ui.widgets.matrix import Matrix

from tests.ui.fakes import screen_text, settle
from tests.ui.test_real import PATIENCE_SECONDS, SAMPLE
from trtdbg.policy import Settings, Timing, TruncationPolicy, VerdictSource
from trtdbg.records import BuildStatus, Report
from trtdbg.worker.client import Client
from trtdbg.worker.messages import EngineBuilt, News, Progress

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch_tensorrt") is None, reason="needs torch_tensorrt"
)


class Desk:
    """The app with a real worker, and what the test asks of both."""

    def __init__(self, policy: TruncationPolicy) -> None:
        self.clients: list[Client] = []
        self.app = TrtdbgApp(
            str(SAMPLE), settings=Settings(), policy=policy, make_worker=self._make
        )
        self.pilot: Pilot[int]
        self.freeze_at: Callable[[News], bool] | None = None
        """Stops the worker where it is as soon as it tells something of that kind."""

    def _make(self, on_event: Any) -> Client:
        def heard(news: News) -> None:
            on_event(news)
            if self.freeze_at is not None and self.freeze_at(news):
                # Here, in the client's thread: by the time that the app hears of it, all
                # engines may be built.
                self.freeze_at = None
                self.signal_worker(signal.SIGSTOP)

        self.clients.append(Client(heard))
        return self.clients[0]

    @property
    def report(self) -> Report:
        assert self.app.state.loaded is not None
        return self.app.state.loaded.report

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await settle(self.pilot)

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < end, f"still {self.app.state.activity}"
            await asyncio.sleep(0.02)
        await settle(self.pilot)

    async def idle(self) -> None:
        await self.until(
            lambda: self.app.state.loaded is not None and self.app.state.activity is None
        )

    def signal_worker(self, number: signal.Signals) -> None:
        worker = self.clients[0]._worker
        assert worker is not None
        assert worker._process is not None
        assert worker._process.pid is not None
        os.kill(worker._process.pid, number)


async def test_every_policy_key_is_answered_and_undone_by_the_real_worker() -> None:
    desk = Desk(TruncationPolicy())
    try:
        async with desk.app.run_test(size=(160, 50)) as desk.pilot:
            await desk.idle()
            assert len(desk.report.engines) == 1
            for key in ("t", "t", "t", "t", "i", "c", "o", "V", "+"):
                before = desk.app.state.policy, desk.app.state.settings
                await desk.press(key)
                await desk.idle()
                assert desk.app.state.failure is None
                assert (desk.app.state.policy, desk.app.state.settings) != before
                assert desk.report.policy == desk.app.state.policy
                assert desk.report.settings == desk.app.state.settings
            assert desk.report.policy.verdicts is VerdictSource.TENSORRT
            assert desk.report.settings.min_block_size == 2
            for _ in range(9):
                await desk.press("z")
            assert desk.app.state.activity is None
            assert desk.report.policy == TruncationPolicy()
            assert desk.report.settings == Settings()
            await desk.press("{", "[", "K", "=")
            assert desk.app.state.against is not None
    finally:
        desk.clients[0].close()


async def test_the_matrix_fills_itself_and_a_row_is_chosen() -> None:
    desk = Desk(TruncationPolicy())
    try:
        async with desk.app.run_test(size=(160, 50)) as desk.pilot:
            await desk.idle()
            await desk.press("m")
            wanted = policies(TruncationPolicy())
            await desk.until(lambda: len(desk.app._desk.known()) == len(wanted))
            assert isinstance(desk.app.screen, Matrix)
            assert desk.app._desk.errors == {}
            engines = {
                loaded.report.policy.timing: len(loaded.report.engines)
                for loaded in desk.app._desk.known()
                if loaded.report.policy.computed == ("float64",)
            }
            assert engines == {
                Timing.OFF: 5,
                Timing.EARLY: 1,
                Timing.UPSTREAM: 5,
                Timing.LATE: 1,
            }
            await desk.press("g", "enter")
            assert desk.report.policy.timing is Timing.OFF
            assert "off: engines 1 → 5" in screen_text(desk.app)
    finally:
        desk.clients[0].close()


async def test_cancelled_and_killed_builds_keep_what_was_done_and_numbers_come() -> None:
    desk = Desk(TruncationPolicy(timing=Timing.UPSTREAM))

    def statuses() -> list[BuildStatus]:
        return [engine.build.status for engine in desk.report.engines]

    def finished() -> int:
        activity = desk.app.state.activity
        return len(activity.finished) if activity is not None else 0

    def building() -> int | None:
        activity = desk.app.state.activity
        return activity.engine if activity is not None else None

    try:
        async with desk.app.run_test(size=(160, 50)) as desk.pilot:
            await desk.idle()
            assert len(desk.report.engines) == 5
            desk.freeze_at = lambda news: isinstance(news, EngineBuilt)
            await desk.press("b")
            await desk.until(lambda: finished() >= 1)
            await desk.press("escape")
            await desk.idle()
            done = statuses().count(BuildStatus.BUILT)
            assert 1 <= done < 5
            assert statuses().count(BuildStatus.CANCELLED) == 5 - done

            desk.freeze_at = lambda news: isinstance(news, Progress) and news.stage == "build"
            await desk.press("b")
            await desk.until(lambda: building() is not None)
            desk.signal_worker(signal.SIGKILL)
            await desk.until(lambda: desk.app.state.failure is not None)
            assert "SIGKILL" in desk.app.state.failure.message, desk.app.state.failure
            assert statuses().count(BuildStatus.BUILT) >= done

            await desk.press("b")
            await desk.idle()
            assert set(statuses()) == {BuildStatus.BUILT}
            await desk.press("M")
            await desk.idle()
            assert desk.report.numerics is not None
            assert set(statuses()) == {BuildStatus.BUILT}
            await desk.press("4", "space")
            assert "attention_float64.py:" in screen_text(desk.app)
    finally:
        desk.clients[0].close()
