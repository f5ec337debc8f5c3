"""Each action of the table has a key that does something, on the screen or beyond it."""

from __future__ import annotations

from pathlib import Path

import pytest
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.keys.actions import ACTIONS, MOVES, Action
from trtdbg_ui.widgets.dialog import Dialog, Page

from tests.ui.canned import report
from tests.ui.fakes import Stage, loaded_stage, notes, press, screen_text, settle, text_of
from trtdbg.policy import Timing

WIDE = (160, 50)

BEFORE: dict[str, tuple[str, ...]] = {
    "undo": ("t",),
    "redo": ("t", "z"),
    "what-changed": ("t",),
    "smaller-blocks": ("+",),
    "result": ("[",),
    "next-pass": ("3", "g"),
    "next-change": ("3", "g"),
    "compare-passes": ("[",),
    "next-hit": ("slash", *"matmul", "enter"),
    "previous-hit": ("slash", *"matmul", "enter"),
    "back": (">",),
    "build-one-engine": (">",),
    "layers": (">",),
    "cancel": ("b",),
    "graph": ("3",),
    "hide-unchanged": ("3",),
    "causes": ("2",),
    "pane-left": ("l",),
}
"""What has to be pressed first, so that a key has something to do."""


def moment(app: TrtdbgApp, stage: Stage) -> tuple[object, ...]:
    """Returns all that a key can change."""
    return (
        screen_text(app),
        app.theme,
        app.clipboard,
        tuple(notes(app)),
        len(app.screen_stack),
        app.state.pane,
        app.state.policy,
        app.state.settings,
        len(stage.worker.requests),
        stage.worker.cancelled,
        app.return_value,
    )


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
async def test_the_key_of_each_action_does_something(
    action: Action, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stage = loaded_stage(Timing.UPSTREAM, Timing.LATE, Timing.OFF, Timing.EARLY)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, *BEFORE.get(action.id, ()))
        stage.app.clear_notifications()
        await settle(pilot)
        before = moment(stage.app, stage)
        await pilot.press(action.keys.split(",")[0])
        await settle(pilot)
        assert moment(stage.app, stage) != before, f"{action.shown} does nothing"


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.id)
async def test_each_key_that_moves_does_so_in_lists_and_in_texts(move: object) -> None:
    stage = Stage(Timing.UPSTREAM, [report(Timing.UPSTREAM)])
    async with stage.app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        back = move.id in ("up", "first-line", "page-up")  # type: ignore[attr-defined]
        for key in move.keys.split(","):  # type: ignore[attr-defined]
            await press(pilot, "2", "G" if back else "g")
            node = stage.app.state.node
            await press(pilot, key)
            assert stage.app.state.node != node, key
            await press(pilot, "question_mark", "G" if back else "g")
            assert isinstance(stage.app.screen, Dialog)
            shown = text_of(stage.app.screen.query_one(Page))
            await press(pilot, key)
            assert text_of(stage.app.screen.query_one(Page)) != shown, key
            await press(pilot, "escape")


def test_every_action_has_its_own_key_and_words() -> None:
    keys = [key for each in (*ACTIONS, *MOVES) for key in each.keys.split(",")]
    assert len(keys) == len(set(keys))
    assert all(action.label and action.help.endswith(".") for action in ACTIONS)
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
