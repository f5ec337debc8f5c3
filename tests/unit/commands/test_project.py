"""`[tool.trtdbg]` of pyproject.toml, through the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fake_shell import FakeShell

from tests import canned
from trtdbg.commands import check, report
from trtdbg.errors import UsageError
from trtdbg.policy import Partitioner, Settings, Timing, TruncationPolicy, VerdictSource
from trtdbg.worker.messages import Analyze

MODEL = "island.pt2"

EVERY_KEY = """
[tool.other]
timing = "never"

[tool.trtdbg]
select = ["TD1", "TD3"]
ignore = "TD105,td103"
fail-on = "error"
timing = "early"
inputs = "none"
constants = ["float64", "int64"]
computed = "int64"
verdicts = "tensorrt"
probe-seconds = 5
min-block-size = 3
partitioner = "fast"
torch-executed-ops = ["aten.mul.Tensor"]
target = "sm89"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model and a pyproject.toml that sets every key."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / MODEL).write_bytes(b"PK")
    (tmp_path / "pyproject.toml").write_text(EVERY_KEY)
    return tmp_path


def project(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.trtdbg]\n{text}\n")


def invoke(command: Any, *arguments: str) -> tuple[FakeShell, int]:
    """Runs a command as the command line does; returns the shell and the exit code."""
    shell = FakeShell({MODEL: canned.UPSTREAM})
    result = CliRunner().invoke(command, arguments, obj=shell, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return shell, result.return_value


def asked(shell: FakeShell) -> Analyze:
    (request,) = shell.requests
    assert isinstance(request, Analyze)
    return request


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", [check.command, report.command])
def test_every_key_stands_for_its_flag(command: Any) -> None:
    request = asked(invoke(command, MODEL)[0])
    assert request.policy == TruncationPolicy(
        timing=Timing.EARLY,
        inputs=(),
        constants=("float64", "int64"),
        computed=("int64",),
        verdicts=VerdictSource.TENSORRT,
    )
    assert request.job.settings == Settings(
        min_block_size=3,
        partitioner=Partitioner.FAST,
        torch_executed_ops=("torch.ops.aten.mul.Tensor",),
    )
    assert (request.job.target, request.job.probe_seconds) == ("sm89", 5.0)


@pytest.mark.usefixtures("folder")
def test_flags_override_the_table() -> None:
    flags = (
        *("--timing", "late", "--constants", "float64", "--verdicts", "validators"),
        *("--min-block-size", "1", "--target", "sm86", "--probe-seconds", "2"),
    )
    request = asked(invoke(check.command, MODEL, *flags)[0])
    assert request.policy.timing is Timing.LATE
    assert request.policy.constants == ("float64",)
    assert request.policy.inputs == (), "what no flag says stays as the table has it"
    assert request.policy.verdicts is VerdictSource.VALIDATORS
    assert request.job.settings.min_block_size == 1
    assert (request.job.target, request.job.probe_seconds) == ("sm86", 2.0)


def test_files_given_by_flag_and_as_compiled_override_the_table(folder: Path) -> None:
    (folder / "policy.toml").write_text('timing = "upstream"\nverdicts = "validators"\n')
    request = asked(
        invoke(report.command, MODEL, "--policy", "policy.toml", "--as-compiled")[0]
    )
    assert request.policy.timing is Timing.UPSTREAM
    assert request.policy.inputs == ()
    assert request.job.settings == Settings.as_compiled()


def test_a_table_without_timing_is_told_what_is_taken_now(folder: Path) -> None:
    project(folder, 'select = "TD1"')
    shell, _ = invoke(check.command, MODEL)
    assert asked(shell).policy.timing is Timing.UPSTREAM
    assert shell.notes == [
        "pyproject.toml [tool.trtdbg] names no timing: upstream, where older versions took "
        "late"
    ]
    project(folder, 'constants = "none"')
    shell, _ = invoke(report.command, MODEL)
    assert asked(shell).policy == TruncationPolicy(constants=())
    assert shell.notes == [
        "timing late, which constants in pyproject.toml [tool.trtdbg] means: under upstream "
        "torch_tensorrt decides"
    ]
    project(folder, 'timing = "upstream"')
    assert not invoke(report.command, MODEL)[0].notes


def test_select_ignore_and_fail_on_are_read(folder: Path) -> None:
    project(folder, 'ignore = ["TD3"]\nfail-on = "error"')
    shell, code = invoke(check.command, MODEL)
    assert "TD101" in shell.stdout
    assert "TD301" not in shell.stdout
    assert code == 0
    shell, code = invoke(check.command, MODEL, "--ignore", "TD1", "--fail-on", "note")
    assert "TD301" in shell.stdout
    assert "TD101" not in shell.stdout
    assert code == 1
    project(folder, 'select = "TD1"')
    assert "TD301" not in invoke(check.command, MODEL)[0].stdout
    assert "TD301" in invoke(check.command, MODEL, "--select", "TD")[0].stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tming = 1", "pyproject.toml [tool.trtdbg]: there is no key 'tming'; use timing"),
        ("fail_at = 1", "there is no key 'fail_at'; use fail_on"),
        ('timing = "soon"', "pyproject.toml [tool.trtdbg]: Invalid enum value 'soon'"),
        ("inputs = 64", "inputs: expected a list of dtypes, got 64"),
        ('select = ["TD9"]', "select: 'TD9' begins no code"),
        ("ignore = [1]", "ignore: expected a list of codes, got [1]"),
        ('fail-on = "fatal"', "fail-on is one of note, warning, error, got 'fatal'"),
        ("min-block-size = 0", "min_block_size is at least 1, got 0"),
        ('min-block-size = "2"', "Expected `int`, got `str`"),
        ("probe-seconds = -1", "probe-seconds is 0 to 1000000000, got -1"),
        ("probe-seconds = true", "probe-seconds is 0 to 1000000000, got True"),
        ('target = "hopper"', "'hopper' is not a compute capability"),
        ('torch-executed-ops = ["mul"]', "'mul' is not an operator"),
        ("x = [", "pyproject.toml is not TOML"),
    ],
)
def test_what_makes_no_sense_is_one_clear_line(folder: Path, text: str, message: str) -> None:
    project(folder, text)
    with pytest.raises(UsageError) as caught:
        invoke(check.command, MODEL)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[tool]\n", "[project]\nname = 'x'\n", "tool = 1\n"])
def test_a_file_without_the_table_changes_nothing(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(text)
    shell, _ = invoke(check.command, MODEL)
    assert asked(shell).policy == TruncationPolicy(timing=Timing.UPSTREAM)
    assert asked(shell).job.settings == Settings()
    assert not shell.notes


def test_a_table_that_is_none_is_refused(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool]\ntrtdbg = 1\n")
    with pytest.raises(UsageError, match=r"tool\.trtdbg is not a table"):
        invoke(check.command, MODEL)


@pytest.mark.usefixtures("folder")
def test_the_table_does_not_speak_against_a_saved_report() -> None:
    Path("saved.json").write_bytes(report.shared.encode([canned.UPSTREAM]))
    shell, code = invoke(check.command, "saved.json", "--fail-on", "warning")
    assert shell.failures == []
    assert code == 1
