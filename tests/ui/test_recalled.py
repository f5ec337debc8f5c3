"""A report from the cache of analyses: shown as any other, and said to be one."""

from __future__ import annotations

from tests.ui.canned import report
from tests.ui.fakes import Stage, press, screen_text, settle
from trtdbg.policy import Timing
from trtdbg.worker.messages import Analyze, Recalled


async def test_a_report_from_the_cache_says_so_until_something_else_is_said() -> None:
    stage = Stage()
    async with stage.app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        assert stage.worker.started == 1, "the worker starts behind"
        stage.worker.on_event(Recalled(made=0.0))
        stage.worker.answer(report())
        await settle(pilot)
        assert "from the cache, analysed 19" in screen_text(stage.app)
        await press(pilot, "T")
        stage.worker.answer(report(stage.app.state.policy.timing))
        await settle(pilot)
        assert "from the cache" not in screen_text(stage.app)


async def test_an_answer_of_the_worker_does_not_say_so() -> None:
    stage = Stage()
    async with stage.app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        stage.worker.answer(report())
        await settle(pilot)
        assert "from the cache" not in screen_text(stage.app)


async def test_analysing_again_does_not_take_what_is_kept() -> None:
    stage = Stage(Timing.LATE)
    async with stage.app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        stage.worker.answer(report())
        await settle(pilot)
        await press(pilot, "R")
        first, again = stage.worker.requests
        assert isinstance(first, Analyze)
        assert isinstance(again, Analyze)
        assert (first.anew, again.anew) == (False, True)
        stage.worker.answer(report())
        await settle(pilot)
        await press(pilot, "T")
        assert not stage.worker.requests[-1].anew  # type: ignore[union-attr]
