"""Every corpus case run in both programs under every timing, and what some must show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from corpus_bench import SAMPLES, Bench, read_manifest

from trtdbg.errors import UsageError
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Agreement, NodeError, Report
from trtdbg.worker.client import Client
from trtdbg.worker.messages import Job, Measure

MANIFEST = read_manifest()

COERCED = ("int_times_float_scalar",)
"""Cases whose outputs TensorRT computes otherwise than PyTorch under any timing."""

Model = Callable[[str], Path]


def measured(bench: Bench, path: Path, timing: Timing) -> Report:
    report = bench.numerics(path, TruncationPolicy(timing=timing))
    assert report.numerics is not None
    return report


def row(report: Report, name: str) -> NodeError:
    assert report.numerics is not None
    return next(row for row in report.numerics.nodes if row.name == name)


@pytest.mark.parametrize("timing", list(Timing))
@pytest.mark.parametrize("case", MANIFEST)
def test_every_output_agrees_within_float32_or_a_finding_says_why_not(
    case: str, timing: Timing, corpus_model: Model, bench: Bench
) -> None:
    report = measured(bench, corpus_model(case), timing)
    assert report.numerics is not None
    codes = {finding.code for finding in report.findings}
    if not report.numerics.outputs:
        assert report.numerics.note is not None
        assert report.numerics.note.startswith("not measured: ")
        assert codes & {"TD302", "TD502"}
        return
    assert len(report.numerics.outputs) == len(report.model.outputs)
    wanted = Agreement.BEYOND if case in COERCED else Agreement.WITHIN
    assert {output.agreement for output in report.numerics.outputs} == {wanted}
    if wanted is Agreement.BEYOND:
        assert "TD403" in codes
    if timing is Timing.LATE:
        promised = [output.original for output in report.numerics.outputs]
        assert [output.computed for output in report.numerics.outputs] == promised


@pytest.mark.parametrize("timing", [Timing.LATE, Timing.EARLY, Timing.UPSTREAM])
def test_the_masks_minus_infinity_is_found_and_named(
    timing: Timing, corpus_model: Model, bench: Bench
) -> None:
    report = measured(bench, corpus_model("where_double_scalar_tensor"), timing)
    assert row(report, "neg").overflowed == 1
    assert report.numerics is not None
    assert report.numerics.first_beyond == "neg"
    assert {"neg"} == {f.node for f in report.findings if f.code == "TD402"}


@pytest.mark.parametrize("timing", list(Timing))
def test_the_lost_half_shows_in_the_numbers_as_it_does_in_the_finding(
    timing: Timing, corpus_model: Model, bench: Bench
) -> None:
    report = measured(bench, corpus_model("int_times_float_scalar"), timing)
    assert report.numerics is not None
    assert report.numerics.first_beyond == "mul"
    assert row(report, "mul").max_abs_error == 5.5, "11 * 0.5, all of it"
    coerced = {f.node for f in report.findings if f.code == "TD403"}
    assert "mul" in coerced
    assert not coerced & {f.node for f in report.findings if f.code == "TD402"}


def test_a_missing_restoring_cast_shows_as_a_narrow_output_where_td301_says_so(
    corpus_model: Model, bench: Bench
) -> None:
    case = corpus_model("double_constant_only")
    reports = {timing: measured(bench, case, timing) for timing in Timing}
    for timing, report in reports.items():
        assert report.numerics is not None
        narrow = timing in (Timing.OFF, Timing.UPSTREAM)
        assert report.numerics.outputs[0].computed == ("float32" if narrow else "float64")
        # Under off the engine is refused for its float64 constants, and the note says so.
        said = {f.code for f in report.findings} & {"TD301", "TD102"}
        assert bool(said) is narrow, timing
    off = reports[Timing.OFF].numerics
    assert off is not None
    assert str(off.note).endswith("; engine 0 does not build")


def test_off_computes_what_its_engines_bind_and_says_that_float64_is_not_among_it(
    corpus_model: Model, bench: Bench
) -> None:
    report = measured(bench, corpus_model("double_in_out"), Timing.OFF)
    assert report.numerics is not None
    assert str(report.numerics.note).startswith(
        "the policy truncates nothing, but engines compute float64 as float32"
    )
    assert all(0 < (o.max_abs_error or 0) < 1e-6 for o in report.numerics.outputs)


@pytest.mark.parametrize("timing", [Timing.LATE, Timing.EARLY, Timing.UPSTREAM])
@pytest.mark.parametrize("case", ["double_in_out", "double_conv_weights"])
def test_an_input_called_like_a_builtin_is_cast_too(
    case: str, timing: Timing, corpus_model: Model, bench: Bench
) -> None:
    # Their input is called `input`, which lowering renames.
    report = measured(bench, corpus_model(case), timing)
    assert report.numerics is not None
    assert [row.note for row in report.numerics.nodes if row.note is not None] == []
    assert "input" in {cast.value.removesuffix("_1") for cast in report.boundary_casts}


@pytest.mark.parametrize("timing", [Timing.LATE, Timing.EARLY, Timing.UPSTREAM])
def test_numbers_move_where_float64_is_narrowed(
    timing: Timing, corpus_model: Model, bench: Bench
) -> None:
    report = measured(bench, corpus_model("double_in_out"), timing)
    assert report.numerics is not None
    errors = [output.max_abs_error or 0.0 for output in report.numerics.outputs]
    assert all(0 < error < 1e-6 for error in errors)


@pytest.mark.parametrize("timing", [Timing.LATE, Timing.EARLY, Timing.UPSTREAM])
@pytest.mark.parametrize("sample", sorted(path.stem for path in SAMPLES.glob("*.pt2")))
def test_every_node_of_a_sample_is_compared_and_agrees(
    sample: str, timing: Timing, bench: Bench
) -> None:
    report = measured(bench, SAMPLES / f"{sample}.pt2", timing)
    assert report.numerics is not None
    disagreeing = [r for r in report.numerics.nodes if r.agreement is not Agreement.WITHIN]
    assert disagreeing == []
    assert len(report.numerics.nodes) == len([n for n in report.nodes if n.op != "output"])


def test_the_worker_runs_values_from_a_file_and_refuses_wrong_ones_in_one_line(
    tmp_path: Path, torch_tensorrt_ready: None
) -> None:
    import torch

    model = SAMPLES / "boundary_mixed.pt2"
    program = torch.export.load(str(model))
    (sensor, ids), _ = program.example_inputs
    good, wrong = tmp_path / "good.pt", tmp_path / "wrong.pt"
    torch.save({"sensor": sensor * 2.0, "ids": ids}, good)
    torch.save((sensor.float(), ids), wrong)
    job = Job(model=str(model), settings=Settings(), probe_seconds=0)
    policy = TruncationPolicy()
    with Client() as client:
        made = client.submit(Measure(job=job, policy=policy, inputs=str(good), atol=0, rtol=0))
        refused = client.submit(Measure(job=job, policy=policy, inputs=str(wrong)))
        report = made.result(120)
        with pytest.raises(UsageError, match=r"input sensor is float32 \[4, 16\]") as caught:
            refused.result(120)
    assert isinstance(report, Report)
    assert report.numerics is not None
    assert report.numerics.inputs == str(good)
    assert report.numerics.first_beyond is not None, "no error at all is tolerated"
    assert "TD402" in {finding.code for finding in report.findings}
    assert "\n" not in str(caught.value)
