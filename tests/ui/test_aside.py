"""Timings that nobody asked for are analysed while nothing else is to be done."""

from __future__ import annotations

from tests.ui.canned import caused, report
from tests.ui.fakes import Stage, notes, press, screen_text, settings_bar, settle
from trtdbg.errors import WorkerError
from trtdbg.policy import Timing
from trtdbg.worker.messages import Analyze, Build

SIZE = (120, 35)


def stage_of_one() -> Stage:
    return Stage(Timing.UPSTREAM, [caused(Timing.UPSTREAM)])


def quiet(stage: Stage, seconds: float) -> list[Timing]:
    """Lets time pass without a key; returns the timings asked about since the beginning."""
    stage.clock.now += seconds
    stage.app._count_aside()
    asked = (r for worker in stage.workers for r in worker.requests)
    return [request.policy.timing for request in asked if isinstance(request, Analyze)]


async def test_the_counts_of_all_timings_come_while_nobody_does_anything() -> None:
    stage = stage_of_one()
    async with stage.app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert quiet(stage, 1.0) == []
        assert quiet(stage, 1.5) == [Timing.LATE]
        assert "analysing" not in settings_bar(stage.app)
        stage.worker.answer(report(Timing.LATE))
        await settle(pilot)
        assert "late 1 ✓" in screen_text(stage.app)
        assert stage.app.state.policy.timing is Timing.UPSTREAM
        assert quiet(stage, 0.0) == [Timing.LATE, Timing.OFF]
        stage.worker.answer(report(Timing.OFF))
        await settle(pilot)
        # To lower the program anew takes longer, and waits for a longer silence.
        assert quiet(stage, 5.0) == [Timing.LATE, Timing.OFF]
        await press(pilot, "j")
        assert quiet(stage, 14.0) == [Timing.LATE, Timing.OFF]
        assert quiet(stage, 2.0)[2:] == [Timing.EARLY]
        stage.worker.fail(WorkerError("killed"))
        await settle(pilot)
        assert not notes(stage.app)
        # What failed is not asked again.
        assert len(quiet(stage, 60.0)) == 3
        await press(pilot, "t")
        assert stage.app.state.policy.timing is Timing.LATE
        assert len(stage.worker.requests) == 3, "the report was known"


async def test_who_asks_for_something_comes_next_and_who_asks_for_the_same_waits() -> None:
    stage = stage_of_one()
    async with stage.app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        quiet(stage, 3.0)
        await press(pilot, "b")
        assert not notes(stage.app)
        assert "building under upstream" in settings_bar(stage.app)
        assert len(stage.worker.requests) == 1
        # What the worker tells is about the other request.
        stage.worker.progress("partition", done=1, total=2)
        await settle(pilot)
        assert "partition" not in settings_bar(stage.app)
        stage.worker.answer(report(Timing.LATE))
        await settle(pilot)
        assert isinstance(stage.worker.requests[1], Build)
        await press(pilot, "escape")
        assert stage.worker.cancelled == 1
        await settle(pilot)
        quiet(stage, 3.0)
        await press(pilot, "T", "T")
        assert stage.app.state.policy.timing is Timing.OFF
        assert "analysing off" in settings_bar(stage.app)
        stage.worker.answer(report(Timing.OFF))
        await settle(pilot)
        assert stage.app.state.loaded is not None
        assert stage.app.state.loaded.report.policy.timing is Timing.OFF


async def test_a_saved_report_asks_nobody() -> None:
    from tests.ui.fakes import saved_app

    app = saved_app()
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        app._last_input -= 100.0
        app._count_aside()
        assert app._desk.running is None
