"""The UI on a file that is edited, with the real worker: half a file, another model, none."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from trtdbg_ui.app import TrtdbgApp

from tests.ui.fakes import screen_text, settings_bar, settle
from trtdbg.commands.watching import Watcher
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.viewing import WatchedFile
from trtdbg.worker.client import Client

SAMPLES = Path(__file__).parents[2] / "samples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("torch_tensorrt") is None, reason="needs torch_tensorrt"
    ),
]


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def test_a_file_that_is_edited_is_followed_and_never_read_by_half(
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.pt2"
    first = (SAMPLES / "attention_float64.pt2").read_bytes()
    second = (SAMPLES / "batchnorm_float64.pt2").read_bytes()
    path.write_bytes(first)
    watcher = Watcher([str(path)], patience=3.0)
    clients: list[Client] = []

    def make_worker(on_event: object) -> Client:
        clients.append(Client(on_event))  # type: ignore[arg-type]
        return clients[0]

    app = TrtdbgApp(
        str(path),
        settings=Settings(),
        policy=TruncationPolicy(timing=Timing.UPSTREAM),
        make_worker=make_worker,
        watched=WatchedFile(changed=lambda: bool(watcher.look()), settings=Settings),
    )
    try:
        async with app.run_test(size=(160, 50)) as pilot:
            await until(lambda: app.state.loaded is not None)
            shown = app.state.loaded
            path.write_bytes(second[: len(second) // 2])
            await asyncio.sleep(1.5)
            assert app.state.loaded is shown
            assert not app.state.outdated
            path.write_bytes(second)
            await until(lambda: app.state.loaded is not shown)
            await settle(pilot)
            assert "edited: " in settings_bar(app)
            shown = app.state.loaded
            path.write_bytes(b"no archive")
            await until(lambda: app.state.failure is not None)
            await settle(pilot)
            assert app.state.loaded is shown
            assert "last good analysis, the file changed since" in screen_text(app)
            path.write_bytes(first)
            await until(lambda: app.state.loaded is not shown)
            assert app.state.failure is None
            assert not app.state.outdated
    finally:
        for client in clients:
            client.close()
