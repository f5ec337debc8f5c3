"""What stands on the screen before the worker is even started."""

from __future__ import annotations

import pytest
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.requests.conversation import Requests
from trtdbg_ui.widgets.node_table import NodeTable

from tests.ui.fakes import Stage, loaded_stage, press, saved_app, screen_text, settle
from trtdbg.policy import Timing
from trtdbg.worker.messages import LogLevel

SIZE = (160, 50)


async def first_frame(app: TrtdbgApp, monkeypatch: pytest.MonkeyPatch) -> str:
    """Returns the text of the screen of an app whose conversation has not begun."""
    asked: list[Requests] = []
    monkeypatch.setattr(Requests, "begin", lambda self: asked.append(self))
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert asked, "the conversation was to begin once the screen was painted"
        return screen_text(app)


async def test_it_says_what_is_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    text = await first_frame(Stage().app, monkeypatch)
    assert "attention.pt2" in text
    assert "starting the worker" in text
    assert "analysing late" in text
    assert "Nothing was analysed" not in text


@pytest.mark.parametrize("app", [saved_app(), loaded_stage(Timing.LATE).app])
async def test_a_report_that_is_known_is_shown_at_once(
    app: TrtdbgApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await first_frame(app, monkeypatch)
    assert "_softmax" in text
    assert "Opening" not in text


async def test_panes_are_mounted_by_the_report() -> None:
    stage = Stage()
    async with stage.app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert not stage.app.query(NodeTable)
        stage.worker.log("torch is imported", LogLevel.INFO)
        await settle(pilot)
        assert not stage.app.query_one(NodeTable).display
        assert "starting the worker" in screen_text(stage.app)
        await press(pilot, "5")
        assert "torch is imported" in screen_text(stage.app)
