"""The UI on a real sample with the real worker, torch and TensorRT included."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from trtdbg_ui.app import TrtdbgApp

from tests.ui.fakes import screen_text, settle
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import BuildStatus
from trtdbg.worker.client import Client

SAMPLE = Path(__file__).parents[2] / "samples" / "attention_float64.pt2"
PATIENCE_SECONDS = 180

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch_tensorrt") is None, reason="needs torch_tensorrt"
)


async def until(app: TrtdbgApp, pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert app.state.failure is None, app.state.failure
        assert time.monotonic() < end, f"still {app.state.activity}"
        await asyncio.sleep(0.05)
    await settle(pilot)


async def test_a_session_from_the_first_frame_to_a_built_engine() -> None:
    clients: list[Client] = []
    # Other tests of the same run may have imported torch already.
    modules_before = frozenset(sys.modules)

    def make_worker(on_event: object) -> Client:
        clients.append(Client(on_event))  # type: ignore[arg-type]
        return clients[0]

    app = TrtdbgApp(
        str(SAMPLE), settings=Settings(), policy=TruncationPolicy(), make_worker=make_worker
    )

    def shows(timing: Timing) -> bool:
        loaded = app.state.loaded
        return loaded is not None and loaded.report.policy.timing is timing

    def status() -> BuildStatus:
        assert app.state.loaded is not None
        return app.state.loaded.report.engines[0].build.status

    try:
        async with app.run_test(size=(160, 50)) as pilot:
            await settle(pilot)
            # The worker has hardly begun to import torch, and this process never does.
            assert "starting the worker" in screen_text(app)
            assert app.state.loaded is None
            await until(app, pilot, lambda: shows(Timing.LATE))
            assert "✓ One engine holds all" in screen_text(app)
            await pilot.press("T")
            await until(app, pilot, lambda: shows(Timing.UPSTREAM))
            assert "engines 1 → 5, PyTorch ops 0 → 4" in screen_text(app)
            assert "one cause, 4×" in screen_text(app)
            assert "rejects because dtype=float64; accepts with float32" in screen_text(app)
            await pilot.press("t", "b")
            await pilot.press("escape")
            await until(app, pilot, lambda: app.state.activity is None)
            assert status() is BuildStatus.CANCELLED
            await pilot.press("b")
            await until(app, pilot, lambda: app.state.activity is None)
            assert status() is BuildStatus.BUILT
            assert "✓ built" in screen_text(app)
    finally:
        clients[0].close()
    assert "torch" not in sys.modules or "torch" in modules_before
