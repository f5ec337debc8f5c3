"""A file that holds several programs: one by name, or all of them."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import msgspec
import pytest
from fake_shell import FakeShell

from tests import canned
from trtdbg import foreign
from trtdbg.commands import check, report
from trtdbg.commands.options import Choices
from trtdbg.errors import ExitCode
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Report
from trtdbg.worker.messages import Access

CHOICES = Choices(policy=TruncationPolicy(), settings=Settings(), target=None)
NAMED = dataclasses.replace(CHOICES, access=Access(program="encode"))


class Shell(FakeShell):
    """Answers as a worker does: with the program that is asked for."""

    def submit(self, request):
        program = request.job.access.program
        answer = self.answers[request.job.model]
        self.answers[request.job.model] = of_program(answer, program)
        return super().submit(request)


def of_program(made: Report, program: str | None) -> Report:
    model = msgspec.structs.replace(made.model, program=program)
    return msgspec.structs.replace(made, model=model)


def archive(path: Path, *names: str, root: str = "") -> str:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(f"{root}models/{name}.json", "{}")
            file.writestr(f"{root}data/sample_inputs/{name}.pt", "")
    return str(path)


@pytest.fixture
def both(tmp_path: Path) -> str:
    return archive(tmp_path / "both.pt2", "encode", "decode")


@pytest.mark.parametrize("root", ["", "both/"])
def test_the_programs_of_a_file_are_read_from_its_entries(tmp_path: Path, root: str) -> None:
    path = archive(tmp_path / "both.pt2", "encode", "decode", "a.b", root=root)
    assert foreign.programs(path) == ("a.b", "decode", "encode")


def test_what_is_no_archive_has_no_programs(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("nothing")
    assert foreign.programs(str(tmp_path / "text")) == ()
    assert foreign.programs(str(tmp_path / "absent")) == ()


def test_a_report_is_made_of_every_program_with_its_heading(both: str) -> None:
    shell = Shell({both: canned.LATE})
    assert report.run(shell, (both,), CHOICES) is ExitCode.CLEAN
    assert [r.job.access.program for r in shell.requests] == ["decode", "encode"]
    name = Path(canned.LATE.model.path).name
    headings = [line for line in shell.stdout.splitlines() if ", program " in line]
    assert [line.partition(":")[0] for line in headings] == [
        f"{name}, program decode",
        f"{name}, program encode",
    ]


def test_json_of_several_programs_is_a_list(both: str) -> None:
    shell = Shell({both: canned.LATE})
    report.run(shell, (both,), CHOICES, json_to="-")
    assert [e["model"]["program"] for e in json.loads(shell.stdout)] == ["decode", "encode"]


def test_a_named_program_is_the_only_one(both: str) -> None:
    shell = Shell({both: canned.LATE})
    report.run(shell, (both,), NAMED, json_to="-")
    assert json.loads(shell.stdout)["model"]["program"] == "encode"
    assert len(shell.requests) == 1


def test_the_only_program_of_a_file_needs_no_name(tmp_path: Path) -> None:
    path = archive(tmp_path / "one.pt2", "encode")
    shell = Shell({path: canned.LATE})
    report.run(shell, (path,), CHOICES)
    assert [r.job.access.program for r in shell.requests] == [None]
    assert "program" not in shell.stdout.splitlines()[0]


def test_findings_name_their_program_and_a_baseline_tells_them_apart(both: str) -> None:
    shell = Shell({both: canned.UPSTREAM})
    check.run(shell, (both,), CHOICES)
    assert "island.pt2, program decode: TD301" in shell.stdout
    assert "island.pt2, program encode: TD301" in shell.stdout
    shell = Shell({both: canned.UPSTREAM})
    check.run(shell, (both,), CHOICES, style=check.Style.JSON)
    prints = [set(each["fingerprints"]) for each in json.loads(shell.stdout)]
    assert not prints[0] & prints[1]


@pytest.mark.parametrize("style", [s for s in check.Style if s is not check.Style.JSON])
def test_every_format_of_check_names_the_program(both: str, style: check.Style) -> None:
    shell = Shell({both: canned.UPSTREAM})
    check.run(shell, (both,), CHOICES, style=style)
    assert "program decode" in shell.stdout
    assert "program encode" in shell.stdout
