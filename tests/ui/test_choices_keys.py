"""What the keys of policy, settings, the matrix, builds, measuring and advice do."""

from __future__ import annotations

from msgspec.structs import replace
from textual.pilot import Pilot
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.model.state import Pane
from trtdbg_ui.render.advice import APPLY
from trtdbg_ui.render.matrix import policies
from trtdbg_ui.widgets.advice_dialog import AdviceDialog
from trtdbg_ui.widgets.cure_dialog import CureDialog
from trtdbg_ui.widgets.dialog import Dialog, Page
from trtdbg_ui.widgets.engine_list import EngineList
from trtdbg_ui.widgets.matrix import Matrix, MatrixList
from trtdbg_ui.widgets.text_view import TextView

from tests.ui.canned import built, caused, report
from tests.ui.fakes import (
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
from trtdbg.analysis import comparison as compared
from trtdbg.errors import StageError, WorkerError
from trtdbg.policy import Settings, Timing, TruncationPolicy, VerdictSource
from trtdbg.records import (
    Agreement,
    BuildStatus,
    Consequence,
    Consequences,
    ConstantRecord,
    LayerRecord,
    NodeError,
    Numerics,
    Report,
    Suggestion,
)
from trtdbg.worker.messages import Analyze, Build, Measure, Weigh

WIDE = (160, 50)
NARROW = (80, 24)


def detail(app: TrtdbgApp) -> str:
    """Returns the details of the node with its line breaks undone."""
    return " ".join(text_of(app.query_one("#detail", TextView)).split())


def under(policy: TruncationPolicy, settings: Settings | None = None) -> Report:
    """Returns what a worker would answer for a policy."""
    return replace(report(policy.timing), policy=policy, settings=settings or Settings())


def matrix_text(app: TrtdbgApp) -> str:
    assert isinstance(app.screen, Matrix)
    return text_of(app.screen.query_one(MatrixList))


def measured(base: Report) -> Report:
    """Returns a report with numbers, in which the softmax is beyond the tolerance."""
    rows = tuple(
        NodeError(
            name=node.name,
            agreement=Agreement.BEYOND if node.name == "_softmax" else Agreement.WITHIN,
            original=node.original,
            computed=node.truncated,
            max_abs_error=3e-3 if node.name == "_softmax" else 1e-7,
            max_rel_error=2e-2 if node.name == "_softmax" else 1e-6,
            elements=2048,
            beyond=17 if node.name == "_softmax" else 0,
        )
        for node in base.nodes
        if node.op == "call_function"
    )
    numerics = Numerics(
        inputs="example inputs",
        seed=0,
        atol=1e-5,
        rtol=1e-4,
        outputs=(NodeError(name="add_3", agreement=Agreement.WITHIN, elements=2048),),
        nodes=rows,
        first_beyond="_softmax",
    )
    return replace(base, numerics=numerics)


def weighed(base: Report) -> Report:
    """Returns a report with what each refusal costs, and a suggestion."""
    left = [
        node for node in base.nodes if node.name.startswith("_to_copy") and not node.engine
    ]
    return replace(
        base,
        consequences=Consequences(
            engines=5,
            torch_ops=4,
            refused=4,
            tried=tuple(
                Consequence(node=node.name, engines=4, torch_ops=3)
                for node in left
                if node.engine is None
            ),
        ),
        suggestion=Suggestion(
            policy=TruncationPolicy(),
            accepted=56,
            operators=56,
            engines=1,
            torch_ops=0,
            tried=8,
            refused_upstream=4,
        ),
    )


def layered(base: Report) -> Report:
    """Returns a report whose first engine has layers."""
    layers = (
        LayerRecord(
            name="layers.0.norm/layer_norm",
            type="NORMALIZATION",
            inputs=("FLOAT", "FLOAT", None),
            outputs=("FLOAT",),
            node="layer_norm",
        ),
        LayerRecord(
            name="layers.0/to_half",
            type="CAST",
            inputs=("FLOAT",),
            outputs=("HALF",),
            node="matmul",
        ),
        LayerRecord(name="cast of the interpreter", type="CAST", outputs=("INT64",)),
    )
    engines = (replace(base.engines[0], layers=layers), *base.engines[1:])
    return replace(base, engines=engines)


# Settings, undo and redo.


async def test_verdicts_and_block_size_have_keys_and_analyse_at_once() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "V")
        request = stage.worker.requests[0]
        assert request.policy.verdicts is VerdictSource.TENSORRT
        stage.worker.answer(under(request.policy))
        await settle(pilot)
        assert "verdicts tensorrt: same engines" in settings_bar(stage.app)
        await press(pilot, "+", "+")
        stage.worker.answer(under(request.policy, Settings(min_block_size=2)))
        await settle(pilot)
        last = stage.worker.requests[-1]
        assert last.job.settings.min_block_size == 3
        few = under(request.policy, last.job.settings)
        stage.worker.answer(replace(few, engines=()))
        await settle(pilot)
        assert "min block size 3: engines 1 → 0" in settings_bar(stage.app)
        assert "--min-block-size 3" in (await copied(stage, pilot))
        await press(pilot, "-")
        assert stage.app.state.settings.min_block_size == 2
        assert stage.worker.waiting == []


async def copied(stage: Stage, pilot: Pilot[int]) -> str:
    await press(pilot, "y")
    return stage.app.clipboard


async def test_a_block_has_at_least_one_operator() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "-")
        assert stage.worker.requests == []
        assert "is 1" in notes(stage.app)[0]


async def test_asking_tensorrt_under_upstream_goes_to_late_and_says_so() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "V")
        assert stage.worker.requests[0].policy.timing is Timing.LATE
        assert stage.worker.requests[0].policy.verdicts is VerdictSource.TENSORRT
        assert "switched to late" in notes(stage.app)[-1]
        await press(pilot, "T")
        assert stage.app.state.policy.timing is Timing.UPSTREAM
        assert stage.app.state.policy.verdicts is VerdictSource.VALIDATORS


async def test_undo_and_redo_go_through_policies_and_settings() -> None:
    stage = loaded_stage(Timing.LATE, Timing.UPSTREAM, Timing.OFF)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "T", "+")
        stage.worker.answer(under(stage.app.state.policy, stage.app.state.settings))
        await settle(pilot)
        await press(pilot, "z")
        assert stage.app.state.settings.min_block_size == 1
        assert stage.app.state.policy.timing is Timing.UPSTREAM
        await press(pilot, "z")
        assert stage.app.state.policy.timing is Timing.LATE
        await press(pilot, "z")
        assert "nothing to undo" in notes(stage.app)[-1]
        await press(pilot, "ctrl+r", "ctrl+r")
        assert stage.app.state.settings.min_block_size == 2
        await press(pilot, "ctrl+r")
        assert "nothing to redo" in notes(stage.app)[-1]
        await press(pilot, "z", "z", "t")
        assert stage.app.state.future == ()
        assert len(stage.worker.requests) == 1


async def test_undo_steps_over_a_switch_that_failed() -> None:
    stage = loaded_stage(Timing.LATE, Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "T", "i")
        stage.worker.fail(StageError("no"))
        await settle(pilot)
        assert stage.app.state.policy.timing is Timing.UPSTREAM
        await press(pilot, "z")
        assert stage.app.state.policy.timing is Timing.LATE


async def test_what_a_switch_changed_flashes_and_stops_to() -> None:
    stage = loaded_stage(Timing.LATE, Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        bar = stage.app.query_one("#settings")
        assert not bar.has_class("-flash")
        await press(pilot, "T")
        assert bar.has_class("-flash")
        stage.clock.now += 2
        stage.app._tick()
        assert not bar.has_class("-flash")
        assert "engines 1 → 5" in settings_bar(stage.app)


# The matrix.


def test_the_matrix_holds_what_compare_compares_and_the_policy_in_force() -> None:
    odd = TruncationPolicy(timing=Timing.LATE, inputs=(), verdicts=VerdictSource.TENSORRT)
    found = policies(odd)
    assert found == compared.policies(odd)
    assert odd in found
    assert {policy.timing for policy in found} == set(Timing)
    today = TruncationPolicy(timing=Timing.UPSTREAM)
    assert policies(today) == compared.policies(today, named=False)
    assert policies(today)[0] == today
    assert len(policies(today)) == len(set(policies(today))) == 7


async def test_the_matrix_analyses_row_by_row_and_one_is_chosen() -> None:
    stage = loaded_stage(Timing.LATE, Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "m")
        assert matrix_text(stage.app).count("waits") == 4
        assert "… analysing" in matrix_text(stage.app)
        asked = stage.worker.requests[0]
        assert isinstance(asked, Analyze)
        stage.worker.answer(under(asked.policy))
        await settle(pilot)
        assert matrix_text(stage.app).count("waits") == 3
        assert stage.app.state.loaded.report.policy.timing is Timing.LATE
        stage.worker.fail(StageError("the partitioner raised"))
        await settle(pilot)
        assert "✖ the partitioner raised" in matrix_text(stage.app)
        assert stage.app.state.failure is None
        await press(pilot, "g", "enter")
        assert stage.app.state.policy.timing is Timing.OFF
        assert stage.app.state.loaded.report.policy.timing is Timing.OFF
        stage.worker.answer(under(stage.worker.requests[-1].policy))
        await settle(pilot)
        # What was not begun when the matrix closed is dropped.
        assert len(stage.worker.requests) == 3
        await press(pilot, "z")
        assert stage.app.state.policy.timing is Timing.LATE


async def test_the_matrix_is_stopped_and_closed() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "m", "x")
        assert stage.worker.cancelled == 1
        assert "not analysed" in matrix_text(stage.app)
        assert "waits" not in matrix_text(stage.app)
        await press(pilot, "m")
        assert not isinstance(stage.app.screen, Matrix)
        assert stage.app.state.loaded.report.policy.timing is Timing.LATE


async def test_the_matrix_builds_a_row_or_all_that_are_known() -> None:
    stage = loaded_stage(Timing.LATE, Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "m", "x", "b")
        request = stage.worker.requests[-1]
        assert isinstance(request, Build)
        assert request.policy.timing is Timing.LATE
        stage.worker.answer(built(report(Timing.LATE)))
        await settle(pilot)
        assert "✓ 1.2 s, 1.3 MB, not timed" in matrix_text(stage.app)
        await press(pilot, "b")
        assert "no engines left to build" in notes(stage.app)[-1]
        await press(pilot, "B")
        builds = [r for r in stage.worker.requests if isinstance(r, Build)]
        assert [r.policy.timing for r in builds] == [Timing.LATE, Timing.UPSTREAM]
        assert stage.app._desk.waiting == ()


async def test_a_saved_report_has_no_matrix() -> None:
    app = saved_app()
    async with app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "m")
        assert not isinstance(app.screen, Matrix)
        assert "saved report" in notes(app)[0]


# Builds.


async def test_one_engine_is_built_that_of_the_node_or_of_the_cursor() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "B")
        assert "No engine is selected" in notes(stage.app)[0]
        await press(pilot, ">", "B")
        request = stage.worker.requests[0]
        assert isinstance(request, Build)
        assert request.engines == (1,)
        stage.worker.answer(built(report(Timing.UPSTREAM), failing=3))
        await settle(pilot)
        await press(pilot, "B")
        assert "Engine 1 is built" in notes(stage.app)[-1]
        await press(pilot, "4", "g", "j", "B")
        assert "Engine 0 is built" in notes(stage.app)[-1]
        await press(pilot, "b")
        last = stage.worker.requests[-1]
        assert isinstance(last, Build)
        assert last.engines == (3,)


async def test_a_cancelled_build_keeps_the_engines_that_were_done() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    done = built(report(Timing.UPSTREAM)).engines[0].build
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "b", "4")
        stage.worker.progress("build", "engine 0", 0, 5)
        stage.worker.built(0, done)
        stage.worker.progress("build", "engine 1", 1, 5)
        await settle(pilot)
        assert "✓ built" in screen_text(stage.app)
        await press(pilot, "escape")
        engines = stage.app.state.loaded.report.engines
        assert engines[0].build == done
        assert {e.build.status for e in engines[1:]} == {BuildStatus.CANCELLED}
        await press(pilot, "b")
        last = stage.worker.requests[-1]
        assert isinstance(last, Build)
        assert last.engines == (1, 2, 3, 4)
        # A fresh worker knows nothing of engine 0.
        rest = built(report(Timing.UPSTREAM))
        forgot = (report(Timing.UPSTREAM).engines[0], *rest.engines[1:])
        stage.worker.answer(replace(rest, engines=forgot))
        await settle(pilot)
        assert all(
            e.build.status is BuildStatus.BUILT for e in stage.app.state.loaded.report.engines
        )


async def test_a_worker_that_dies_leaves_the_engines_that_were_done() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    done = built(report(Timing.UPSTREAM)).engines[0].build
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "b")
        stage.worker.built(0, done)
        await settle(pilot)
        stage.worker.fail(WorkerError("killed by SIGSEGV"))
        await settle(pilot)
        assert "killed by SIGSEGV" in screen_text(stage.app)
        engines = stage.app.state.loaded.report.engines
        assert engines[0].build == done
        assert engines[1].build.status is BuildStatus.NOT_BUILT


async def test_layers_show_dtypes_node_and_source_and_lead_to_the_node() -> None:
    stage = Stage(Timing.UPSTREAM, [layered(report(Timing.UPSTREAM))])
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        engines = stage.app.query_one(EngineList)
        await press(pilot, "4", "g", "space")
        shown = text_of(engines)
        assert "NORMALIZATION FLOAT, - → FLOAT" in shown
        assert "layer_norm  attention.py:31" in shown
        assert "▲ inserted cast" in shown
        row = next(
            i for i in range(engines._count) if engines.node_at(i) == "matmul" and i > 4
        )
        engines.put_cursor(row)
        await press(pilot, "enter")
        assert stage.app.state.node == "matmul"
        await press(pilot, "space")
        assert "NORMALIZATION" not in text_of(engines)


# Numbers and advice.


async def test_numbers_are_measured_and_shown_with_the_node() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "M")
        request = stage.worker.requests[0]
        assert isinstance(request, Measure)
        assert "measuring under late" in settings_bar(stage.app)
        stage.worker.answer(measured(report(Timing.LATE)))
        await settle(pilot)
        assert "output: 1 of 1 within the tolerance" in notes(stage.app)[-1]
        await press(pilot, "slash", *"^_softmax\\b", "enter")
        shown = detail(stage.app)
        assert "✖ beyond the tolerance" in shown
        assert "17 of 2048 values beyond it" in shown


async def test_advice_is_asked_for_once_and_then_shown() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "W")
        assert isinstance(stage.worker.requests[0], Weigh)
        stage.worker.answer(weighed(report(Timing.UPSTREAM)))
        await settle(pilot)
        assert "if accepted: engines 5 → 4, PyTorch ops 4 → 3" in detail(stage.app)
        assert len(stage.worker.requests) == 1
        assert isinstance(stage.app.screen, AdviceDialog)
        page = text_of(stage.app.screen.query_one(Page))
        assert "5 engines become 4" in page
        assert "narrowing float64 in inputs and constants and computed values" in page
        await press(pilot, "W")
        assert not isinstance(stage.app.screen, AdviceDialog)
        await press(pilot, "W")
        assert isinstance(stage.app.screen, AdviceDialog)
        assert len(stage.worker.requests) == 1


async def test_advice_that_comes_while_a_page_is_open_waits() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "W", "question_mark")
        stage.worker.answer(weighed(report(Timing.UPSTREAM)))
        await settle(pilot)
        assert not isinstance(stage.app.screen, AdviceDialog)
        assert "W shows what to do about refusals" in notes(stage.app)[-1]


async def test_the_suggested_policy_is_applied_by_key_and_mouse_and_undone() -> None:
    late = weighed(report(Timing.LATE))
    stage = Stage(Timing.UPSTREAM, [weighed(report(Timing.UPSTREAM)), late])
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "W", "a")
        assert stage.app.state.policy == late.suggestion.policy
        assert "late: engines 5 → 1" in settings_bar(stage.app)
        await press(pilot, "W")
        assert "It is in force already." in text_of(stage.app.screen.query_one(Page))
        await press(pilot, "a")
        assert "is the one in force" in notes(stage.app)[-1]
        await press(pilot, "z", "W")
        page = stage.app.screen.query_one(Page)
        lines = text_of(page).splitlines()
        row = next(i for i, each in enumerate(lines) if APPLY in each)
        await pilot.click(page, offset=(lines[row].index(APPLY) + 3, row + 1))
        await settle(pilot)
        assert stage.app.state.policy == late.suggestion.policy


async def test_operators_that_a_suggestion_keeps_in_pytorch_go_into_the_settings() -> None:
    base = weighed(report(Timing.UPSTREAM))
    kept = ("torch.ops.aten.cumsum.default",)
    suggestion = replace(base.suggestion, torch_executed_ops=kept)
    stage = Stage(Timing.UPSTREAM, [replace(base, suggestion=suggestion)])
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "W", "a")
        assert stage.worker.requests[-1].job.settings.torch_executed_ops == kept
        assert "kept in PyTorch: aten.cumsum.default" in settings_bar(stage.app)
        assert "--torch-executed-ops" in (await copied(stage, pilot))


async def test_what_is_asked_while_the_worker_is_busy_waits_for_nobody() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "b", "M")
        assert len(stage.worker.requests) == 1
        assert "busy" in notes(stage.app)[-1]
        await press(pilot, "escape", "M", "escape")
        assert "measurement was cancelled" in notes(stage.app)[-1]


async def test_a_saved_report_says_that_nothing_can_be_asked_of_it() -> None:
    app = saved_app()
    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        for key in ("M", "W", "B", "+", "V"):
            await press(pilot, key)
        assert app.state.activity is None
        assert app.state.settings == app.state.loaded.report.settings
        assert app.state.pane is Pane.CAUSES


# What a switch changed.


def switch_text(app: TrtdbgApp) -> str:
    assert isinstance(app.screen, Dialog)
    return text_of(app.screen.query_one(Page))


async def test_what_a_switch_changed_is_told_node_by_node() -> None:
    stage = loaded_stage(Timing.LATE, Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "D")
        assert "Nothing was switched yet" in notes(stage.app)[-1]
        await press(pilot, "T", "D")
        shown = switch_text(stage.app)
        assert "before  late      1 engine, no PyTorch ops" in shown
        assert "now     upstream  5 engines, 4 PyTorch ops, 4 casts" in shown
        assert "Left to PyTorch  4× _to_copy" in shown
        assert "_to_copy    E0 → PyTorch  attention.py:34" in shown
        assert "New casts  4" in shown
        await press(pilot, "D")
        assert not isinstance(stage.app.screen, Dialog)
        await press(pilot, "t", "D")
        shown = switch_text(stage.app)
        assert "Engines took  4× _to_copy" in shown
        assert "_to_copy    PyTorch → E0" in shown
        assert "Casts gone  4" in shown


async def test_a_build_does_not_count_as_a_switch() -> None:
    stage = loaded_stage(Timing.LATE, Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "T", "b")
        stage.worker.answer(built(report(Timing.UPSTREAM)))
        await settle(pilot)
        await press(pilot, "D")
        assert "before  late" in switch_text(stage.app)


# Constants.


def with_constants(base: Report) -> Report:
    """Returns a report in which int64 constants are narrowed, one of them to other values."""
    constants = (
        ConstantRecord(name="offsets", original="int64", truncated="int32", elements=16),
        ConstantRecord(
            name="hashes", original="int64", truncated="int32", elements=16, overflowed=4
        ),
        ConstantRecord(
            name="scale",
            original="float64",
            truncated="float32",
            max_abs_error=3e-8,
            max_rel_error=4e-8,
            elements=16,
        ),
    )
    policy = replace(base.policy, constants=("float64", "int64"))
    return replace(base, constants=constants, policy=policy)


async def test_the_answer_says_whether_constants_survive_and_engines_list_them() -> None:
    narrowed = with_constants(report(Timing.LATE))
    stage = Stage(Timing.LATE, [report(Timing.LATE), narrowed])
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert "narrowed:" not in screen_text(stage.app)
        await press(pilot, "c")
        shown = screen_text(stage.app)
        assert "3 constants narrowed: ✖ hashes does not fit int32  4 lists them" in shown
        await press(pilot, "D")
        assert "constants float64+int64" in switch_text(stage.app)
        await press(pilot, "D", "4", "G")
        lines = text_of(stage.app.query_one(EngineList)).splitlines()
        told = [" ".join(each.split()) for each in lines]
        at = told.index("Constants 3 of 3 narrowed")
        assert told[at + 1 : at + 4] == [
            "hashes int64 → int32 ✖ 4 of 16 values do not fit",
            "scale float64 → float32 largest relative change 4e-08",
            "❯ offsets int64 → int32 ✓ exact: every value fits",
        ]


async def test_layers_of_the_node_come_into_view() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "G", "k", "space")
        engines = stage.app.query_one(EngineList)
        assert stage.app.state.pane is Pane.ENGINES
        assert "❯ E4" in text_of(engines)
        assert "no layers" in text_of(engines)


# The first screen: a cause and what helps against it.


def caused_stage() -> Stage:
    return Stage(Timing.UPSTREAM, [caused(Timing.UPSTREAM), report(Timing.LATE)])


async def test_the_first_thing_that_helps_is_done_by_one_key_and_undone() -> None:
    stage = caused_stage()
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "1", "a")
        assert stage.app.state.policy.timing is Timing.LATE
        await press(pilot, "z")
        assert stage.app.state.policy.timing is Timing.UPSTREAM


async def test_a_letter_does_the_cure_that_it_stands_at() -> None:
    stage = caused_stage()
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "1", "A")
        assert isinstance(stage.app.screen, CureDialog)
        page = text_of(stage.app.screen.query_one(Page))
        assert "build with timing late" in page
        assert "p = torch.softmax(scores / 8, -1)" in page
        await press(pilot, "a")
        assert not isinstance(stage.app.screen, CureDialog)
        assert stage.app.state.policy.timing is Timing.LATE


async def test_what_to_do_is_never_cut_from_a_small_screen() -> None:
    stage = caused_stage()
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "1")
        shown = screen_text(stage.app)
        assert "p = torch.softmax(scores.double() / 8, -1)" in shown
        assert "build with timing late" in shown
