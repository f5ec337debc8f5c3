from __future__ import annotations

import json

import pytest
from fake_shell import FakeShell

from tests import canned
from trtdbg.commands import check
from trtdbg.commands.options import Choices
from trtdbg.errors import ExitCode, WorkerError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Level, Report

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
    code = check.run(shell, (model,), CHOICES, select=select, ignore=ignore, style=check.Style.JSON)
    assert [f["code"] for f in json.loads(shell.stdout)["findings"]] == left
    assert code is (ExitCode.FINDINGS if left else ExitCode.CLEAN)


def test_ignoring_its_finding_does_not_make_a_failed_analysis_clean(model: str) -> None:
    shell = FakeShell({model: canned.LOWERING_FAILED})
    assert check.run(shell, (model,), CHOICES, ignore=("TD501",)) is ExitCode.FAILED


def test_text_is_one_line_a_finding_and_a_sum(model: str) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    check.run(shell, (model,), CHOICES)
    worst, second, total = shell.stdout.splitlines()
    assert worst.startswith("models/island.pt2: TD301 error missing-restoring-cast: sin (aten")
    assert "TD101 warning needless-rejection" in second
    assert total == "2 findings (1 error, 1 warning) in 1 model"


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
    assert shell.stdout == "no findings in 1 model; 1 model could not be checked\n"
