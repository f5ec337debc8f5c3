"""What the keys do, in a running app with a worker that answers on request."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace
from textual.widgets import Input
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.keys.actions import ACTIONS
from trtdbg_ui.model.state import VIEWS, Pane
from trtdbg_ui.render import nodes
from trtdbg_ui.text import plain
from trtdbg_ui.widgets.board import Board
from trtdbg_ui.widgets.dialog import Dialog, Page
from trtdbg_ui.widgets.finding_list import FindingList
from trtdbg_ui.widgets.node_table import NodeTable
from trtdbg_ui.widgets.text_view import TextView

from tests.ui.canned import built, large, report
from tests.ui.fakes import (
    FakeWorker,
    Stage,
    loaded_stage,
    notes,
    press,
    saved_app,
    screen_text,
    settings_bar,
    settle,
    text_of,
)
from trtdbg.errors import ExitCode, ModelError, WorkerBugError, WorkerError
from trtdbg.policy import Timing, TruncationPolicy
from trtdbg.records import BuildStatus
from trtdbg.worker.messages import Analyze, Build, LogLevel

WIDE = (160, 50)
NARROW = (80, 24)


def page_text(app: TrtdbgApp) -> str:
    assert isinstance(app.screen, Dialog)
    return text_of(app.screen.query_one(Page))


# Starting.


async def test_the_worker_starts_after_the_first_frame_and_is_asked_once() -> None:
    stage = Stage()
    assert stage.worker.started == 0
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert stage.worker.started == 1
        assert [type(request) for request in stage.worker.requests] == [Analyze]


async def test_loading_names_the_stages_and_how_long_each_took() -> None:
    stage = Stage()
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        stage.clock.now += 1.5
        stage.worker.progress("load", "attention.pt2")
        await settle(pilot)
        stage.clock.now += 2.5
        stage.worker.progress("capture", "constant_fold", 8)
        await settle(pilot)
        stage.clock.now += 0.3
        stage.app._tick()
        shown = text_of(stage.app.query_one("#loading", TextView))
        assert "✓ starting the worker" in shown
        assert "1.5 s" in shown
        assert "✓ loading the program" in shown
        assert "2.5 s" in shown
        assert "… lowering, pass by pass" in shown
        assert "0.3 s" in shown
        assert "constant_fold" in shown


async def test_keys_do_nothing_harmful_while_nothing_is_loaded() -> None:
    stage = Stage()
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        for action in ACTIONS:
            if action.name not in (
                "quit",
                "leave",
                "command_palette",
                "help",
                "again",
                "copy",
            ):
                await press(pilot, action.keys)
        assert stage.app.state.loaded is None
        assert len(stage.worker.requests) == 1
        stage.worker.answer(report())
        await settle(pilot)
        assert stage.app.state.loaded is not None


async def test_the_first_report_selects_the_first_node_left_to_pytorch() -> None:
    stage = Stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        stage.worker.answer(report(Timing.UPSTREAM))
        await settle(pilot)
        assert stage.app.state.node == "_to_copy"
        assert stage.app.focused is stage.app.query_one(NodeTable)
        shown = screen_text(stage.app)
        assert "5 engines, not one: 4 of 44 operators stay in PyTorch" in shown
        assert "one cause, 4×" in shown
        assert "_to_copy: validate_dtype rejects: _to_copy converter rejected node" in shown


async def test_a_model_that_cannot_be_read_is_said_with_its_remedy_and_exit_code() -> None:
    stage = Stage()
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        stage.worker.fail(ModelError("bad.pt2 is a text file", remedy="export it again"))
        await settle(pilot)
        shown = text_of(stage.app.query_one("#loading", TextView))
        assert "✖ bad.pt2 is a text file" in shown
        assert "export it again" in shown
        assert stage.app.exit_code is ExitCode.USAGE
        await press(pilot, "R")
        stage.worker.answer(report())
        await settle(pilot)
        assert stage.app.state.loaded is not None
        assert stage.app.exit_code is ExitCode.CLEAN


async def test_a_first_analysis_that_failed_can_be_tried_under_another_timing() -> None:
    stage = Stage(Timing.LATE)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        stage.worker.fail(WorkerBugError("KeyError: 'x'"))
        await settle(pilot)
        assert notes(stage.app) == []
        await press(pilot, "T")
        assert stage.worker.requests[1].policy.timing is Timing.UPSTREAM
        stage.worker.answer(report(Timing.UPSTREAM))
        await settle(pilot)
        assert stage.app.state.loaded is not None


async def test_cancelling_the_first_analysis_leaves_a_way_to_start_again() -> None:
    stage = Stage()
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "escape")
        assert stage.worker.cancelled == 1
        assert "R" in text_of(stage.app.query_one("#loading", TextView))
        await press(pilot, "R")
        assert len(stage.worker.requests) == 2


# Policy.


async def test_timing_is_analysed_at_once_and_what_changed_is_shown() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert stage.worker.requests == []
        await press(pilot, "t")
        assert stage.worker.requests[0].policy.timing is Timing.LATE
        assert "analysing late" in settings_bar(stage.app)
        stage.worker.answer(report(Timing.LATE))
        await settle(pilot)
        assert "late: engines 5 → 1, PyTorch ops 4 → 0" in settings_bar(stage.app)
        assert "✓ One engine holds all 44 operators" in screen_text(stage.app)


async def test_going_back_to_a_known_policy_asks_nobody() -> None:
    stage = loaded_stage(Timing.UPSTREAM, Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "t", "T", "t")
        assert stage.worker.requests == []
        assert stage.app.state.loaded.report.policy.timing is Timing.LATE
        await press(pilot, "T")
        assert "upstream: engines 1 → 5, PyTorch ops 0 → 4" in settings_bar(stage.app)


async def test_of_keys_pressed_in_a_row_only_the_last_policy_waits() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "t", "t", "t")
        assert [r.policy.timing for r in stage.worker.requests] == [Timing.OFF]
        assert stage.app.state.policy.timing is Timing.UPSTREAM
        stage.worker.answer(report(Timing.OFF))
        await settle(pilot)
        timings = [r.policy.timing for r in stage.worker.requests]
        assert timings == [Timing.OFF, Timing.UPSTREAM]
        assert stage.app.state.loaded.report.policy.timing is Timing.LATE
        stage.worker.answer(report(Timing.UPSTREAM))
        await settle(pilot)
        assert stage.app.state.loaded.report.policy.timing is Timing.UPSTREAM


@pytest.mark.parametrize(
    ("key", "path"), [("i", "inputs"), ("c", "constants"), ("o", "computed")]
)
async def test_each_path_has_its_key(key: str, path: str) -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, key)
        asked = stage.worker.requests[0].policy
        assert getattr(asked, path) == ("float64", "int64")
        assert f"{path} float64+int64" in text_of(stage.app.query_one("#policy", TextView))
        await press(pilot, key.upper())
        assert stage.app.state.policy == TruncationPolicy()


async def test_a_node_and_a_pass_stay_selected_when_the_policy_changes() -> None:
    stage = loaded_stage(Timing.UPSTREAM, Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "[", "j", "j")
        place, node = stage.app.state.place, stage.app.state.node
        await press(pilot, "t")
        assert (stage.app.state.place, stage.app.state.node) == (place, node)


async def test_a_failed_analysis_says_why_and_keeps_the_report_shown() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "t")
        stage.worker.fail(WorkerError("the worker was killed by SIGSEGV during infer"))
        await settle(pilot)
        assert "killed by SIGSEGV during infer" in screen_text(stage.app)
        assert stage.app.state.policy.timing is Timing.LATE
        await press(pilot, "escape")
        assert "SIGSEGV" not in screen_text(stage.app)
        await press(pilot, "t")
        stage.worker.answer(report(Timing.OFF))
        await settle(pilot)
        assert stage.app.state.loaded.report.policy.timing is Timing.OFF


async def test_the_traceback_of_a_bug_goes_to_the_log_and_not_to_the_screen() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "t")
        stage.worker.fail(WorkerBugError("KeyError: 'x'", "Traceback:\n  File one\nKeyError"))
        await settle(pilot)
        assert "Traceback" not in screen_text(stage.app)
        await press(pilot, "5")
        assert "File one" in screen_text(stage.app)


# Building.


async def test_build_shows_its_progress_and_then_the_result() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "b")
        request = stage.worker.requests[0]
        assert isinstance(request, Build)
        assert request.engines == (0, 1, 2, 3, 4)
        stage.worker.progress("build", "engine 1", 1, 5)
        await settle(pilot)
        stage.clock.now += 2
        await settle(pilot)
        stage.app._tick()
        assert "building under upstream: build 1/5 2.0 s" in settings_bar(stage.app)
        assert "… building 2.0 s" in screen_text(stage.app)
        stage.worker.answer(built(report(Timing.UPSTREAM)))
        await settle(pilot)
        assert "✓ built 1.2 s, 1.3 MB, for sm86" in screen_text(stage.app)
        assert notes(stage.app) == ["5 engines: 5 built"]


async def test_a_failed_build_names_the_engine_and_tensorrts_sentence() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "b")
        stage.worker.answer(built(report(Timing.UPSTREAM), failing=1))
        await settle(pilot)
        shown = screen_text(stage.app)
        assert "TensorRT refuses 1 engine" in shown
        assert "_softmax: TensorRT refuses it: IBuilder::buildSerializedNetwork" in shown


async def test_escape_cancels_a_build_and_the_engines_say_so() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "b", "escape")
        assert stage.worker.cancelled == 1
        assert stage.app.state.activity is None
        assert "build cancelled" in settings_bar(stage.app)
        engine = stage.app.state.loaded.report.engines[0]
        assert engine.build.status is BuildStatus.CANCELLED
        await press(pilot, "b")
        assert len(stage.worker.requests) == 2


async def test_a_worker_that_dies_while_building_leaves_a_message_and_the_app() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "b")
        stage.worker.fail(WorkerError("killed by SIGABRT during build of engine 0"))
        await settle(pilot)
        assert "✖ killed by SIGABRT during build of engine 0" in screen_text(stage.app)
        await press(pilot, "b")
        assert len(stage.worker.requests) == 2


async def test_a_policy_key_during_a_build_waits_for_the_build() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "b", "T")
        assert len(stage.worker.requests) == 1
        stage.worker.answer(built(report(Timing.LATE)))
        await settle(pilot)
        assert stage.worker.requests[1].policy.timing is Timing.UPSTREAM
        stage.worker.answer(report(Timing.UPSTREAM))
        await settle(pilot)
        await press(pilot, "t")
        status = stage.app.state.loaded.report.engines[0].build.status
        assert status is BuildStatus.BUILT


async def test_a_second_build_is_not_started_while_one_runs_or_when_all_is_built() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "b", "b")
        assert len(stage.worker.requests) == 1
        assert "busy" in notes(stage.app)[-1]
        stage.worker.answer(built(report(Timing.LATE)))
        await settle(pilot)
        await press(pilot, "b")
        assert len(stage.worker.requests) == 1


async def test_on_a_small_screen_build_shows_the_engines() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "b")
        assert stage.app.state.pane is Pane.ENGINES
        assert "… waiting" in screen_text(stage.app)


# Passes and nodes.


async def test_brackets_step_through_passes_and_end_at_the_result() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        last = len(stage.app.state.loaded.report.passes) - 1
        await press(pilot, "[")
        assert stage.app.state.place == last
        assert f"after pass {last} refresh fake tensors" in screen_text(stage.app)
        await press(pilot, "]", "]")
        assert stage.app.state.place is None
        await press(pilot, *("[" * 40))
        assert stage.app.state.place == 0
        await press(pilot, "=")
        assert stage.app.state.place is None


async def test_braces_step_to_passes_that_changed_something() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        seen = []
        for _ in range(3):
            await press(pilot, "{")
            seen.append(stage.app.state.loaded.report.passes[stage.app.state.place].name)
        assert seen == [
            "refresh fake tensors",
            "complex_graph_detection",
            "remove_num_users_is_0_nodes",
        ]
        await press(pilot, "}")
        assert stage.app.state.place == 14


async def test_a_pass_shows_recorded_dtypes_before_and_after() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "{", "{", "u")
        table = text_of(stage.app.query_one(NodeTable))
        assert "after pass 14 complex_graph_detection" in table
        assert "~ retyped matmul_1" in table
        assert "float32 float64" in table
        assert "linear" not in table.split("arguments")[1].replace("layers", "")
        await press(pilot, "{")
        assert "- removed _guards_fn" in text_of(stage.app.query_one(NodeTable))


async def test_unchanged_passes_can_be_hidden_and_are_stepped_over_then() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        assert "constant_fold" in screen_text(stage.app)
        await press(pilot, "u")
        assert "constant_fold" not in screen_text(stage.app)
        await press(pilot, "[", "[")
        assert stage.app.state.place == 14
        await press(pilot, "u")
        assert "constant_fold" in screen_text(stage.app)


async def test_moving_in_the_pass_list_shows_that_pass() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "3", "k")
        assert stage.app.state.place == 20
        await press(pilot, "g")
        assert stage.app.state.place == 0
        await press(pilot, "enter")
        assert stage.app.state.pane is Pane.NODES


async def test_find_goes_to_hits_as_they_are_typed_and_n_goes_on() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "slash", *"_softmax")
        assert stage.app.state.node == "_softmax"
        await press(pilot, "enter", "n", "n")
        assert stage.app.state.node == "_softmax_2"
        await press(pilot, "N")
        assert stage.app.state.node == "_softmax_1"
        assert "2 of 4" in screen_text(stage.app)
        await press(pilot, "n", "n", "n")
        assert stage.app.state.node == "_softmax"
        await press(pilot, "escape")
        assert stage.app.state.find is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("float64", 12),
        (r"layers\.2\b", 17),
        (r"aten\.matmul", 8),
        ("TD101", 4),
        ("attn.py", 0),
    ],
)
async def test_find_looks_at_dtype_module_operator_and_code(text: str, number: int) -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "slash")
        stage.app.query_one(Input).value = text
        await settle(pilot)
        assert len(stage.app.state.hits) == number


async def test_a_broken_expression_says_so_and_finds_nothing() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "slash", "(", "enter")
        assert "not a regular expression" in screen_text(stage.app)
        await press(pilot, "n")
        assert notes(stage.app) == ["Nothing found."]


async def test_letters_in_the_search_line_are_text_and_not_keys() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "slash", "t", "q", "b")
        assert stage.app.query_one(Input).value == "tqb"
        assert stage.worker.requests == []


async def test_f_goes_from_problem_to_problem() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "f")
        assert stage.app.state.node == "_to_copy_2"
        await press(pilot, "F", "F")
        assert stage.app.state.node == "_to_copy_6"


async def test_explain_and_validators_open_pages_that_their_own_key_closes() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "e")
        assert "TD101 needless-rejection" in page_text(stage.app)
        assert "Cure" in page_text(stage.app)
        await press(pilot, "e", "v")
        assert "aten_ops_clone_copy_placeholder" in page_text(stage.app)
        assert "converter 2" in page_text(stage.app)
        await press(pilot, "v", "question_mark")
        assert "Truncate off, early, upstream or late" in page_text(stage.app)
        await press(pilot, "escape")
        assert not isinstance(stage.app.screen, Dialog)


async def test_a_node_without_findings_says_how_to_get_to_one() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "j", "e")
        assert "f goes to the next node" in notes(stage.app)[0]


async def test_a_finding_leads_to_its_node() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "[", "6", "H", "j", "j", "enter")
        assert stage.app.state.node == "_to_copy_4"
        assert stage.app.state.pane is Pane.NODES


async def test_an_engine_leads_to_its_first_node() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "4", "enter")
        assert stage.app.state.node == "layer_norm"


async def test_copy_takes_the_command_that_shows_this_again() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "y")
        assert stage.app.clipboard == (
            "trtdbg /home/ada/models/attention.pt2 --timing upstream --inputs float64 "
            "--constants float64 --computed float64 --verdicts validators --min-block-size 1 "
            "--partitioner global"
        )


# The screen.


@pytest.mark.parametrize("pane", VIEWS)
async def test_on_a_small_screen_each_number_shows_its_pane(pane: Pane) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, str(VIEWS.index(pane) + 1))
        board = stage.app.query_one(Board)
        shown = [each for each in Pane if board.pane(each).display]
        graph = [Pane.NODES] if pane is Pane.CAUSES else []
        assert shown == [pane, *graph]
        assert stage.app.focused is board.pane(pane)
        assert board.pane(pane).region.width == 80


async def test_tab_goes_through_the_panes_that_are_shown_and_around() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "tab")
        assert stage.app.state.pane is Pane.DETAIL
        await press(pilot, "tab")
        assert stage.app.state.pane is Pane.NODES
        await press(pilot, "l")
        assert stage.app.state.pane is Pane.DETAIL
        await press(pilot, "h")
        assert stage.app.state.pane is Pane.NODES
        await pilot.resize_terminal(*WIDE)
        await press(pilot, "1", "tab")
        assert stage.app.state.pane is Pane.NODES
        await press(pilot, "shift+tab")
        assert stage.app.state.pane is Pane.CAUSES


async def test_a_resized_screen_shows_as_many_panes_as_fit() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        board = stage.app.query_one(Board)
        shown = [len([p for p in Pane if board.pane(p).display])]
        for size in ((120, 50), (120, 24), (80, 24)):
            await pilot.resize_terminal(*size)
            await settle(pilot)
            shown.append(len([p for p in Pane if board.pane(p).display]))
        assert shown == [2, 2, 2, 1]


async def test_log_lines_go_to_the_log_pane_and_its_number_shows_it() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        for number in range(100):
            stage.worker.log(f"line {number}", LogLevel.WARNING)
        await settle(pilot)
        assert "line 99" not in screen_text(stage.app)
        await press(pilot, "5")
        assert "W tensorrt       line 99" in screen_text(stage.app)
        await press(pilot, "2")
        assert "line 99" not in screen_text(stage.app)


async def test_a_click_moves_the_cursor_and_the_keyboard() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await pilot.click("#nodes", offset=(10, 6))
        await settle(pilot)
        clicked = stage.app.state.node
        assert clicked != "_to_copy"
        tabs = text_of(stage.app.query_one("#tabs", TextView))
        await pilot.click("#tabs", offset=(tabs.index("Engines"), 0))
        await settle(pilot)
        assert stage.app.state.pane is Pane.ENGINES
        await pilot.click("#detail", offset=(3, 3))
        await settle(pilot)
        assert stage.app.state.pane is Pane.DETAIL


async def test_a_click_on_a_key_hint_does_what_the_key_does() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        hints = text_of(stage.app.query_one("#keys", TextView))
        await pilot.click("#keys", offset=(hints.index("hide unchanged"), 0))
        await settle(pilot)
        assert stage.app.state.hide_unchanged


async def test_a_click_on_a_name_in_the_details_goes_to_the_node_and_back() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        view = stage.app.query_one("#detail", TextView)
        await press(pilot, "l", "G")
        lines = text_of(view).splitlines()
        row = lines.index("operands") + 1
        name = lines[row].split()[0]
        # The border is above the first line; a click beside the words means nothing.
        await pilot.click("#detail", offset=(view.width_cells - 1, row + 1))
        await settle(pilot)
        assert stage.app.state.node == "_to_copy"
        await pilot.click("#detail", offset=(lines[row].index(name) + 1, row + 1))
        await settle(pilot)
        assert stage.app.state.node == name
        await press(pilot, "backspace")
        assert stage.app.state.node == "_to_copy"


async def test_a_click_in_a_pass_goes_to_the_operand_there() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "{", "{")
        lines = text_of(stage.app.query_one("#detail", TextView)).splitlines()
        row = lines.index("operands") + 1
        name = lines[row].split(",")[-1].strip()
        await pilot.click("#detail", offset=(lines[row].index(name) + 1, row + 1))
        await settle(pilot)
        assert stage.app.state.node == name
        assert stage.app.state.place is not None


async def test_a_click_on_either_part_of_a_broken_name_goes_to_the_node() -> None:
    base = report(Timing.UPSTREAM)
    name = "layers_0_attention_output_dense_projection_with_bias_folded_into_it"
    long = replace(base.nodes[-2], name=name)
    finding = replace(base.findings[0], message=f"it reads {name} (attention.py:34)")
    told = replace(
        base,
        nodes=(*base.nodes[:-1], long, base.nodes[-1]),
        findings=(finding, *base.findings[1:]),
    )
    for part in (name[:12], name[-12:]):
        stage = Stage(Timing.UPSTREAM, [told])
        async with stage.app.run_test(size=(160, 60)) as pilot:
            await settle(pilot)
            lines = text_of(stage.app.query_one("#detail", TextView)).splitlines()
            assert not any(name in each for each in lines)
            row = next(i for i, each in enumerate(lines) if part in each)
            await pilot.click("#detail", offset=(lines[row].index(part) + 1, row + 1))
            await settle(pilot)
            assert stage.app.state.node == name


async def test_names_on_the_page_of_a_wide_dtypes_origin_lead_to_their_nodes() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "slash", *"_softmax", "enter", "w")
        page = stage.app.screen.query_one(Page)
        lines = text_of(page).splitlines()
        row = next(i for i, each in enumerate(lines) if each.strip().startswith("div "))
        # One for the frame, and one more for its padding.
        await pilot.click(page, offset=(lines[0].index("Where") + 2, 1))
        await settle(pilot)
        assert isinstance(stage.app.screen, Dialog)
        await pilot.click(page, offset=(lines[row].index("div") + 3, row + 1))
        await settle(pilot)
        assert not isinstance(stage.app.screen, Dialog)
        assert stage.app.state.node == "div"
        await press(pilot, "backspace", "w")
        assert stage.app.state.node == "_softmax"
        # A name in brackets is a part of what stands between two spaces.
        page = stage.app.screen.query_one(Page)
        lines = text_of(page).splitlines()
        row = next(i for i, each in enumerate(lines) if "(div," in each)
        await pilot.click(page, offset=(lines[row].index("(div,") + 3, row + 1))
        await settle(pilot)
        assert stage.app.state.node == "div"


async def test_a_click_in_the_policy_bar_switches_timing_and_lists() -> None:
    stage = loaded_stage(Timing.LATE, Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        bar = text_of(stage.app.query_one("#policy", TextView))
        await pilot.click("#policy", offset=(bar.index("upstream") + 2, 0))
        await settle(pilot)
        assert stage.app.state.policy.timing is Timing.UPSTREAM
        bar = text_of(stage.app.query_one("#policy", TextView))
        await pilot.click("#policy", offset=(bar.index("constants") + 2, 0))
        await settle(pilot)
        assert stage.app.state.policy.constants == ("float64", "int64")


async def test_a_click_beside_a_dialog_closes_it() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        for key in ("question_mark", "x", "p", "s", "r", "m"):
            await press(pilot, key)
            assert len(stage.app.screen_stack) == 2, key
            await pilot.click(offset=(70, 25))
            await settle(pilot)
            assert len(stage.app.screen_stack) == 2, key
            await pilot.click(offset=(0, 0))
            await settle(pilot)
            assert len(stage.app.screen_stack) == 1, key


async def test_findings_are_told_in_full_and_e_explains_the_one_of_the_cursor() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "g", "6", "H")
        view = stage.app.query_one(FindingList)
        assert "…" not in text_of(view)
        rows = [view.finding_at(view.cursor)]
        while True:
            await press(pilot, "j")
            if view.finding_at(view.cursor) is rows[-1]:
                break
            rows.append(view.finding_at(view.cursor))
        assert tuple(rows) == stage.app.state.loaded.findings
        # The last one is in view with all of its lines.
        assert text_of(view).rstrip().endswith(plain(view._rows[-1].text).rstrip())
        await press(pilot, "g", "e")
        assert rows[0].message.split()[0] in page_text(stage.app)


async def test_findings_that_are_alike_take_one_row_that_lists_them_when_opened() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        view = stage.app.query_one(FindingList)
        assert "6[Findings]" in text_of(stage.app.query_one("#tabs", TextView))
        folded = text_of(view)
        assert "▲ TD101  ▸ 4× _to_copy (aten._to_copy.default)" in folded
        assert "_to_copy_2 (" not in folded
        await press(pilot, "space")
        opened = text_of(view)
        assert "▲ TD101  ▾ 4× _to_copy (aten._to_copy.default)" in opened
        for name in ("_to_copy_2", "_to_copy_4", "_to_copy_6"):
            assert f"  {name} (aten._to_copy.default)" in opened
        # Closed from inside, the cursor goes to what stands for all.
        await press(pilot, "j", "j", "e")
        assert "_to_copy_4 (" in page_text(stage.app)
        assert "_to_copy_2" not in page_text(stage.app)
        await press(pilot, "e", "space")
        assert text_of(view) == folded
        await press(pilot, "e")
        assert "and 3 alike: _to_copy_2, _to_copy_4, _to_copy_6" in page_text(stage.app)
        await press(pilot, "e", "j", "space")
        assert "No other finding is like this one." in notes(stage.app)[-1]
        await press(pilot, "k", "space", "j", "j", "enter")
        assert stage.app.state.node == "_to_copy_4"


async def test_a_click_on_the_number_of_a_finding_lists_those_alike() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        view = stage.app.query_one(FindingList)
        row = text_of(view).splitlines()[0]
        await pilot.click("#findings", offset=(row.index("4×"), 0))
        await settle(pilot)
        assert "▾ 4×" in text_of(view)
        await pilot.click("#findings", offset=(row.index("aten"), 0))
        await settle(pilot)
        assert "▾ 4×" in text_of(view)
        await pilot.click("#findings", offset=(row.index("▸"), 0))
        await settle(pilot)
        assert "▸ 4×" in text_of(view)


async def test_opened_findings_stay_open_in_the_next_report() -> None:
    stage = loaded_stage(Timing.UPSTREAM, Timing.EARLY, Timing.OFF)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "6", "space", "T", "T")
        assert "no findings" in text_of(stage.app.query_one(FindingList))
        await press(pilot, "H")
        assert "No finding is like another one." in notes(stage.app)[-1]
        await press(pilot, "z", "z")
        assert "▾ 4×" in text_of(stage.app.query_one(FindingList))


@pytest.mark.parametrize("lines", [24, 35, 50])
async def test_panes_keep_their_places_and_z_gives_one_the_whole_screen(lines: int) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=(160, lines)) as pilot:
        await settle(pilot)
        board = stage.app.query_one(Board)
        places = set()
        for key in ("2", "4", "6"):
            await press(pilot, key)
            places.add(board.pane(stage.app.state.pane).region)
        assert len(places) == 1
        await press(pilot, "Z")
        assert board.pane(Pane.FINDINGS).region.width == 160
        await press(pilot, "Z")
        assert {board.pane(Pane.FINDINGS).region} == places


async def test_light_and_dark_switch() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert stage.app.current_theme.dark
        await press(pilot, "L")
        assert not stage.app.current_theme.dark


async def test_names_and_messages_of_a_model_are_text_and_nothing_else() -> None:
    base = report(Timing.UPSTREAM)
    evil = "[/red]\x1b]52;c;x\x07[@click=app.quit]"
    node = replace(base.nodes[-2], name=evil, verdicts=())
    nasty = replace(base, nodes=(*base.nodes[:-2], node, base.nodes[-1]))
    stage = Stage(Timing.UPSTREAM, [nasty])
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "G", "k", "v")
        assert stage.app.state.node == evil
        assert "[/red]?]52;c;x?" in page_text(stage.app)
        await press(pilot, "v", "e", "t")
        stage.worker.fail(WorkerError(f"died of {evil}"))
        await settle(pilot)
        shown = screen_text(stage.app)
        assert "died of [/red]?]52;c;x?[@click=app.quit]" in shown
        assert "\x1b" not in shown + "".join(notes(stage.app))


async def test_without_colour_everything_is_still_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert stage.app.no_color
        table = text_of(stage.app.query_one(NodeTable))
        assert "❯▲ _to_copy" in table
        assert re.search("✗ no +✓ yes +PyTorch", table)


async def test_a_saved_report_is_read_only_and_says_so() -> None:
    app = saved_app()
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert "saved report, read-only" in screen_text(app)
        await press(pilot, "t", "b", "R", "y")
        assert len(notes(app)) == 4
        assert app.clipboard == "trtdbg report.json"
        assert app.state.policy.timing is Timing.UPSTREAM


async def test_every_action_has_a_method_a_binding_and_a_palette_entry() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        offered = {
            command.title for command in stage.app.get_system_commands(stage.app.screen)
        }
        bound = {binding.action for _, binding in stage.app._bindings}
        for action in ACTIONS:
            method = action.name.split("(")[0]
            assert hasattr(stage.app, f"action_{method}"), action.name
            assert action.name in bound or action.name == "command_palette"
            if action.name != "command_palette":
                assert any(title.endswith(f"({action.shown})") for title in offered)


async def test_the_palette_runs_an_action() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "ctrl+p", *"hide unch")
        await pilot.pause(0.5)
        await press(pilot, "enter")
        await pilot.pause(0.2)
        assert stage.app.state.hide_unchanged


async def test_quit_ends_with_success_after_a_report() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "q")
    assert stage.app.return_value == ExitCode.CLEAN


@pytest.mark.parametrize("before", [(), ("slash", "a"), ("question_mark",), ("b",)])
async def test_ctrl_c_ends_the_app_as_interrupted_wherever_the_keyboard_is(
    before: tuple[str, ...],
) -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        for key in (*before, "ctrl+c"):
            await press(pilot, key)
    assert stage.app.return_value == ExitCode.INTERRUPTED


async def test_of_fifty_thousand_nodes_only_visible_rows_are_rendered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rendered: list[int] = []
    row = nodes.row

    def counted(rows: object, index: int, *more: object) -> object:
        rendered.append(index)
        return row(rows, index, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(nodes, "row", counted)
    stage = Stage(Timing.UPSTREAM, [large(50_000)])
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert len(stage.app.state.rows.names) == 50_000
        assert len(rendered) < 500
        rendered.clear()
        await press(pilot, "j", "G")
        assert stage.app.state.row == 49_999
        assert len(rendered) < 300


def test_the_fake_worker_can_do_what_the_client_can() -> None:
    from trtdbg.worker.client import Client

    for name in ("start", "submit", "cancel", "close"):
        assert callable(getattr(Client, name))
        assert callable(getattr(FakeWorker, name))


async def test_a_tick_while_the_views_go_one_by_one_harms_nothing() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await stage.app.screen.query_one("#settings").remove()
        stage.app._tick()
        assert stage.app.is_running
