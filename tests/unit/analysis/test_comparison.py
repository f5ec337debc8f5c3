"""Rows of a comparison: the same figures as the report, and what is said about them."""

from __future__ import annotations

import msgspec
import pytest

from tests import canned
from trtdbg.analysis.comparison import (
    PolicyComparison,
    Row,
    build_totals,
    no_builds,
    policies,
    policy_name,
    row_of,
    without_figures,
    worst_code,
)
from trtdbg.errors import ExitCode, WorkerError
from trtdbg.outputs.compare import comparison_words as words
from trtdbg.outputs.compare.comparison_words import ComparisonColumn
from trtdbg.policy import Precision, Settings, Timing, TruncationPolicy, VerdictSource
from trtdbg.records import (
    Agreement,
    BuildRecord,
    LowCastTotals,
    NodeError,
    Numerics,
    Report,
    TimingRecord,
)

CACHED = msgspec.structs.replace(canned.BUILT, cached=True, seconds=2.7)


def row(report: Report, name: str | None = None) -> Row:
    called = name or policy_name(report.policy)
    return row_of("a/net.pt2", called, report, build_totals(report))


def upstream(*results: BuildRecord) -> Row:
    return row(canned.built(canned.UPSTREAM, *results))


def late(*results: BuildRecord) -> Row:
    return row(canned.built(canned.LATE, *results))


def group(*rows: Row) -> words.ModelRows:
    (made,) = words.groups(PolicyComparison(rows=rows))
    return made


def timed(report: Report, *medians: float) -> Report:
    engines = tuple(
        msgspec.structs.replace(
            engine, timing=TimingRecord(median_ms=ms, p10_ms=ms, p90_ms=ms, runs=9)
        )
        for engine, ms in zip(report.engines, medians, strict=True)
    )
    return msgspec.structs.replace(report, engines=engines)


def measured(report: Report, *outputs: NodeError) -> Report:
    numbers = Numerics(inputs="example inputs", seed=0, atol=1, rtol=1, outputs=outputs)
    return msgspec.structs.replace(report, numerics=numbers)


def output(agreement: Agreement, error: float | None, **more: int) -> NodeError:
    return NodeError(name="out", agreement=agreement, max_abs_error=error, **more)


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        (TruncationPolicy(), "late"),
        (TruncationPolicy(inputs=()), "late, inputs none"),
        (
            TruncationPolicy(constants=("float64", "int64"), verdicts=VerdictSource.TENSORRT),
            "late, constants float64+int64, verdicts tensorrt",
        ),
        (TruncationPolicy(timing=Timing.OFF, inputs=()), "off"),
    ],
)
def test_a_policy_is_called_by_what_is_unusual_about_it(
    policy: TruncationPolicy, name: str
) -> None:
    assert policy_name(policy) == name


def test_a_path_that_narrows_nothing_is_switched_on() -> None:
    switched = policies(TruncationPolicy(inputs=(), constants=("float64", "int64")))
    assert [(p.inputs, p.constants, p.computed) for p in switched[4:]] == [
        (("float64",), ("float64", "int64"), ("float64",)),
        ((), (), ("float64",)),
        ((), ("float64", "int64"), ()),
    ]


def test_seconds_and_bytes_are_sums_and_the_cached_are_marked() -> None:
    made = upstream(canned.BUILT, CACHED)
    assert made.build is not None
    assert (made.build.built, made.build.cached, made.build.failed) == (2, 1, 0)
    assert made.build.seconds == pytest.approx(0.412 + 2.7)
    assert made.build.bytes == 2 * 34_512
    assert words.cell(made, ComparisonColumn.BUILD) == "3.11 s (1 of 2 cached)"
    assert words.cell(late(CACHED), ComparisonColumn.BUILD) == "2.70 s (cached)"
    assert words.cell(late(canned.BUILT), ComparisonColumn.BUILD) == "0.41 s"


def test_a_failed_build_hides_no_seconds_behind_a_smaller_sum() -> None:
    made = upstream(canned.BUILT, canned.FAILED)
    assert words.cell(made, ComparisonColumn.BUILD) == "1 of 2 failed"
    assert made.exit_code == ExitCode.FAILED
    assert made.build is not None
    assert made.build.error == canned.FAILED.error
    (remark,) = (r for r in words.remarks(group(made)) if "PROD" in r.text)
    assert remark.text.startswith("not built: ElementWise")


def test_a_machine_that_cannot_build_still_shows_the_partition() -> None:
    made = row_of("a", "late", canned.LATE, no_builds(canned.LATE, "it needs a GPU"))
    assert made.engines == 1
    assert words.cell(made, ComparisonColumn.BUILD) == "not available"
    assert words.remarks(group(made))[0].text == "not built: it needs a GPU"
    assert made.exit_code == ExitCode.UNAVAILABLE


def test_programs_of_one_file_are_told_apart() -> None:
    model = msgspec.structs.replace(canned.LATE.model, program="encode")
    encode = row(msgspec.structs.replace(canned.LATE, model=model))
    decode = msgspec.structs.replace(encode, program="decode")
    found = words.groups(PolicyComparison(rows=(encode, decode)))
    assert [each.model for each in found] == [
        "net.pt2, program encode",
        "net.pt2, program decode",
    ]


def test_run_time_is_a_sum_of_medians_or_not_available() -> None:
    report = canned.built(canned.UPSTREAM, canned.BUILT, canned.BUILT)
    made = row(timed(report, 1.25, 0.5))
    assert words.cell(made, ComparisonColumn.RUN) == "1.750 ms"
    plain = group(row(report))
    assert ComparisonColumn.RUN not in plain.columns
    assert [r.text for r in words.remarks(plain)] == ["Run time not available: no CUDA device"]
    mixed = group(made, row(report, "other"))
    assert ComparisonColumn.RUN in mixed.columns
    assert words.cell(mixed.rows[1], ComparisonColumn.RUN) == "not available: no CUDA device"
    assert words.remarks(mixed)[0].text == "Run time of other not available: no CUDA device"


def test_one_engine_without_time_makes_the_whole_time_unknown() -> None:
    report = canned.built(canned.UPSTREAM, canned.BUILT, canned.BUILT)
    half = timed(report, 1.0, 1.0)
    engines = (half.engines[0], report.engines[1])
    made = row(msgspec.structs.replace(half, engines=engines))
    assert made.run is not None
    assert made.run.median_ms is None


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ([output(Agreement.WITHIN, 1e-7), output(Agreement.WITHIN, 3e-7)], "3.0e-07"),
        ([output(Agreement.BEYOND, 2e-3), output(Agreement.WITHIN, 0.0)], "2.0e-03 (beyond)"),
        ([output(Agreement.BEYOND, 0.0, nan_mismatches=2)], "nan (beyond)"),
        ([output(Agreement.BEYOND, None, inf_mismatches=2)], "inf (beyond)"),
        ([output(Agreement.WITHIN, 0.0)], "0"),
        ([output(Agreement.NOT_COMPARED, None)], "not compared"),
        ([], "not compared"),
    ],
)
def test_the_numeric_error_is_the_worst_of_any_output(
    outputs: list[NodeError], text: str
) -> None:
    made = row(measured(canned.LATE, *outputs))
    assert words.cell(made, ComparisonColumn.ERROR) == text
    assert ComparisonColumn.ERROR in group(made).columns
    assert ComparisonColumn.ERROR not in group(late(canned.BUILT)).columns


def test_bytes_of_casts_say_what_is_unknown() -> None:
    def moved(*sizes: int | None) -> str:
        cast = canned.UPSTREAM.boundary_casts[0]
        casts = tuple(msgspec.structs.replace(cast, bytes=size) for size in sizes)
        report = msgspec.structs.replace(canned.UPSTREAM, boundary_casts=casts)
        return words.cell(row(report), ComparisonColumn.MOVED)

    assert moved() == "-"
    assert moved(100, 200) == "300 B"
    assert moved(4100, None) == "≥ 4.1 kB"
    assert moved(None) == "unknown"


def test_a_low_row_says_what_it_saves_and_costs_beside_float32() -> None:
    plain = late(msgspec.structs.replace(canned.BUILT, seconds=2.0, bytes=40_000))
    report = canned.built(
        canned.LATE, msgspec.structs.replace(canned.BUILT, seconds=1.0, bytes=22_000)
    )
    policy = TruncationPolicy(precision=Precision.FLOAT16, keep_nodes=("exp",))
    cast = msgspec.structs.replace(canned.UPSTREAM.boundary_casts[0], bytes=100)
    inside = LowCastTotals(count=3, bytes=4100)
    low = row(
        msgspec.structs.replace(
            report,
            policy=policy,
            boundary_casts=(*report.boundary_casts, cast),
            low_casts=inside,
        )
    )
    assert low.name == "late, low float16, 1 kept"
    text = (
        "late, low float16, 1 kept beside late: 55% of the engines' bytes; 50% of the build "
        "time; +1 boundary casts; +100 B across boundaries a run; 3 casts inside engines, "
        "which write 4.1 kB a run"
    )
    assert text in [remark.text for remark in words.remarks(group(plain, low))]
    assert not [r for r in words.remarks(group(low)) if "beside" in r.text]
    assert not [r for r in words.remarks(group(plain)) if "beside" in r.text]


def test_findings_are_counted_by_level() -> None:
    assert (
        words.cell(upstream(canned.BUILT, canned.BUILT), ComparisonColumn.FINDINGS) == "1e 1w"
    )
    assert words.cell(row(canned.CLEAN), ComparisonColumn.FINDINGS) == "none"


def test_headline_names_the_best_and_what_fails() -> None:
    several, one = upstream(canned.BUILT, canned.BUILT), late(canned.BUILT)
    assert words.headline(group(several, one)) == (
        "net.pt2: 1 engine at best, under late. 2 at worst"
    )
    failing = msgspec.structs.replace(late(canned.FAILED), name="other")
    assert words.headline(group(several, failing)) == (
        "net.pt2: 2 engines and 1 operator left to PyTorch at best, under upstream. "
        "1 of 2 fails"
    )
    assert words.headline(group(one)) == "net.pt2: 1 engine under every policy"
    assert words.headline(group(failing)) == "net.pt2: it fails under every policy"
    assert words.best_rows(group(several, failing)) == {"upstream"}
    assert words.best_rows(group(one)) == frozenset()


def test_a_broken_analysis_has_no_figures_and_says_where() -> None:
    made = row(canned.LOWERING_FAILED)
    assert words.cell(made, ComparisonColumn.ENGINES) == "-"
    assert words.remarks(group(made, late(canned.BUILT)))[0].text == (
        "upstream: pass 'fuse_prims_broadcast' failed"
    )
    assert made.exit_code == ExitCode.FAILED


def test_an_error_of_every_row_is_said_once() -> None:
    died = WorkerError("the worker died\x1b[31m")
    failed = [
        without_figures("net.pt2", name, TruncationPolicy(), Settings(), died)
        for name in ("late", "off")
    ]
    assert [r.text for r in words.remarks(group(*failed))] == ["the worker died?[31m"]
    assert words.headline(group(*failed)) == "net.pt2: no row could be made"
    assert worst_code(failed) is ExitCode.FAILED


def test_models_of_the_same_name_keep_their_folders() -> None:
    one = late(canned.BUILT)
    both = PolicyComparison(rows=(one, msgspec.structs.replace(one, model="b/net.pt2")))
    assert [each.model for each in words.groups(both)] == ["a/net.pt2", "b/net.pt2"]


def test_rows_of_different_machines_are_warned_of() -> None:
    one = late(canned.BUILT)
    newer = msgspec.structs.replace(canned.ENVIRONMENT, torch="2.14.0")
    other = msgspec.structs.replace(one, name="off", environment=newer)
    told = words.conditions(PolicyComparison(rows=(one, other), side_by_side=2))
    assert ("beware", "rows were made with different versions or GPUs") in told
    assert any("2 rows at a time" in text for _, text in told)
    assert not [
        name for name, _ in words.conditions(PolicyComparison(rows=(one,))) if name == "beware"
    ]


def test_numbers_that_a_row_lacks_are_unknown_and_no_row_is_the_best_by_them() -> None:
    known = late(canned.BUILT)
    lacking = msgspec.structs.replace(known, name="old", engines=1, torch_ops=None)
    assert words.best_rows(group(upstream(canned.BUILT, canned.BUILT), known, lacking)) == {
        known.name
    }
    assert words.row_line(lacking).startswith("1 engine, PyTorch operators unknown")
    assert words.row_line(msgspec.structs.replace(known, engines=None)).startswith(
        "engines unknown"
    )
