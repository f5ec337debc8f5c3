"""Whole questions, as a new user asks them: each answered in at most five keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.model.state import State
from trtdbg_ui.widgets.cure_dialog import CureDialog
from trtdbg_ui.widgets.dialog import Dialog, Page

from tests.ui import canned
from tests.ui.fakes import Stage, press, screen_text, settings_bar, settle, text_of
from trtdbg.policy import Precision, Settings, Timing
from trtdbg.records import Report
from trtdbg.worker.messages import Analyze, Measure, Weigh

MIDDLE = (120, 35)
_KEPT = (canned.report, canned.lowered_graph, canned.passes)


@pytest.fixture
def deep(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes the canned model one of 24 layers."""
    _forget()
    monkeypatch.setattr(canned, "LAYERS", 24)
    yield
    _forget()


def _forget() -> None:
    for function in _KEPT:
        clear = getattr(function, "cache_clear", None)
        if clear is not None:
            clear()


def opened(*reports: Report) -> Stage:
    """Returns a stage that opens as the program does, on the causes of the first report."""
    stage = Stage(reports[0].policy.timing, reports)
    first = State(stage.app.state.policy, reports[0].settings)
    stage.app.begin_with(first, stage.app.theme, ())
    stage.app._desk.use(reports[0].settings)
    return stage


def page(app: TrtdbgApp) -> str:
    assert isinstance(app.screen, Dialog)
    return text_of(app.screen.query_one(Page))


@pytest.mark.usefixtures("deep")
async def test_why_which_line_what_to_do_do_it_and_whether_it_is_better() -> None:
    stage = opened(canned.caused(Timing.UPSTREAM))
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        shown = screen_text(stage.app)
        assert "25 engines, not one" in shown
        assert "one cause, 24×" in shown
        assert "attention.py:34  p = torch.softmax(scores.double() / 8, -1)" in shown
        assert "a build with timing late → 1 engine" in shown
        await press(pilot, "a")
        request = stage.worker.requests[-1]
        assert isinstance(request, Analyze)
        assert request.policy.timing is Timing.LATE
        stage.worker.answer(canned.report(Timing.LATE))
        await settle(pilot)
        assert "One engine holds all" in screen_text(stage.app)
        assert "late: engines 25 → 1" in settings_bar(stage.app)
        await press(pilot, "D")
        assert "Engines took" in page(stage.app)


@pytest.mark.usefixtures("deep")
async def test_what_to_do_is_tried_and_then_done_where_nobody_tried_it_before() -> None:
    stage = opened(canned.report(Timing.UPSTREAM))
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        assert "a finds out what helps, by trying it here" in screen_text(stage.app)
        await press(pilot, "a")
        asked = stage.worker.requests[-1]
        assert isinstance(asked, Weigh)
        assert (asked.cures, asked.consequences, asked.suggestion) == (True, False, False)
        stage.worker.answer(canned.caused(Timing.UPSTREAM))
        await settle(pilot)
        assert isinstance(stage.app.screen, CureDialog)
        await press(pilot, "a")
        request = stage.worker.requests[-1]
        assert isinstance(request, Analyze)
        assert request.policy.timing is Timing.LATE


async def test_which_pass_made_this_dtype() -> None:
    stage = opened(canned.caused(Timing.UPSTREAM))
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        await press(pilot, "w")
        told = " ".join(page(stage.app).split())
        # The line that asks for it, the operator that makes it, the pass that brought it.
        assert "aten._to_copy.default makes float64 from float32" in told
        assert "(attention.py:34)" in told
        assert "_to_copy is float64 since pass 4 run_decompositions" in told
        # A pass that changed a dtype goes to the node, and the same key tells all that did.
        await press(pilot, "escape", "{")
        assert stage.app.state.node == "matmul_1"
        await press(pilot, "w")
        told = " ".join(page(stage.app).split())
        assert "pass 14 complex_graph_detection" in told
        assert "pass 20 refresh fake tensors" in told


@pytest.mark.usefixtures("deep")
async def test_what_float16_would_cost() -> None:
    stage = opened(canned.report(Timing.LATE))
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        assert "P engines in float32" in settings_bar(stage.app)
        await press(pilot, "P")
        request = stage.worker.requests[-1]
        assert isinstance(request, Analyze)
        assert request.policy.precision is Precision.FLOAT16
        low = canned.report(Timing.LATE)
        policy = replace(low.policy, precision=Precision.FLOAT16)
        stage.worker.answer(replace(low, policy=policy))
        await settle(pilot)
        assert "engines in float16: same engines, casts" in settings_bar(stage.app)
        await press(pilot, "M")
        measure = stage.worker.requests[-1]
        assert isinstance(measure, Measure)
        assert measure.policy == policy
        await press(pilot, "escape", "z")
        assert stage.app.state.policy == low.policy


async def test_why_this_engine_does_not_build() -> None:
    stage = opened(canned.refused())
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        shown = screen_text(stage.app)
        assert "TensorRT refuses 1 engine" in shown
        assert "TensorRT refuses engine 1: operand.cpp:156: CHECK" in shown
        assert "E1✖" in shown


async def test_which_setting_splits_the_model() -> None:
    base = canned.report(Timing.LATE)
    nodes = tuple(
        replace(node, engine=None) if node.name == "_softmax" else node for node in base.nodes
    )
    split = replace(
        base,
        nodes=nodes,
        torch_ops=("aten._softmax.default",),
        settings=Settings(min_block_size=5),
    )
    stage = opened(split)
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        assert "fewer than 5 operators" in screen_text(stage.app)
        await press(pilot, "minus")
        request = stage.worker.requests[-1]
        assert request.job.settings.min_block_size == 4
