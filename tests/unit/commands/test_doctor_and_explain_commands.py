from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from fake_shell import FakeShell

from tests import canned
from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.commands import doctor, explain
from trtdbg.errors import ExitCode, UnavailableError, UsageError
from trtdbg.outputs.report import encode


def test_doctor_shows_versions_and_why_something_is_not_possible() -> None:
    shell = FakeShell({"": canned.ENVIRONMENT})
    assert doctor.run(shell) is ExitCode.CLEAN
    assert "1.5.0.114" in shell.stdout
    assert "no   no CUDA device" in shell.stdout


def test_doctor_json_is_the_environment() -> None:
    shell = FakeShell({"": canned.ENVIRONMENT})
    doctor.run(shell, json_to="-")
    assert json.loads(shell.stdout)["flavour"] == "rtx"


def test_doctor_without_torch_tensorrt_says_so_and_exits_3() -> None:
    bare = msgspec.structs.replace(
        canned.ENVIRONMENT, torch=None, torch_tensorrt=None, tensorrt=None, flavour=None
    )
    shell = FakeShell({"": bare})
    assert doctor.run(shell) is ExitCode.UNAVAILABLE
    assert shell.stdout.count("not installed") == 3


def test_doctor_passes_on_what_the_worker_lacks() -> None:
    shell = FakeShell({"": UnavailableError("torch is not installed")})
    with pytest.raises(UnavailableError):
        doctor.run(shell)


@pytest.mark.parametrize("code", CATALOGUE)
def test_explain_tells_level_cause_and_cure(code: str) -> None:
    shell = FakeShell()
    assert explain.run(shell, (code.lower(),)) is ExitCode.CLEAN
    title, *rest = shell.stdout.splitlines()
    entry = CATALOGUE[code]
    assert title == f"{code} {entry.name}  ({entry.level.value})"
    assert "Cause" in rest
    assert "Cure" in rest


def test_explain_takes_names_and_lists_all_without_one() -> None:
    shell = FakeShell()
    explain.run(shell, ("needless-rejection",))
    assert shell.stdout.startswith("TD101")
    shell = FakeShell()
    explain.run(shell, ())
    assert all(code in shell.stdout for code in CATALOGUE)


def test_explain_prints_nothing_if_one_of_several_codes_is_unknown() -> None:
    shell = FakeShell()
    with pytest.raises(UsageError, match="TD999"):
        explain.run(shell, ("TD101", "TD999"))
    assert shell.stdout == ""


def test_explain_tells_the_findings_of_a_saved_report_with_operator_dtypes_and_line(
    tmp_path: Path,
) -> None:
    saved = tmp_path / "report.json"
    saved.write_bytes(encode([canned.UPSTREAM]))
    shell = FakeShell()
    assert explain.run(shell, ("TD101",), str(saved)) is ExitCode.CLEAN
    told = " ".join(shell.stdout.split())
    assert "_to_copy: aten._to_copy.default at island.py:41, `y = x.double()`" in told
    assert "makes float64, truncated float32" in told
    with pytest.raises(UsageError, match="no finding of nobody"):
        explain.run(shell, (), str(saved), "nobody")
    with pytest.raises(UsageError, match="--node names a node of a report"):
        explain.run(shell, ("TD101",), None, "_to_copy")


def test_explain_of_a_saved_report_tells_the_codes_that_are_in_it(tmp_path: Path) -> None:
    saved = tmp_path / "report.json"
    saved.write_bytes(encode([canned.UPSTREAM]))
    shell = FakeShell()
    explain.run(shell, (), str(saved))
    codes = {finding.code for finding in canned.UPSTREAM.findings}
    assert {
        code for code in CATALOGUE if f"{code} {CATALOGUE[code].name}" in shell.stdout
    } == (codes)
