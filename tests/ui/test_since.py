"""A saved report beside the present one: engines, versions and causes that changed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from textual.widgets import Input
from trtdbg_ui.widgets.bar import Bar
from trtdbg_ui.widgets.dialog import Dialog
from trtdbg_ui.widgets.saved_dialog import SavedDialog

from tests.ui.canned import report
from tests.ui.fakes import Stage, loaded_stage, notes, press, settle, text_of
from trtdbg.policy import Timing


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The report of an older version, under which the model was one engine."""
    late = report(Timing.LATE)
    older = msgspec.structs.replace(late.environment, torch_tensorrt="2.12.0")
    path = tmp_path / "old.json"
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(late, environment=older)))
    return path


async def ask(stage: Stage, pilot: object, path: str) -> None:
    await press(pilot, "S")  # type: ignore[arg-type]
    assert isinstance(stage.app.screen, SavedDialog)
    stage.app.screen.query_one(Input).value = path
    await press(pilot, "enter")  # type: ignore[arg-type]


async def test_what_changed_since_a_saved_report_is_a_page(saved: Path) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        await ask(stage, pilot, str(saved))
        assert isinstance(stage.app.screen, Dialog)
        shown = text_of(stage.app.screen.query_one("TextView"))
        assert "torch_tensorrt: 2.12.0 → 2.13.0" in shown
        assert "1 engine → 5" in shown
        assert "cause new: " in shown
        assert "saved " in shown
        await press(pilot, "S")
        assert not isinstance(stage.app.screen, Dialog)


async def test_what_is_no_saved_report_is_said_in_the_dialog(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for path, why in (
            (str(tmp_path / "model.pt2"), "Name a report"),
            (str(bad), "not a saved"),
        ):
            await ask(stage, pilot, path)
            assert why in text_of(stage.app.screen.query_one("#saved-status", Bar))
            await press(pilot, "escape")
        assert notes(stage.app) == []
