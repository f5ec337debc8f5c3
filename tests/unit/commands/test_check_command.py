from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import msgspec
import pytest
from fake_shell import FakeShell

from tests import canned
from trtdbg.commands import check
from trtdbg.commands.options import Choices
from trtdbg.commands.redacting import Redaction
from trtdbg.errors import ExitCode, OutputError, UsageError, WorkerError
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import BuildRecord, BuildStatus, Finding, Level, Report
from trtdbg.worker.messages import Analyze, Build

CHOICES = Choices(policy=TruncationPolicy(), settings=Settings(), target=None)


@pytest.mark.parametrize(
    ("report", "fail_on", "code"),
    [
        (canned.CLEAN, Level.NOTE, ExitCode.CLEAN),
        (canned.LATE, Level.WARNING, ExitCode.CLEAN),
        (canned.LATE, Level.NOTE, ExitCode.FINDINGS),
        (canned.UPSTREAM, Level.WARNING, ExitCode.FINDINGS),
        (canned.UPSTREAM, Level.ERROR, ExitCode.FINDINGS),
        (canned.LOWERING_FAILED, Level.ERROR, ExitCode.FAILED),
    ],
)
def test_exit_code_goes_by_the_level(
    model: str, report: Report, fail_on: Level, code: ExitCode
) -> None:
    shell = FakeShell({model: report})
    assert check.run(shell, (model,), CHOICES, fail_on=fail_on) is code


@pytest.mark.parametrize(
    ("select", "ignore", "left"),
    [
        ((), (), ["TD101", "TD301"]),
        (("TD1",), (), ["TD101"]),
        (("TD",), ("TD3",), ["TD101"]),
        (("TD301",), ("TD",), []),
    ],
)
def test_select_and_ignore_take_beginnings_of_codes(
    model: str, select: tuple[str, ...], ignore: tuple[str, ...], left: list[str]
) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    code = check.run(
        shell, (model,), CHOICES, select=select, ignore=ignore, style=check.Style.JSON
    )
    assert [f["code"] for f in json.loads(shell.stdout)["findings"]] == left
    assert code is (ExitCode.FINDINGS if left else ExitCode.CLEAN)


@pytest.mark.parametrize("style", check.Style)
def test_redact_leaves_out_source_and_paths_and_the_baseline_still_knows(
    model: str, other: str, style: check.Style, tmp_path: Path
) -> None:
    told = msgspec.json.encode(canned.UPSTREAM).replace(b"x.double()", b"crown_jewels(x)")
    secret = msgspec.json.decode(told, type=Report)
    assert b"crown_jewels" in told
    answers = {model: secret, other: WorkerError(f"cannot read {other}")}
    known = tmp_path / "known.json"
    shell = FakeShell({model: secret})
    check.run(shell, (model,), CHOICES, write_baseline=str(known))
    shell = FakeShell(answers)
    hidden = Redaction(on=True)
    models = (model, other)
    file = tmp_path / "out"
    check.run(
        shell, models, CHOICES, style=style, output=str(file), redaction=hidden, force=True
    )
    for text in (shell.stdout, file.read_text()):
        assert "crown_jewels" not in text
        assert "island.p" not in text
        assert str(tmp_path) not in text
    assert "TD101" in file.read_text()
    shell = FakeShell({model: secret})
    code = check.run(shell, (model,), CHOICES, baseline=str(known), redaction=hidden)
    assert code is ExitCode.CLEAN
    assert "no findings in 1 model; 2 in the baseline" in shell.stdout
    with pytest.raises(UsageError, match="does not go with --write-baseline"):
        check.run(shell, (model,), CHOICES, write_baseline="b.json", redaction=hidden)


UNBUILT = "; engines were not built: --build says whether TensorRT takes them"


def test_ignoring_its_finding_does_not_make_a_failed_analysis_clean(model: str) -> None:
    shell = FakeShell({model: canned.LOWERING_FAILED})
    assert check.run(shell, (model,), CHOICES, ignore=("TD501",)) is ExitCode.FAILED


ANSWER = (
    "models/island.pt2: 2 engines, 1 operator left to PyTorch, 1 boundary cast under upstream"
)


def test_text_is_the_answer_one_line_a_finding_and_a_sum(model: str) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    check.run(shell, (model,), CHOICES)
    answer, worst, second, total = shell.stdout.splitlines()
    assert answer == ANSWER
    assert worst.startswith("models/island.pt2: TD301 error missing-restoring-cast: sin (aten")
    assert "TD101 warning needless-rejection" in second
    assert total == f"2 findings (1 error, 1 warning) in 1 model{UNBUILT}"


def test_json_of_several_models_keeps_the_failed_one_in_place(model: str, other: str) -> None:
    shell = FakeShell({model: WorkerError("the worker died"), other: canned.CLEAN})
    code = check.run(shell, (model, other), CHOICES, style=check.Style.JSON)
    failed, clean = json.loads(shell.stdout)
    assert failed["error"] == "the worker died"
    assert (clean["schema"], clean["findings"]) == ("trtdbg.check/1", [])
    assert code is ExitCode.FAILED


def test_a_model_that_failed_is_not_counted_as_free_of_findings(
    model: str, other: str
) -> None:
    shell = FakeShell({model: WorkerError("the worker died"), other: canned.CLEAN})
    check.run(shell, (model, other), CHOICES)
    told = f"no findings in 1 model; 1 model could not be checked{UNBUILT}\n"
    assert shell.stdout.endswith(f"\n{told}")


STARTS = {
    check.Style.TEXT: ANSWER,
    check.Style.JSON: '{"schema":"trtdbg.check/1"',
    check.Style.GITHUB: "::error file=models/island.py,line=41,",
    check.Style.SARIF: '{\n  "$schema":',
    check.Style.JUNIT: '<?xml version="1.0"',
}


@pytest.mark.parametrize("style", check.Style)
def test_every_format_goes_to_stdout_with_the_same_exit_code(
    model: str, style: check.Style
) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    assert check.run(shell, (model,), CHOICES, style=style) is ExitCode.FINDINGS
    assert shell.stdout.startswith(STARTS[style])


@pytest.mark.parametrize("style", check.Style)
def test_every_format_holds_the_source_line(model: str, style: check.Style) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    check.run(shell, (model,), CHOICES, style=style)
    assert "island.py" in shell.stdout
    assert "41" in shell.stdout
    assert "y = x.double()" in shell.stdout


@pytest.mark.parametrize("style", check.Style)
def test_an_output_file_holds_the_format_and_stdout_the_text(
    model: str, tmp_path: Path, style: check.Style
) -> None:
    path = str(tmp_path / "out")
    shell = FakeShell({model: canned.UPSTREAM})
    code = check.run(shell, (model,), CHOICES, style=style, output=path)
    assert code is ExitCode.FINDINGS
    assert Path(path).read_text().startswith(STARTS[style])
    assert shell.stdout.startswith(STARTS[check.Style.TEXT])
    assert shell.stdout.endswith(f"2 findings (1 error, 1 warning) in 1 model{UNBUILT}\n")
    assert shell.notes == [f"wrote {path}"]


def test_an_output_file_is_kept_without_force(model: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("mine")
    shell = FakeShell({model: canned.UPSTREAM})
    for option in ("output", "write_baseline"):
        with pytest.raises(OutputError, match="--force"):
            check.run(shell, (model,), CHOICES, **{option: str(path)})  # type: ignore[arg-type]
    assert shell.requests == [], "refused before any work"
    assert path.read_text() == "mine"
    check.run(shell, (model,), CHOICES, output=str(path), force=True)
    assert "TD301" in path.read_text()


def test_after_a_baseline_is_written_only_new_findings_fail(
    model: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "baseline.json")
    old = msgspec.structs.replace(canned.UPSTREAM, findings=canned.UPSTREAM.findings[:1])
    shell = FakeShell({model: old})
    assert check.run(shell, (model,), CHOICES, write_baseline=path) is ExitCode.CLEAN
    shell = FakeShell({model: old})
    assert check.run(shell, (model,), CHOICES, baseline=path) is ExitCode.CLEAN
    assert shell.stdout == f"{ANSWER}\nno findings in 1 model; 1 in the baseline{UNBUILT}\n"
    shell = FakeShell({model: canned.UPSTREAM})
    assert check.run(shell, (model,), CHOICES, baseline=path) is ExitCode.FINDINGS
    assert "TD301" in shell.stdout
    assert "TD101" not in shell.stdout


def test_a_second_finding_of_the_same_kind_is_new(model: str, tmp_path: Path) -> None:
    path = str(tmp_path / "baseline.json")
    first = canned.UPSTREAM.findings[:1]
    once, twice = (
        msgspec.structs.replace(canned.UPSTREAM, findings=first * times) for times in (1, 2)
    )
    check.run(FakeShell({model: once}), (model,), CHOICES, write_baseline=path)
    shell = FakeShell({model: twice})
    assert check.run(shell, (model,), CHOICES, baseline=path) is ExitCode.FINDINGS


def test_a_baseline_of_several_models_tells_them_apart(
    model: str, other: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "baseline.json")
    renamed = msgspec.structs.replace(
        canned.UPSTREAM,
        model=msgspec.structs.replace(canned.UPSTREAM.model, path="models/other.pt2"),
    )
    shell = FakeShell({model: canned.UPSTREAM, other: canned.CLEAN})
    check.run(shell, (model, other), CHOICES, write_baseline=path)
    shell = FakeShell({model: canned.UPSTREAM, other: renamed})
    assert check.run(shell, (model, other), CHOICES, baseline=path) is ExitCode.FINDINGS
    assert "models/other.pt2: TD101" in shell.stdout
    assert "models/island.pt2: TD" not in shell.stdout


@pytest.mark.parametrize("answer", [WorkerError("the worker died"), canned.LOWERING_FAILED])
def test_no_baseline_is_written_that_would_forget_a_model(
    model: str, other: str, tmp_path: Path, answer: Report | WorkerError
) -> None:
    path = tmp_path / "baseline.json"
    shell = FakeShell({model: answer, other: canned.UPSTREAM})
    code = check.run(shell, (model, other), CHOICES, write_baseline=str(path))
    assert code is ExitCode.FAILED
    assert not path.exists()
    assert shell.notes == [f"did not write {path}: not every model could be checked"]


@pytest.mark.parametrize("old", [True, False])
def test_a_check_without_timing_takes_that_of_its_baseline(
    model: str, tmp_path: Path, old: bool
) -> None:
    path = tmp_path / "baseline.json"
    by_default = dataclasses.replace(
        CHOICES, policy=TruncationPolicy(timing=Timing.UPSTREAM), timing_named=False
    )
    check.run(FakeShell({model: canned.LATE}), (model,), CHOICES, write_baseline=str(path))
    if old:
        # Older versions took late, and wrote no timing down.
        path.write_text(path.read_text().replace('  "timing": "late",\n', ""))
    shell = FakeShell({model: canned.LATE})
    check.run(shell, (model,), by_default, baseline=str(path))
    (request,) = shell.requests
    assert isinstance(request, Analyze)
    assert request.policy.timing is Timing.LATE
    assert shell.notes == [f"timing late, as in the baseline {path}: --timing names another"]
    named = dataclasses.replace(by_default, timing_named=True)
    shell = FakeShell({model: canned.UPSTREAM})
    check.run(shell, (model,), named, baseline=str(path))
    assert shell.requests[0].policy.timing is Timing.UPSTREAM  # type: ignore[union-attr]
    assert not shell.notes


def test_a_baseline_that_is_none_is_refused_before_any_work(
    model: str, tmp_path: Path
) -> None:
    path = tmp_path / "baseline.json"
    path.write_text("{}")
    shell = FakeShell({model: canned.UPSTREAM})
    with pytest.raises(UsageError, match="is not a baseline"):
        check.run(shell, (model,), CHOICES, baseline=str(path))
    assert shell.requests == []


def test_a_message_of_several_lines_is_one_line(model: str) -> None:
    finding = msgspec.structs.replace(canned.UPSTREAM.findings[0], message="one\ntwo\r\nthree")
    report = msgspec.structs.replace(canned.UPSTREAM, findings=(finding,))
    shell = FakeShell({model: report})
    check.run(shell, (model,), CHOICES)
    assert "needless-rejection: one two three | y" in shell.stdout
    assert len(shell.stdout.splitlines()) == 3


def test_build_asks_for_engines_and_a_failed_one_fails_the_check(model: str) -> None:
    failed = BuildRecord(status=BuildStatus.FAILED, error="no kernel")
    engines = tuple(
        msgspec.structs.replace(engine, build=failed) for engine in canned.CLEAN.engines
    )
    finding = Finding(code="TD503", level=Level.ERROR, node=None, message="does not build")
    broken = msgspec.structs.replace(canned.CLEAN, engines=engines, findings=(finding,))
    shell = FakeShell({model: broken})
    assert check.run(shell, (model,), CHOICES, build=True) is ExitCode.FINDINGS
    assert isinstance(shell.requests[0], Build)
    assert "TD503" in shell.stdout
    assert "not built" not in shell.stdout
    assert check.run(shell, (model,), CHOICES, build=True, ignore=("TD503",)) is ExitCode.CLEAN


def test_build_does_not_go_with_a_saved_report() -> None:
    shell = FakeShell()
    assert check.run(shell, ("saved.json",), CHOICES, build=True) is ExitCode.USAGE
    assert "--build does not go with the saved report" in shell.failures[0][1]


def test_the_project_table_can_ask_for_builds(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.trtdbg]\nbuild = true\n")
    shell = FakeShell({model: canned.CLEAN})
    check.command.main([model], obj=shell, standalone_mode=False)
    assert isinstance(shell.requests[0], Build)
    (tmp_path / "pyproject.toml").write_text("[tool.trtdbg]\nbuild = 1\n")
    with pytest.raises(UsageError, match="build is true or false"):
        check.command.main([model], obj=shell, standalone_mode=False)
