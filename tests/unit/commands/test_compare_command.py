from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner
from fake_crew import FakeCrew
from fake_shell import FakeShell

from tests import canned
from trtdbg.analysis.comparison import PolicyComparison, Row, build_totals, row_of
from trtdbg.batch.rows import Task, compare_row, failed_row
from trtdbg.commands import compare
from trtdbg.commands import crew as crew_options
from trtdbg.errors import (
    ExitCode,
    OutputError,
    TrtdbgError,
    UsageError,
    WorkerBugError,
    WorkerError,
)
from trtdbg.policy import Precision, Timing, TruncationPolicy, VerdictSource
from trtdbg.records import Report

TIMINGS = ("off", "early", "upstream", "late")


def make(task: Task, report: Report | None = None) -> Row:
    known = canned.built(canned.UPSTREAM, canned.BUILT, canned.BUILT)
    if task.policy.timing is not Timing.UPSTREAM:
        known = canned.built(canned.LATE, canned.BUILT)
    report = msgspec.structs.replace(report or known, policy=task.policy)
    return row_of(task.model, task.name, report, build_totals(report) if task.build else None)


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> FakeCrew:
    made = FakeCrew(make)
    monkeypatch.setattr(crew_options, "LocalCrew", made)
    return made


def invoke(shell: FakeShell, *args: str) -> Any:
    return compare.command.main(list(args), obj=shell, standalone_mode=False)


def names(crew: FakeCrew) -> list[str]:
    return [task.name for task in crew.tasks]


def test_every_timing_and_late_with_each_path_switched_is_compared(
    model: str, other: str, crew: FakeCrew
) -> None:
    assert invoke(FakeShell(), model, other) is ExitCode.CLEAN
    switched = ("late, inputs none", "late, constants none", "late, computed none")
    timings = [name for name in TIMINGS if name != "upstream"]
    assert names(crew) == ["upstream", *timings, *switched] * 2
    assert [task.model for task in crew.tasks] == [model] * 7 + [other] * 7
    assert all(task.build and task.cache and task.numbers is None for task in crew.tasks)
    assert crew.jobs == 1
    assert crew.work == {compare_row}


def test_each_program_of_a_file_is_compared_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_program(task: Task) -> Row:
        return msgspec.structs.replace(make(task), program=task.job.access.program)

    crew, both = FakeCrew(of_program), str(tmp_path / "both.pt2")
    monkeypatch.setattr(crew_options, "LocalCrew", crew)
    with zipfile.ZipFile(both, "w") as file:
        for name in ("encode", "decode"):
            file.writestr(f"models/{name}.json", "{}")
            file.writestr(f"data/sample_inputs/{name}.pt", "")
    shell = FakeShell()
    assert invoke(shell, both, "late", "off") is ExitCode.CLEAN
    assert [task.job.access.program for task in crew.tasks] == ["decode"] * 2 + ["encode"] * 2
    assert "both.pt2, program decode: 1 engine" in shell.stdout
    assert "both.pt2, program encode: 1 engine" in shell.stdout
    assert "both.pt2, program encode, off: " in " ".join(shell.notes)
    crew.tasks.clear()
    invoke(FakeShell(), both, "late", "--program", "encode")
    assert [task.job.access.program for task in crew.tasks] == ["encode"]


def test_the_policy_of_the_flags_is_what_is_varied(model: str, crew: FakeCrew) -> None:
    flags = "--timing early --inputs none --verdicts tensorrt"
    invoke(FakeShell(), model, *flags.split())
    assert names(crew)[1] == "early, inputs none, verdicts tensorrt"
    assert names(crew)[2] == "upstream", "torch_tensorrt asks its validators alone"
    assert names(crew)[4:] == [
        "early, verdicts tensorrt",
        "early, inputs none, constants none, verdicts tensorrt",
        "early, inputs none, computed none, verdicts tensorrt",
    ]
    assert crew.tasks[2].policy.verdicts is VerdictSource.VALIDATORS


def test_a_timing_without_paths_has_none_switched(model: str, crew: FakeCrew) -> None:
    invoke(FakeShell(), model, "--timing", "upstream")
    assert names(crew) == list(TIMINGS)


def test_precisions_are_an_axis_beside_timings(model: str, crew: FakeCrew) -> None:
    invoke(FakeShell(), model, "none", "float16", "bfloat16")
    lows = ["late, low float16", "late, low bfloat16"]
    assert names(crew) == ["late", *lows]
    crew.tasks.clear()
    invoke(FakeShell(), model, "off", "late", "upstream", "none", "bfloat16")
    assert names(crew) == [
        "off",
        "late",
        "late, low bfloat16",
        "upstream",
        "upstream, low bfloat16",
    ]
    assert crew.tasks[2].policy.precision is Precision.BFLOAT16


def test_precisions_go_with_policies_in_files(
    model: str, crew: FakeCrew, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('precision = "float16"\nkeep_nodes = ["exp"]\n')
    invoke(FakeShell(), model, str(file), "none", "float16")
    assert names(crew) == ["mine.toml, low float32", "mine.toml"]
    assert crew.tasks[0].policy == TruncationPolicy()
    assert crew.tasks[1].policy.keep_nodes == ("exp",)


def test_a_low_policy_stands_beside_the_same_in_float32(model: str, crew: FakeCrew) -> None:
    invoke(FakeShell(), model, "--low", "float16", "--keep-rules", "none")
    assert names(crew)[:2] == ["late", "late, low float16, rules none"]
    assert "off" in names(crew)
    assert len(set(names(crew))) == len(names(crew))


def test_policies_are_named_by_timing_and_by_file(
    model: str, crew: FakeCrew, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('timing = "early"\nconstants = "none"\n')
    shell = FakeShell()
    invoke(shell, model, "upstream", str(file), "upstream")
    assert names(crew) == ["upstream", "mine.toml"]
    early = TruncationPolicy(timing=Timing.EARLY, constants=())
    assert crew.tasks[1].policy == early
    assert "mine.toml" in shell.stdout
    assert "constants none" in shell.stdout


def test_options_reach_the_rows(model: str, crew: FakeCrew) -> None:
    invoke(
        FakeShell(),
        *(model, "late", "--no-cache", "--numerics", "--seed", "3", "--atol", "0.5"),
        *("--time-limit", "9", "--memory-limit", "1G", "--min-block-size", "4"),
        *("--target", "sm89", "--jobs", "3"),
    )
    (task,) = crew.tasks
    assert not task.cache
    assert task.numbers is not None
    assert (task.numbers.seed, task.numbers.atol, task.numbers.rtol) == (3, 0.5, 1e-4)
    assert (task.job.access.time_limit, task.job.access.memory_limit) == (9.0, 1 << 30)
    assert (task.job.settings.min_block_size, task.job.target) == (4, "sm89")
    assert crew.jobs == 1, "no more processes than rows"


def test_no_build_analyses_alone_and_shows_no_build_columns(
    model: str, crew: FakeCrew
) -> None:
    shell = FakeShell()
    invoke(shell, model, "upstream", "late", "--no-build")
    assert not any(task.build for task in crew.tasks)
    assert "build" not in shell.stdout
    assert "Run time" not in shell.stdout


def test_json_is_one_object_that_reads_back(model: str, crew: FakeCrew) -> None:
    shell = FakeShell()
    invoke(shell, model, "upstream", "late", "--json", "-")
    read = msgspec.json.decode(shell.stdout, type=PolicyComparison)
    assert [row.name for row in read.rows] == ["upstream", "late"]
    upstream, late = json.loads(shell.stdout)["rows"]
    assert json.loads(shell.stdout)["schema"] == "trtdbg.compare/1"
    assert (upstream["engines"], upstream["torch_ops"]) == (2, 1)
    assert upstream["build"]["seconds"] == pytest.approx(2 * 0.412)
    assert upstream["build"]["bytes"] == 2 * 34_512
    assert upstream["findings"] == {"error": 1, "warning": 1, "note": 0}
    assert upstream["casts"] == {"count": 1, "bytes": 0, "unknown": 1}
    assert upstream["run"]["median_ms"] is None
    assert upstream["run"]["unavailable"] == "not available: no CUDA device"
    assert late["engines"] == 1


def test_rows_are_told_as_they_finish(model: str, crew: FakeCrew) -> None:
    shell = FakeShell()
    invoke(shell, model, "upstream", "late", "--json", "-")
    assert shell.notes == [
        "[1/2] island.pt2, upstream: 2 engines, 1 PyTorch operator, build 0.82 s",
        "[2/2] island.pt2, late: 1 engine, no PyTorch operators, build 0.41 s",
    ]


def test_table_page_and_json_are_written_side_by_side(
    model: str, crew: FakeCrew, tmp_path: Path
) -> None:
    page, records = tmp_path / "c.html", tmp_path / "c.json"
    shell = FakeShell()
    invoke(shell, model, "--html", str(page), "--json", str(records))
    assert "1 engine at best" in shell.stdout
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert len(json.loads(records.read_text())["rows"]) == 7
    assert shell.notes[-2:] == [f"wrote {page}", f"wrote {records}"]


@pytest.mark.parametrize("flag", ["--html", "--json"])
def test_an_output_that_exists_is_refused_before_any_work(
    model: str, crew: FakeCrew, tmp_path: Path, flag: str
) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        invoke(FakeShell(), model, flag, str(there))
    assert crew.tasks == []
    invoke(FakeShell(), model, flag, str(there), "--force")
    assert there.read_text() != "mine"


def test_a_model_that_is_not_there_costs_its_rows_alone(
    model: str, crew: FakeCrew, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing.pt2")
    shell = FakeShell()
    assert invoke(shell, missing, model, "late") is ExitCode.USAGE
    assert [task.model for task in crew.tasks] == [model]
    assert "missing.pt2: no row could be made" in shell.stdout
    assert [subject for subject, _ in shell.failures] == [missing]


@pytest.mark.parametrize(
    ("error", "code"),
    [(WorkerError("died of SIGSEGV"), ExitCode.FAILED), (UsageError("no"), ExitCode.USAGE)],
)
def test_the_worst_row_decides_the_exit_code(
    model: str, crew: FakeCrew, error: TrtdbgError, code: ExitCode
) -> None:
    def fails_late(task: Task) -> Row:
        if task.policy.timing is not Timing.LATE:
            return make(task)
        return failed_row(task, error)

    crew.make = fails_late
    shell = FakeShell()
    assert invoke(shell, model, "upstream", "late") is code
    assert f"late: {error}" in shell.stdout


def test_a_build_that_fails_ends_in_4_as_build_does(model: str, crew: FakeCrew) -> None:
    crew.make = lambda task: make(task, canned.built(canned.LATE, canned.FAILED))
    shell = FakeShell()
    assert invoke(shell, model, "late") is ExitCode.FAILED
    assert "1 of 1 failed" in shell.stdout
    assert canned.FAILED.error is not None
    assert canned.FAILED.error in " ".join(shell.stdout.split())


def test_an_interrupted_run_takes_up_the_rows_that_it_has(
    model: str, other: str, crew: FakeCrew, tmp_path: Path
) -> None:
    Path(other).write_bytes(b"PK another")
    kept = str(tmp_path / "rows")

    def interrupted(task: Task) -> Row:
        if task.model == other:
            raise KeyboardInterrupt
        return make(task)

    crew.make = interrupted
    words = (model, other, "upstream", "late", "--resume", kept)
    with pytest.raises(click.Abort):
        invoke(FakeShell(), *words)
    crew.make, crew.tasks = make, []
    shell, plain = FakeShell(), FakeShell()
    invoke(shell, *words)
    assert [(task.model, task.name) for task in crew.tasks] == [
        (other, "upstream"),
        (other, "late"),
    ]
    assert shell.notes[0] == f"2 of 4 rows are taken from {kept}"
    invoke(plain, *words[:-2])
    assert shell.stdout == plain.stdout
    crew.tasks = []
    invoke(FakeShell(), *words)
    assert crew.tasks == []


def test_the_traceback_of_a_bug_is_kept(model: str, crew: FakeCrew) -> None:
    bug = WorkerBugError("KeyError on island.pt2", "Traceback ...")
    crew.make = lambda task: failed_row(task, bug)
    shell = FakeShell()
    assert invoke(shell, model, "late") is ExitCode.BUG
    (failure,) = shell.failures
    assert failure == ("island.pt2, late", str(bug))
    assert "please report it" in shell.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("late upstream", "there is no model"),
        ("saved.json late", "is a saved report"),
        ("{model} latte", "neither a file nor a timing; did you mean late"),
        ("{model} late --timing early", "write early beside late"),
        ("{model} absent.toml", "cannot read absent.toml"),
        ("{model} --jobs 2 --dask tcp://h:1", "leave one out"),
        ("{model} --seed 1", "add --numerics"),
        ("{model} --inputs float16", "is not a wide dtype"),
        ("{model} --memory-limit x", "is not a size"),
        ("{model} --resume {folder}", "cannot write"),
        ("{model} --html {model} --force", "would write to the model"),
        ("{model} --html {folder}/a --json {folder}/a", "name two files"),
        ("{model} --html {folder}/a --resume {folder}/a", "name two files"),
    ],
)
def test_a_bad_flag_is_one_line_before_any_work(
    model: str, crew: FakeCrew, tmp_path: Path, words: str, message: str
) -> None:
    text = words.format(model=model, folder=tmp_path)
    with pytest.raises(TrtdbgError, match=message) as caught:
        invoke(FakeShell(), *text.split())
    assert caught.value.exit_code is ExitCode.USAGE
    assert "\n" not in str(caught.value)
    assert crew.tasks == []


def test_paths_are_absolute_where_the_workers_are_elsewhere(
    model: str, monkeypatch: pytest.MonkeyPatch, crew: FakeCrew
) -> None:
    monkeypatch.chdir(Path(model).parent)
    made: list[str] = []

    def connect(address: str) -> FakeCrew:
        made.append(address)
        return crew

    monkeypatch.setattr(crew_options, "DaskCrew", connect)
    monkeypatch.setattr(FakeCrew, "workers", lambda self: 0, raising=False)
    shell = FakeShell()
    invoke(
        shell,
        *("island.pt2", "late", "--dask", "tcp://h:8786", "--import", "ops.py"),
        *("--numerics", "--inputs", "values.npz"),
    )
    (task,) = crew.tasks
    folder = Path(model).parent
    assert made == ["tcp://h:8786"]
    assert (task.model, task.job.model) == ("island.pt2", model)
    assert task.job.access.imports == (str(folder / "ops.py"),)
    assert task.numbers is not None
    assert task.numbers.inputs == str(folder / "values.npz")
    assert "the Dask cluster at tcp://h:8786 has no workers yet" in shell.notes


def test_help_says_what_is_compared_built_and_kept() -> None:
    help_page = CliRunner().invoke(compare.command, ["--help"], prog_name="trtdbg compare")
    text = " ".join(help_page.output.split())
    assert "Usage: trtdbg compare [OPTIONS] MODEL... [POLICY...]" in text
    for sentence in (
        "Without one every timing is compared, the one of the flags (upstream) first, and",
        "Only analyse",
        "with the seconds that it took then, and marked",
        "Analyse and build anew",
        "Rows at a time on this machine",
        "make only those that it does not hold",
    ):
        assert sentence in text
