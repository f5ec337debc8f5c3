"""The search for what must stay in float32: its key, the growing set, the curve, the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from trtdbg_ui.render.low_search import curve
from trtdbg_ui.text import plain
from trtdbg_ui.widgets.dialog import Page
from trtdbg_ui.widgets.low_search_dialog import LowSearchDialog

from tests.ui.canned import report
from tests.ui.fakes import Stage, loaded_stage, notes, press, saved_app, settle, text_of
from trtdbg.policy import Precision, Timing
from trtdbg.records.precision import (
    LowCandidate,
    LowRanking,
    LowTrial,
    Point,
    UpstreamSettings,
)
from trtdbg.worker.messages import ExpressLow, RankLow, TryLow

NEEDED = frozenset({"exp"})
CANDIDATES = tuple(
    LowCandidate(name=name, target=f"aten.{name}.default", local_error=float(name == "exp"))
    for name in ("linear", "exp", "mul", "add")
)
RANKING = LowRanking(candidates=CANDIDATES, outputs=("y",), inputs=("example",), atol=(0.1,))


def reply(request: Any) -> Any:
    """Returns what a worker says of a program of which one operator has to stay."""
    if isinstance(request, RankLow):
        return RANKING
    if isinstance(request, ExpressLow):
        return UpstreamSettings(exact=True)
    assert isinstance(request, TryLow)
    return LowTrial(error=0.5 if set(request.keep) >= NEEDED else None)


async def until(pilot: Pilot[int], holds: Callable[[], object]) -> None:
    """Waits for what another thread does."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        await pilot.pause(0.01)
    await settle(pilot)


async def answer(stage: Stage, pilot: Pilot[int]) -> Any:
    """Answers the next request and returns it."""
    await until(pilot, lambda: stage.worker.waiting)
    request = stage.worker.requests[-1]
    stage.worker.answer(reply(request))
    return request


def shown(stage: Stage) -> str:
    assert isinstance(stage.app.screen, LowSearchDialog)
    return text_of(stage.app.screen.query_one(Page))


async def test_the_set_grows_on_the_screen_and_is_taken() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "X")
        assert "searching" in shown(stage)
        request = await answer(stage, pilot)
        assert request.policy.precision is Precision.FLOAT16
        await answer(stage, pilot)
        await until(pilot, lambda: "tried now: 0 of 4 operators kept" in shown(stage))
        assert "no set is within the tolerance yet" in shown(stage)
        await answer(stage, pilot)
        await until(pilot, lambda: "so far: 4 of 4 operators kept" in shown(stage))
        assert "exp (aten.exp.default)" in shown(stage)
        while not isinstance(await answer(stage, pilot), ExpressLow):
            pass
        await until(pilot, lambda: "1 operator of 4 stays in float32" in shown(stage))
        assert "●" in shown(stage)
        assert "×" in shown(stage)
        await press(pilot, "enter")
        assert stage.app.state.policy.keep_measured == ("exp",)
        assert stage.app.state.policy.precision is Precision.FLOAT16


async def test_closing_the_page_stops_the_search() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        policy = stage.app.state.policy
        await press(pilot, "X")
        await answer(stage, pilot)
        await until(pilot, lambda: stage.worker.waiting)
        await press(pilot, "escape")
        before = len(stage.worker.requests)
        stage.worker.answer(LowTrial(error=None))  # type: ignore[arg-type]
        await settle(pilot)
        assert any("stopped" in note for note in notes(stage.app))
        assert len(stage.worker.requests) == before
        assert stage.app.state.policy == policy


async def test_a_saved_report_has_no_program_to_search() -> None:
    app = saved_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "X")
        assert notes(app) == ["This is a saved report: there is nothing to search."]
    assert report(Timing.LATE).policy.precision is Precision.NONE


@pytest.mark.parametrize("size", [12, 40, 90])
def test_the_curve_shows_whether_each_set_is_within_the_tolerance(size: int) -> None:
    points = (
        Point(kept=4, share_low=0.0, error=0.0),
        Point(kept=2, share_low=0.5, error=0.99),
        Point(kept=1, share_low=0.75, error=1.01),
        Point(kept=0, share_low=1.0, error=None),
    )
    rows = [plain(each) for each in curve(points, size)]
    middle = next(i for i, row in enumerate(rows) if row.lstrip().startswith("1 ┤"))
    assert sum(row.count("●") for row in rows[middle:]) == 2
    assert sum(row.count("×") for row in rows[:middle]) == 2
    assert rows[1].rstrip().endswith("×"), "what is infinite is at the top"
    assert all(len(row) <= max(size, 18) for row in rows[1:])
