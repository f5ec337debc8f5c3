"""Every figure of a comparison is that of `build` alone; what fails in a row stays there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from corpus_bench import CORPUS, SAMPLES, Bench, read_manifest

from trtdbg.analysis.comparison import PolicyComparison, Row, build_totals, policies, row_of
from trtdbg.batch.executors import LocalCrew, finished
from trtdbg.batch.rows import Numbers, Task, compare_row
from trtdbg.errors import ExitCode
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Report
from trtdbg.worker.messages import Access, Job

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")])}
LATE = TruncationPolicy()
UPSTREAM = TruncationPolicy(timing=Timing.UPSTREAM)
IN_CI = "mixed_double_int_boundary"
"""The case of the corpus whose engines and casts depend on the policy most."""


def task(model: Path, policy: TruncationPolicy, **changes: Any) -> Task:
    job = Job(model=str(model), settings=Settings(), access=Access(time_limit=240))
    plain = Task(model=str(model), name="x", policy=policy, job=job, cache=False)
    return msgspec.structs.replace(plain, **changes)


def made(tasks: list[Task]) -> list[Row]:
    with LocalCrew(2) as crew:
        found = dict(finished(tasks, crew, compare_row))
    assert all(isinstance(row, Row) for row in found.values())
    return [found[place] for place in range(len(tasks))]  # type: ignore[misc]


def figures(row: Row) -> dict[str, Any]:
    """Returns what two builds of the same have in common: all but the clock."""
    known = msgspec.to_builtins(row)
    for timed in (known, known["build"] or {}):
        timed.pop("seconds", None)
    return known


def alone(model: Path, report: Report) -> dict[str, Any]:
    return figures(row_of(str(model), "x", report, build_totals(report)))


def assert_rows_are_those_of_build(
    model: Path, chosen: list[TruncationPolicy], bench: Bench, imports: tuple[str, ...] = ()
) -> None:
    job = Job(
        model=str(model),
        settings=Settings(),
        access=Access(time_limit=240, imports=imports),
    )
    rows = made([task(model, policy, job=job) for policy in chosen])
    for policy, row in zip(chosen, rows, strict=True):
        assert row.error is None
        assert figures(row) == alone(model, bench.build(model, policy))


def test_rows_of_a_sample_hold_the_figures_of_build_alone(bench: Bench) -> None:
    assert_rows_are_those_of_build(SAMPLES / "boundary_mixed.pt2", [UPSTREAM, LATE], bench)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("*.pt2")))
def test_all_rows_of_all_samples_hold_the_figures_of_build_alone(
    name: str, bench: Bench
) -> None:
    assert_rows_are_those_of_build(SAMPLES / f"{name}.pt2", policies(LATE), bench)


@pytest.mark.parametrize(
    "case",
    [
        case if case == IN_CI else pytest.param(case, marks=pytest.mark.slow)
        for case in read_manifest()
    ],
)
def test_rows_of_the_corpus_hold_the_figures_of_build_alone(
    case: str, bench: Bench, corpus_model: Callable[[str], Path]
) -> None:
    model = corpus_model(case)
    script = CORPUS / "cases" / f"{case}.py"
    imports = (str(script),) if "custom_op" in script.read_text() else ()
    assert_rows_are_those_of_build(model, [UPSTREAM, LATE], bench, imports)


def test_the_command_line_gives_what_build_prints(tmp_path: Path) -> None:
    model = "samples/ids_float64_island.pt2"
    compared, built = tmp_path / "c.json", tmp_path / "b.json"
    run("compare", model, "upstream", "--no-cache", "--json", str(compared))
    run("build", model, "--timing", "upstream", "--no-cache", "--json", str(built))
    (row,) = msgspec.json.decode(compared.read_bytes(), type=PolicyComparison).rows
    report = json.loads(built.read_text())
    assert row.engines == len(report["engines"]) == 2
    assert row.torch_ops == len(report["torch_ops"]) == 1
    assert row.casts is not None
    assert row.casts.bytes == sum(cast["bytes"] or 0 for cast in report["boundary_casts"])
    assert row.build is not None
    assert row.build.bytes == sum(engine["build"]["bytes"] for engine in report["engines"])
    assert row.build.seconds is not None
    assert row.sha256 == report["model"]["sha256"]
    assert row.policy == msgspec.convert(report["policy"], TruncationPolicy)


def run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trtdbg", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_twelve_layers_of_float64_attention_are_13_engines_against_1(
    attention_12: Path,
) -> None:
    upstream, late = made([task(attention_12, policy) for policy in (UPSTREAM, LATE)])
    assert (upstream.engines, upstream.torch_ops) == (13, 12)
    assert (late.engines, late.torch_ops) == (1, 0)
    for row in (upstream, late):
        assert row.build is not None
        assert (row.build.built, row.build.failed) == (row.engines, 0)


def test_numeric_errors_are_those_of_report_numerics(bench: Bench) -> None:
    model = SAMPLES / "attention_float64.pt2"
    (row,) = made([task(model, LATE, build=False, numbers=Numbers())])
    measured = bench.numerics(model, LATE).numerics
    assert measured is not None
    assert row.numerics is not None
    assert row.numerics.max_abs_error == max(
        output.max_abs_error or 0.0 for output in measured.outputs
    )
    assert row.numerics.inputs == measured.inputs
    assert row.build is None


def test_a_crash_a_hang_and_no_memory_in_the_builders_place_cost_one_row_each() -> None:
    model = SAMPLES / "boundary_mixed.pt2"
    hurried = Job(
        model=str(model),
        settings=Settings(),
        access=Access(time_limit=40, memory_limit=3 << 30),
    )
    planted = ("Crashes", "Hangs", "EatsMemory", "IsKilled")
    first, *failed, last = made(
        [
            task(model, LATE),
            *(task(model, LATE, handler=f"failing_builder:{p}", job=hurried) for p in planted),
            task(model, UPSTREAM),
        ]
    )
    assert (first.error, last.error) == (None, None)
    assert first.build is not None
    assert first.build.built == first.engines == 2
    crashed, hung, full, killed = (row.error or "" for row in failed)
    assert "died of SIGSEGV" in crashed
    assert "building boundary_mixed.pt2 (build engine 0, 0 of 2)" in crashed
    assert "while building boundary_mixed.pt2 (build engine 0)" in hung
    assert "longer than --time-limit 40 seconds" in hung
    assert "--memory-limit is 3.0 GiB" in full
    assert "SIGKILL (possibly out of memory)" in killed
    assert {row.exit_code for row in failed} == {ExitCode.FAILED}


def test_models_built_side_by_side_are_those_built_one_by_one(tmp_path: Path) -> None:
    models = [f"samples/{name}.pt2" for name in ("boundary_mixed", "ids_float64_island")]
    apart, together = tmp_path / "apart.json", tmp_path / "together.json"
    run("build", *models, "--no-cache", "--json", str(apart))
    run("build", *models, "--no-cache", "--jobs", "2", "--json", str(together))
    one, other = (
        [msgspec.convert(entry, Report) for entry in json.loads(file.read_text())]
        for file in (apart, together)
    )
    assert [report.model for report in one] == [report.model for report in other]
    for model, first, second in zip(models, one, other, strict=True):
        assert alone(Path(model), first) == alone(Path(model), second)
        assert first.nodes == second.nodes


def test_a_cluster_that_loses_a_worker_gives_the_whole_table(
    tmp_path: Path, bench: Bench
) -> None:
    distributed = pytest.importorskip(
        "distributed", reason="the extra trtdbg[dask] is not installed"
    )
    model, records = SAMPLES / "boundary_mixed.pt2", tmp_path / "c.json"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        victims = {worker.pid for worker in cluster.workers.values()}
        command = ["compare", str(model), "early", "upstream", "late", "--no-cache"]
        command += ["--dask", cluster.scheduler_address, "--json", str(records)]
        with subprocess.Popen(
            [sys.executable, "-m", "trtdbg", *command],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            assert "[1/3]" in process.stderr.readline()
            # One has begun another row, or is about to.
            os.kill(busy(victims), signal.SIGKILL)
            said = process.stderr.read()
        assert process.returncode == 0, said
    found = msgspec.json.decode(records.read_bytes(), type=PolicyComparison).rows
    assert [row.name for row in found] == ["early", "upstream", "late"]
    for row in found:
        expected = alone(model, bench.build(model, row.policy))
        assert figures(row) == expected | {"model": str(model), "name": row.name}


def busy(pids: set[int]) -> int:
    """Returns one of the processes that is making a row: the one with a child."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        listed = subprocess.run(["ps", "-eo", "ppid="], capture_output=True, text=True)
        parents = pids & set(map(int, listed.stdout.split()))
        if parents:
            return parents.pop()
        time.sleep(0.02)
    raise AssertionError("no row is being made")
