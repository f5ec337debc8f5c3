"""The first screen: causes, what the details are about, what the footer offers."""

from __future__ import annotations

from msgspec.structs import replace
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.model.causes import CauseRow
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.model.state import Pane, State
from trtdbg_ui.render.answer import answer
from trtdbg_ui.render.causes import cause_row
from trtdbg_ui.text import plain
from trtdbg_ui.widgets.key_bar import KeyBar

from tests.ui.canned import built, caused, report
from tests.ui.fakes import Stage, press, saved_app, screen_text, settle, text_of
from trtdbg.errors import WorkerError
from trtdbg.policy import Settings, Timing
from trtdbg.records import CauseKind, Report

MIDDLE = (120, 35)


def first_screen(*reports: Report) -> Stage:
    """Returns a stage that opens on the causes of the first report, as a user sees it."""
    stage = Stage(reports[0].policy.timing, reports)
    state = State(stage.app.state.policy, Settings())
    stage.app.begin_with(state, stage.app.theme, ())
    return stage


def details(app: TrtdbgApp) -> str:
    return text_of(app.board.pane(Pane.DETAIL))


async def test_the_details_of_the_causes_are_about_the_cause_whatever_was_shown_before() -> (
    None
):
    stage = first_screen(caused(Timing.UPSTREAM))
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        assert "without this cause" in details(stage.app)
        await press(pilot, "2", "j", "j")
        assert "export promised" in details(stage.app)
        await press(pilot, "1")
        assert "without this cause" in details(stage.app)
        await press(pilot, "f")
        assert "export promised" in details(stage.app)


async def test_the_details_of_a_place_of_a_cause_are_about_its_node() -> None:
    stage = first_screen(caused(Timing.UPSTREAM))
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        await press(pilot, "space", "j")
        assert "export promised" in details(stage.app)
        await press(pilot, "2", "1")
        assert "export promised" in details(stage.app)
        await press(pilot, "k")
        assert "without this cause" in details(stage.app)


async def test_enter_opens_the_places_of_a_cause_and_the_details_of_a_place() -> None:
    stage = first_screen(caused(Timing.UPSTREAM))
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        shown = text_of(stage.app.board.pane(Pane.CAUSES))
        assert shown.count("_to_copy") == 5
        assert stage.app.state.pane is Pane.CAUSES
        await press(pilot, "j", "enter")
        assert stage.app.state.pane is Pane.DETAIL
        await press(pilot, "h", "k", "enter")
        assert text_of(stage.app.board.pane(Pane.CAUSES)).count("_to_copy") == 1


def test_a_row_of_a_cause_says_why_however_long_its_place_is() -> None:
    one = caused(Timing.UPSTREAM)
    source = replace(one.causes[0].sources[0], file="/a/long/way/to/models/rank_nine.py")
    cause = replace(
        one.causes[0],
        kind=CauseKind.TENSORRT_REFUSES,
        target=None,
        cures=(),
        reason="TensorRT refuses it: 9 dimensions, TensorRT has at most 8",
        sources=(source, source, source),
    )
    loaded = Loaded(replace(one, causes=(cause,)))
    row = CauseRow(0)
    wide = plain(cause_row(loaded, row, 120, opened=False))
    assert (
        "TensorRT refuses  TensorRT refuses it: 9 dimensions, TensorRT has at most 8" in wide
    )
    assert "rank_nine.py:34 and 2 lines more" in wide
    assert "TensorRT refuses it: 9 dim" in plain(cause_row(loaded, row, 60, opened=False))
    assert len(plain(cause_row(loaded, row, 40, opened=False))) <= 40


async def test_the_footer_offers_to_do_something_only_where_there_is_a_cause() -> None:
    for timing, offered in ((Timing.UPSTREAM, True), (Timing.LATE, False)):
        stage = first_screen(caused(timing))
        async with stage.app.run_test(size=MIDDLE) as pilot:
            await settle(pilot)
            assert ("do it" in text_of(stage.app.query_one(KeyBar))) is offered


async def test_a_clean_model_says_what_can_be_done_next() -> None:
    stage = first_screen(report(Timing.LATE))
    async with stage.app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        assert "Nothing keeps an operator out. b builds" in screen_text(stage.app)


async def test_a_saved_report_offers_nothing_that_needs_a_worker() -> None:
    app = saved_app(Timing.UPSTREAM)
    async with app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        shown = screen_text(app)
        assert "nothing was tried; open the exported .pt2" in shown
        assert "finds out" not in shown
        assert app.focused is app.board.pane(Pane.CAUSES)


def test_a_report_without_causes_has_those_that_follow_from_it() -> None:
    old = Loaded(report(Timing.UPSTREAM))
    assert [len(cause.nodes) for cause in old.causes] == [4]
    assert old.causes[0].reason.startswith("validate_dtype rejects")


def test_engines_that_fail_are_told_in_the_answer_and_are_causes() -> None:
    failing = built(report(Timing.LATE), failing=0)
    shown = Loaded(replace(failing, causes=()))
    assert shown.failed_engines == {0}
    lines = [plain(each) for each in answer(shown, 160)]
    assert lines[0] == "✗ One engine holds all 44 operators, and TensorRT refuses it"


async def test_the_log_says_why_an_analysis_ended_that_left_no_traceback() -> None:
    stage = Stage()
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        stage.worker.fail(WorkerError("the worker was killed by SIGSEGV"))
        await settle(pilot)
        await press(pilot, "5")
        assert "killed by SIGSEGV" in text_of(stage.app.board.pane(Pane.LOG))
