"""Header, policy bar, answer, details, engines, findings, footer and the copied command."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace
from trtdbg_ui.keys.actions import ACTIONS
from trtdbg_ui.model.activity import Activity
from trtdbg_ui.model.failure import Failure
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.model.state import VIEWS, Pane, State, visible
from trtdbg_ui.model.switching import (
    PolicySwitch,
    Tally,
    change,
    next_path,
    next_timing,
    tallies,
)
from trtdbg_ui.render.activity import activity_line, elapsed, loading_lines
from trtdbg_ui.render.answer import answer
from trtdbg_ui.render.command import command
from trtdbg_ui.render.detail import node_detail
from trtdbg_ui.render.engines import engine_lines
from trtdbg_ui.render.findings import explanation, finding_line
from trtdbg_ui.render.footer import fitting, footer_line, hint_at, hints
from trtdbg_ui.render.header import header_line
from trtdbg_ui.render.help import help_lines
from trtdbg_ui.render.log import log_line
from trtdbg_ui.render.matrix import build_text
from trtdbg_ui.render.origin import origin
from trtdbg_ui.render.policy import change_line, policy_line, settings_line
from trtdbg_ui.render.tabs import tabs_line
from trtdbg_ui.render.validators import validators
from trtdbg_ui.text import Line, Tone, line, plain, width

from tests.ui.canned import ENVIRONMENT, built, report
from tests.ui.render.test_tables import failed_report
from trtdbg.analysis.alike import alike
from trtdbg.policy import Partitioner, Settings, Timing, TruncationPolicy, VerdictSource
from trtdbg.records import (
    BuildRecord,
    BuildStatus,
    Change,
    ChangePlace,
    ConstantRecord,
    Counterfactual,
    Finding,
    Gpu,
    Level,
    LowDecision,
    LowRule,
    NodeRecord,
    Recorded,
    RefusalKind,
    Report,
    Source,
    TypingKind,
    Verdict,
)
from trtdbg.worker.messages import Access, Build, EngineBuilt, Job, Log, LogLevel, Progress


def text(lines: list[Line]) -> str:
    return "\n".join(plain(each) for each in lines)


def left_for_another_reason(base: Report) -> Report:
    """Returns the report with one accepted operator that the partitioner left out."""
    nodes = tuple(
        replace(node, engine=None) if node.name == "_softmax" else node for node in base.nodes
    )
    return replace(base, nodes=nodes, torch_ops=("aten._softmax.default",))


# The answer.


def test_the_answer_names_the_operator_the_dtype_and_the_line() -> None:
    assert text(answer(Loaded(report(Timing.UPSTREAM)), 120)) == (
        "✗ 5 engines, not one: 4 of 44 operators stay in PyTorch, 4 boundary casts\n"
        "one cause, 4×  attention.py:34  p = torch.softmax(scores.double() / 8, -1)\n"
        "_to_copy: validate_dtype rejects: _to_copy converter rejected node, dtype "
        "torch.float64 is not one of the allowed dtypes\n"
        "do  a finds out what helps, by trying it here"
    )


def test_a_saved_report_names_no_key_that_switches() -> None:
    for timing in (Timing.LATE, Timing.UPSTREAM):
        told = text(answer(Loaded(report(timing)), 120, read_only=True))
        assert "T upstream" not in told
        assert "finds out" not in told


def test_one_engine_says_what_truncation_gained() -> None:
    assert text(answer(Loaded(report(Timing.LATE)), 120)) == (
        "✓ One engine holds all 44 operators\n"
        "  4× _to_copy ✗ as float64, ✓ as float32  truncation late keeps them in  "
        "T upstream, as torch_tensorrt  attention.py:34"
    )


@pytest.mark.parametrize("size", [60, 79, 100])
def test_the_answer_fits_and_keeps_the_line_longest(size: int) -> None:
    lines = answer(Loaded(report(Timing.UPSTREAM)), size)
    assert all(width(each) <= size for each in lines[1:])
    assert "attention.py:34" in plain(lines[1])


def test_an_operator_without_a_dtype_problem_gets_its_own_reason() -> None:
    base = left_for_another_reason(report(Timing.LATE))
    found = Loaded(base).causes
    assert [(cause.target, len(cause.nodes)) for cause in found] == [
        ("aten._softmax.default", 1)
    ]
    assert "the global partitioner left it out" in text(answer(Loaded(base), 160))
    small = replace(base, settings=Settings(min_block_size=5))
    assert "fewer than 5 operators" in text(answer(Loaded(small), 160))


def test_an_engine_that_does_not_build_is_not_a_good_answer() -> None:
    lines = answer(Loaded(built(report(Timing.LATE), failing=0)), 160)
    assert lines[0][0] == ("✗ One engine ", Tone.BAD)
    assert plain(lines[0]).endswith(", and TensorRT refuses it")
    assert "_softmax: TensorRT refuses it: IBuilder" in plain(lines[2])


def test_a_pass_that_raised_is_the_answer() -> None:
    assert text(answer(Loaded(failed_report()), 120)) == (
        "✖ No engines: constant_fold raised\n  RuntimeError: no such folding"
    )


# Header and policy.


def test_the_header_drops_the_least_important_first() -> None:
    loaded = Loaded(report(Timing.UPSTREAM))
    wide = plain(header_line("m/attention.pt2", loaded, False, 160))
    assert wide == (
        " trtdbg │  attention.pt2 │ 5 engines · 4 PyTorch ops · 4 casts │ ▲ 5 warnings │ "
        "TensorRT-RTX 1.5.0.114, no GPU"
    )
    narrow = plain(header_line("m/attention.pt2", loaded, False, 72))
    assert narrow == " attention.pt2 │ 5 engines · 4 PyTorch ops · 4 casts │ ▲ 5 warnings"


def test_the_header_says_that_a_file_is_trusted_however_narrow_it_is() -> None:
    for loaded in (None, Loaded(report(Timing.UPSTREAM))):
        for columns in (60, 80, 160):
            shown = plain(header_line("m.pt2", loaded, False, columns, trusted=True))
            assert "TRUSTED: may run code" in shown


def test_the_header_counts_builds() -> None:
    loaded = Loaded(built(report(Timing.UPSTREAM), failing=1))
    assert "4 built 1 build failed" in plain(header_line("m.pt2", loaded, False, 160))


def test_timing_and_paths_go_around() -> None:
    policy = TruncationPolicy()
    assert next_timing(policy, 1).timing is Timing.OFF
    assert next_timing(policy, -1).timing is Timing.UPSTREAM
    seen = [policy.inputs]
    for _ in range(4):
        policy = next_path(policy, "inputs", 1)
        seen.append(policy.inputs)
    assert seen == [
        ("float64",),
        ("float64", "int64"),
        ("int64",),
        (),
        ("float64",),
    ]
    assert next_path(TruncationPolicy(), "constants", -1).constants == ()


def test_the_policy_bar_shows_what_is_known_of_other_timings() -> None:
    known = tallies(TruncationPolicy(), [report(Timing.UPSTREAM), report(Timing.LATE)])
    bar = plain(policy_line(TruncationPolicy(), known, 160))
    assert "upstream (5 engines, 4 ops)" in bar
    assert "[late] (1 engine, no ops)" in bar
    assert "i inputs float64" in bar


def test_a_timing_known_with_other_paths_is_not_shown_as_known() -> None:
    other = TruncationPolicy(inputs=())
    known = tallies(other, [report(Timing.UPSTREAM), report(Timing.LATE)])
    assert set(known) == {Timing.UPSTREAM}


def test_paths_without_effect_stand_in_brackets() -> None:
    bar = plain(policy_line(TruncationPolicy(timing=Timing.UPSTREAM), {}, 160))
    assert "i inputs (float64)" in bar


@pytest.mark.parametrize("timing", list(Timing))
def test_the_policy_bar_fits_eighty_cells_at_its_longest(timing: Timing) -> None:
    both = ("float64", "int64")
    policy = TruncationPolicy(timing=timing, inputs=both, constants=both, computed=both)
    assert width(policy_line(policy, {}, 80)) <= 80


def test_a_change_names_what_changed_and_only_that() -> None:
    before, after = Tally(13, 12, 24, 12), Tally(1, 0, 24, 12)
    spans = change_line(PolicySwitch("late", before, after), 80)
    assert plain(spans) == "late: engines 13 → 1, PyTorch ops 12 → 0  D shows"
    assert spans[1] == ("engines 13 → 1", Tone.GOOD)
    assert "same engines" in plain(change_line(PolicySwitch("late", before, before), 80))
    worse = change_line(PolicySwitch("off", after, before), 80)
    assert worse[1] == ("engines 1 → 13", Tone.WARN)


def test_a_change_keeps_engines_and_operators_longest() -> None:
    spans = change_line(change(report(Timing.UPSTREAM), report(Timing.LATE)), 60)
    assert plain(spans) == "late: engines 5 → 1, PyTorch ops 4 → 0, casts 4 → 0  D shows"


def test_a_switch_is_named_after_what_it_set() -> None:
    old = report(Timing.LATE)
    new = replace(old, policy=TruncationPolicy(timing=Timing.EARLY, computed=()))
    assert change(old, new).title == "early, computed none"


def test_the_settings_in_force_are_shown_and_what_is_unusual_first() -> None:
    settings = Settings(
        min_block_size=5,
        partitioner=Partitioner.FAST,
        torch_executed_ops=("torch.ops.aten.add.Tensor",),
    )
    policy = TruncationPolicy()
    shown = plain(settings_line(policy, settings, None, ENVIRONMENT, (), 160))
    assert "min block size 5" in shown
    assert "fast partitioner" in shown
    assert "target sm86" in shown
    assert "kept in PyTorch: aten.add.Tensor" in shown
    narrow = plain(settings_line(policy, settings, None, None, line("x" * 20), 80))
    assert "kept in PyTorch: aten.add.Tensor" in narrow


def test_the_target_is_this_machines_gpu_if_there_is_one() -> None:
    gpu = Gpu(name="NVIDIA L4", compute_capability="sm89", memory_bytes=24_000_000_000)
    environment = replace(ENVIRONMENT, gpu=gpu)
    policy, settings = TruncationPolicy(), Settings()
    assert "target sm89" in plain(settings_line(policy, settings, None, environment, (), 160))
    chosen = plain(settings_line(policy, settings, "sm120", environment, (), 160))
    assert "target sm120" in chosen


# Details.


def node_text(base: Report, name: str, size: int = 42) -> str:
    loaded = Loaded(base)
    lines = node_detail(loaded, loaded.nodes[name], size)
    assert all(width(each) <= size for each in lines if "float64→float32" not in plain(each))
    return text(lines)


def test_details_of_a_refused_node_say_why_and_what_would_help() -> None:
    shown = node_text(report(Timing.UPSTREAM), "_to_copy", 60)
    assert "✗ reject, stays in PyTorch" in shown
    assert "timing late would take it" in shown
    assert "original  float64  export promised" in shown
    assert "truncated float32  ◂ narrowed" in shown
    assert "▲ TD101 needless-rejection" in shown
    assert "✗ reject  ✗ reject  ✓ accept" in shown
    assert "attention.py:34  layers.0" in shown
    assert "p = torch.softmax(scores.double() / 8, -1)" in shown
    assert "came from to" in shown
    assert "+ 4 run_decompositions" in shown


def test_details_name_operands_and_users_with_dtype_and_engine() -> None:
    shown = node_text(report(Timing.UPSTREAM), "div", 60)
    assert "_to_copy  float64→float32  PyTorch" in shown
    assert "_softmax  float64→float32  E1" in shown


def test_a_stale_recorded_dtype_is_shown_beside_the_inferred_one() -> None:
    base = report(Timing.LATE)
    nodes = tuple(
        replace(node, recorded="float64") if node.name == "matmul_1" else node
        for node in base.nodes
    )
    shown = node_text(replace(base, nodes=nodes), "matmul_1")
    assert "recorded  float64  ▲ stale" in shown
    assert "recorded" not in node_text(base, "matmul_1")


def test_damage_to_a_constant_is_counted() -> None:
    base = report(Timing.LATE)
    name = "layers.0.qkv.weight"
    damaged = ConstantRecord(
        name=name,
        original="float64",
        truncated="float32",
        max_abs_error=1.5e-3,
        overflowed=2,
        elements=100,
    )
    constants = tuple(damaged if c.name == name else c for c in base.constants)
    shown = node_text(replace(base, constants=constants), "layers_0_qkv_weight")
    assert "float64 → float32" in shown
    assert "largest change 0.0015" in shown
    assert "✖ 2 do not fit" in shown


def test_validators_are_listed_in_full() -> None:
    loaded = Loaded(report(Timing.UPSTREAM))
    shown = text(validators(loaded, loaded.nodes["_to_copy"], 100))
    assert "aten_ops_converters.to_copy_dtype_validator.validate_dtype:1402" in shown
    assert "aten_ops_clone_copy_placeholder" in shown
    assert "inferred   ✗ reject" in shown


def test_a_node_that_no_validator_saw_says_so() -> None:
    node = NodeRecord(name="x", op="placeholder", target="x", verdict=Verdict.NOT_CHECKED)
    assert "No validator was asked" in text(validators(Loaded(report()), node, 60))


# Engines and findings.


def test_engines_show_bindings_and_where_declared_and_bound_differ() -> None:
    loaded = Loaded(report(Timing.UPSTREAM))
    shown = text([each.text for each in engine_lines(loaded, None, 0.0, 120)])
    assert "E1  10 operators, 3 in, 3 out  _run_on_acc_2  not built" in shown
    assert "float64 declared ≠ float32 bound" in shown
    assert "PyTorch  4× _to_copy" in shown
    assert "Casts  4 boundary casts, 32.8 kB written per run" in shown
    assert "float64 → float32  into E1  8.2 kB" in shown


def test_a_built_engine_shows_time_and_size_and_why_there_is_no_run_time() -> None:
    loaded = Loaded(built(report(Timing.LATE)))
    shown = text([each.text for each in engine_lines(loaded, None, 0.0, 160)])
    assert "✓ built 1.2 s, 1.3 MB, for sm86" in shown
    assert "run time not available: no CUDA device" in shown


def test_a_failed_engine_leads_to_the_node_that_failed() -> None:
    loaded = Loaded(built(report(Timing.LATE), failing=0))
    lines = engine_lines(loaded, None, 0.0, 160)
    error = next(each for each in lines if "no implementation for INT64" in plain(each.text))
    assert error.node == "_softmax"


def test_a_running_build_shows_which_engine_it_is_at_and_which_are_done() -> None:
    base = report(Timing.UPSTREAM)
    job = Job(model="m.pt2", settings=base.settings)
    request = Build(job=job, policy=base.policy, engines=(0, 2, 3))
    done = built(base).engines[0].build
    activity = Activity.of(request, 10.0)
    activity = activity.advanced(Progress(stage="capture", done=2), 10.5)
    activity = activity.advanced(Progress(stage="build", done=0, total=3), 11.0)
    activity = activity.having_built(EngineBuilt(index=0, build=done))
    activity = activity.advanced(Progress(stage="build", done=1, total=3), 12.0)
    states = [
        plain(each.text).split("_run_on_acc_")[1][2:].strip()
        for each in engine_lines(Loaded(base), activity, 15.0, 160)
        if "_run_on_acc_" in plain(each.text)
    ]
    assert states == [
        "✓ built 1.2 s, 1.3 MB, for sm86, run time not available: no CUDA device",
        "not built",
        "… building 3.0 s",
        "… waiting",
        "not built",
    ]


def test_a_finding_is_one_line_and_its_explanation_has_cause_and_cure() -> None:
    finding = report(Timing.UPSTREAM).findings[0]
    assert plain(finding_line(finding, 160)).startswith(
        " ▲ TD101 needless-rejection  _to_copy"
    )
    assert plain(finding_line(finding, 80)).startswith(" ▲ TD101  _to_copy")
    shown = text(explanation(report(Timing.UPSTREAM), (finding, finding), 80))
    assert shown.count("Cause") == 1
    assert "Cure" in shown


def _found(message: str, line: int = 34, code: str = "TD202", **more: object) -> Finding:
    source = Source(file="/a/model.py", line=line)
    base = Finding(code=code, level=Level.WARNING, node=None, message=message, source=source)
    return replace(base, **more)


def test_findings_are_alike_if_only_numbers_of_nodes_modules_and_engines_differ() -> None:
    one = _found("engine 1 input _to_copy (aten._to_copy.default) is declared float64")
    two = _found("engine 12 input _to_copy_2 (aten._to_copy.default) is declared float64")
    assert list(alike((one, two)).values()) == [(one, two)]
    first = _found("constant layers.0.qkv.weight (float64) loses values: 3 of 4096 become inf")
    second = _found(
        "constant layers.1.qkv.weight (float64) loses values: 3 of 4096 become inf"
    )
    assert list(alike((first, second)).values()) == [(first, second)]


def test_findings_of_other_numbers_operators_lines_codes_or_levels_are_not_alike() -> None:
    words = "constant layers.0.w (float64) loses values as float32: 3 of 4096 become inf"
    one = _found(words)
    others = (
        _found(words.replace("3 of", "4 of")),
        _found(words.replace("float32", "float16")),
        _found(words.replace(".w", ".v")),
        _found(words, 35),
        _found(words, code="TD402"),
        _found(words, level=Level.NOTE),
        _found(words, source=None),
    )
    assert len(alike((one, *others))) == 8
    assert len(alike((_found("adds 1.5"), _found("adds 1.25")))) == 2


def test_a_code_of_a_newer_version_is_shown_as_it_stands() -> None:
    finding = Finding(code="TD999", level=Level.ERROR, node="x", message="something new")
    assert "✖ TD999" in text(explanation(report(Timing.UPSTREAM), (finding,), 80))
    assert "TD999  something new" in plain(finding_line(finding, 160))


# What runs.


def test_an_activity_remembers_how_long_each_stage_took() -> None:
    activity = Activity(TruncationPolicy(), 0.0)
    activity = activity.advanced(Progress(stage="load"), 1.0)
    activity = activity.advanced(Progress(stage="capture", detail="a", done=1), 3.0)
    activity = activity.advanced(Progress(stage="capture", detail="b", done=2), 4.0)
    assert [(s.name, s.started, s.ended) for s in activity.stages] == [
        ("load", 1.0, 3.0),
        ("capture", 3.0, None),
    ]
    assert plain(activity_line(activity, 9.5)) == "… analysing late: capture 9.5 s esc cancels"


def test_elapsed_time_is_readable_at_any_length() -> None:
    assert [elapsed(s) for s in (0.04, 12.34, 59.96, 125.0)] == [
        "0.0 s",
        "12.3 s",
        "1 min 00 s",
        "2 min 05 s",
    ]


def test_a_failure_has_message_and_remedy_and_never_a_traceback() -> None:
    failure = Failure.of(ValueError("first line\n  second line"))
    shown = text(loading_lines("m.pt2", None, failure, 0.0, 60))
    assert "✖ ValueError: first line second line" in shown
    assert "this is a bug of trtdbg: please report it" in shown


# The screen.


@pytest.mark.parametrize("size", [80, 100, 160])
def test_the_footer_fits_and_never_loses_help_and_quit(size: int) -> None:
    state = State(TruncationPolicy(), loaded=Loaded(report()))
    shown = hints(state, False)
    assert width(footer_line(shown, size)) <= size
    keys = [hint.key for hint in fitting(shown, size)]
    assert {"?", "q", "/", "b"} <= set(keys)


def test_cancel_is_in_the_footer_while_something_runs() -> None:
    idle = State(TruncationPolicy(), loaded=Loaded(report()))
    busy = State(
        TruncationPolicy(),
        loaded=Loaded(report()),
        activity=Activity(TruncationPolicy(), 0.0),
    )
    assert "esc" not in [hint.key for hint in hints(idle, False)]
    assert "esc" in [hint.key for hint in fitting(hints(busy, False), 80)]


def test_a_click_finds_the_hint_under_it() -> None:
    state = State(TruncationPolicy(), loaded=Loaded(report()))
    shown = hints(state, False)
    at = plain(footer_line(shown, 160)).index("validators")
    hint = hint_at(shown, 160, at)
    assert hint is not None
    assert hint.action == "validators"
    assert hint_at(shown, 160, 159) is None


def test_help_names_every_key() -> None:
    shown = text(help_lines(Pane.NODES, 80))
    for action in ACTIONS:
        assert f"  {action.shown} " in shown
        assert all(width(each) <= 80 for each in help_lines(Pane.NODES, 80))


@pytest.mark.parametrize(
    ("pane", "main", "columns", "lines", "expected"),
    [
        (Pane.CAUSES, Pane.CAUSES, 80, 24, {Pane.CAUSES, Pane.NODES}),
        (Pane.CAUSES, Pane.CAUSES, 120, 22, {Pane.CAUSES, Pane.DETAIL}),
        (Pane.NODES, Pane.CAUSES, 160, 50, {Pane.CAUSES, Pane.NODES, Pane.DETAIL}),
        (Pane.DETAIL, Pane.NODES, 80, 24, {Pane.DETAIL}),
        (Pane.NODES, Pane.NODES, 120, 35, {Pane.NODES, Pane.DETAIL}),
        (Pane.PASSES, Pane.PASSES, 80, 24, {Pane.PASSES}),
        (Pane.PASSES, Pane.PASSES, 120, 24, {Pane.PASSES, Pane.NODES}),
        (Pane.PASSES, Pane.PASSES, 160, 50, {Pane.PASSES, Pane.NODES, Pane.DETAIL}),
        (Pane.LOG, Pane.LOG, 160, 50, {Pane.LOG}),
    ],
)
def test_as_many_panes_are_shown_as_fit(
    pane: Pane, main: Pane, columns: int, lines: int, expected: set[Pane]
) -> None:
    assert visible(pane, main, columns, lines) == expected
    assert visible(pane, main, columns, lines, zoom=True) == {pane}


@pytest.mark.parametrize("main", VIEWS)
@pytest.mark.parametrize("columns", [80, 120, 160])
def test_every_view_has_exactly_one_tab(main: Pane, columns: int) -> None:
    shown = plain(tabs_line(main, {Pane.ENGINES: "25"}, False, columns))
    words = ("Causes", "Graph", "Passes", r"Engines \(25\)", "Log", "Findings")
    for number, word in enumerate(words, start=1):
        assert len(re.findall(rf"{number}[ \[]{word}", shown)) == 1
    assert shown.count("[") == 1
    assert len(shown) <= columns


def test_a_log_line_is_one_line_without_control_characters() -> None:
    log = Log(source="stderr", level=LogLevel.ERROR, text="a\tb\nc \x1b[31md")
    shown = plain(log_line(log))
    assert shown == " E stderr         a   b ⏎ c ␛[31md"


def test_the_copied_command_has_every_flag_and_says_what_has_none() -> None:
    settings = Settings(
        min_block_size=5, torch_executed_ops=("aten.add.Tensor",), use_fp32_acc=True
    )
    job = Job(model="my model.pt2", settings=settings, target="sm89", probe_seconds=5.0)
    assert command(job, TruncationPolicy(inputs=())) == (
        "trtdbg 'my model.pt2' --timing late --inputs none --constants float64 "
        "--computed float64 --verdicts validators --min-block-size 5 --partitioner global "
        "--torch-executed-ops aten.add.Tensor --target sm89"
        "  # with --settings FILE: use_fp32_acc = true"
    )
    access = Access(trust=True, imports=("a.b", "c.py"), memory_limit=1 << 30, time_limit=60.0)
    opened = command(Job(model="m", settings=Settings(), access=access), TruncationPolicy())
    assert opened.endswith(
        " --trust --import a.b --import c.py --memory-limit 1073741824 --time-limit 60"
    )
    probed = command(job, TruncationPolicy(verdicts=VerdictSource.TENSORRT))
    assert "--verdicts tensorrt" in probed
    assert "--probe-seconds 5" in probed


def test_what_would_turn_a_refusal_stands_in_the_answer_and_in_the_details() -> None:
    base = left_for_another_reason(report(Timing.LATE))
    why = Counterfactual(
        kind=RefusalKind.FEATURE,
        typing=TypingKind.TRUNCATED,
        changes=(
            Change(
                place=ChangePlace.ARGUMENT,
                node="_softmax",
                name="2",
                before="True",
                after="False",
            ),
        ),
        text="rejects because half_to_float=True; accepts with False",
        sentence="",
    )
    nodes = tuple(
        replace(node, verdict=Verdict.REJECT, verdicts=(), counterfactual=why)
        if node.name == "_softmax"
        else node
        for node in base.nodes
    )
    told = replace(base, nodes=nodes)
    assert "_softmax: rejects because half_to_float=True" in text(answer(Loaded(told), 160))
    assert "rejects because half_to_float=True" in node_text(told, "_softmax", 60)


def test_the_origin_page_follows_any_dtype_and_names_the_pass_that_brought_the_node() -> None:
    shown = Loaded(report(Timing.UPSTREAM))
    wide = next(n for n in shown.report.nodes if n.inferred == "float64")
    text = "\n".join(plain(each) for each in origin(shown.report, wide, 100))
    assert "because" in text
    assert wide.name in text
    assert "Which passes brought it" in text
    narrow = next(n for n in shown.report.nodes if n.inferred == "float32")
    decided = LowDecision(dtype="float16", rule=LowRule.LOW, reason="nothing against it")
    low = replace(narrow, low=decided)
    text = "\n".join(plain(each) for each in origin(shown.report, low, 100))
    assert "because" in text
    assert "float32" in text
    assert "under --low it is float16: nothing against it" in text


def test_bytes_and_seconds_that_are_not_known_are_no_zero() -> None:
    late = report(Timing.UPSTREAM)
    casts = tuple(replace(c, bytes=None) for c in late.boundary_casts)
    unknown = replace(late, boundary_casts=casts)
    shown = text([e.text for e in engine_lines(Loaded(unknown), None, 0.0, 120)])
    assert f"{len(casts)} boundary cast" in shown
    assert "unknown written per run" in shown
    build = BuildRecord(status=BuildStatus.BUILT, seconds=None, bytes=None)
    engines = tuple(replace(e, build=build) for e in late.engines)
    assert build_text(replace(late, engines=engines))[0] == (
        "✓ time unknown, size unknown, not timed"
    )


def test_the_header_says_where_settings_were_recorded_and_what_was_changed() -> None:
    recorded = Recorded(
        name="1-Net", call="torch_tensorrt.compile", file="/w/train.py", line=21, nodes=9
    )

    def shown(said: Recorded | None) -> str:
        late = report(Timing.LATE)
        loaded = Loaded(replace(late, model=replace(late.model, recorded=said)))
        return plain(header_line("m.pt2", loaded, False, 220))

    assert "settings recorded at train.py:21" in shown(recorded)
    changed = replace(recorded, overridden=("min_block_size",))
    assert "recorded at train.py:21, 1 setting changed" in shown(changed)
    assert "recorded" not in shown(None)
