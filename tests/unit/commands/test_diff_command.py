"""`trtdbg diff` over canned reports: sides, formats, and every wrong use in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import graphviz
import msgspec
import pytest
from fake_shell import FakeShell

from tests import canned
from trtdbg.commands import diff
from trtdbg.commands.diff import Drawing
from trtdbg.commands.options import Choices
from trtdbg.errors import ExitCode, OutputError, UnavailableError, UsageError
from trtdbg.outputs.report import encode
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import WhatChanged

CHOICES = Choices(policy=TruncationPolicy(), settings=Settings(), target=None)
DOT = shutil.which(graphviz.DOT_BINARY)
needs_dot = pytest.mark.skipif(DOT is None, reason="no Graphviz here")


@pytest.fixture
def saved(tmp_path: Path) -> tuple[str, str]:
    paths = tmp_path / "upstream.json", tmp_path / "late.json"
    for path, report in zip(paths, (canned.UPSTREAM, canned.LATE), strict=True):
        path.write_bytes(encode([report]))
    return str(paths[0]), str(paths[1])


def test_two_saved_reports_are_compared_without_a_worker(saved: tuple[str, str]) -> None:
    shell = FakeShell()
    code = diff.run(shell, saved[0], CHOICES, Drawing("-"), other=saved[1])
    assert code is ExitCode.CLEAN
    assert shell.requests == []
    assert "island.pt2: upstream → late" in shell.stdout
    assert "narrowed float64 → float32" in shell.stdout


def test_a_model_is_asked_about_under_both_timings(model: str, tmp_path: Path) -> None:
    shell = FakeShell({model: canned.LATE})
    out = tmp_path / "d.dot"
    diff.run(shell, model, CHOICES, Drawing(str(out)), start="off")
    assert [r.policy.timing for r in shell.requests] == [Timing.OFF, Timing.LATE]  # type: ignore[union-attr]
    assert "off → late" in out.read_text()
    assert shell.notes == [f"wrote {out}: 5 unchanged"]


def test_two_policies_of_one_timing_are_compared_from_files(
    model: str, tmp_path: Path
) -> None:
    file = tmp_path / "ints.toml"
    file.write_text('inputs = ["int64"]\n')
    shell = FakeShell({model: canned.LATE})
    diff.run(shell, model, CHOICES, Drawing("-"), start=str(file))
    policies = [request.policy for request in shell.requests]  # type: ignore[union-attr]
    assert policies == [TruncationPolicy(inputs=("int64",)), TruncationPolicy()]
    assert "ints.toml, late → late" in shell.stdout


def test_a_policy_file_that_is_none_is_refused_before_any_analysis(
    model: str, tmp_path: Path
) -> None:
    file = tmp_path / "odd.toml"
    file.write_text('timing = "never"\n')
    shell = FakeShell()
    with pytest.raises(UsageError, match="odd"):
        diff.run(shell, model, CHOICES, Drawing("-"), end=str(file))
    assert shell.requests == []


def test_passes_of_a_saved_report_by_number_and_name(saved: tuple[str, str]) -> None:
    shell = FakeShell()
    diff.run(shell, saved[0], CHOICES, Drawing("-"), start="0", end="run_decompositions")
    assert "pass 0 load → pass 1 run_decompositions" in shell.stdout
    assert "1 added, 1 removed" in shell.stdout


@needs_dot
@pytest.mark.parametrize(
    ("ending", "begins"),
    [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("html", b"<!DOCTYPE html>")],
)
def test_the_ending_says_the_format(
    saved: tuple[str, str], tmp_path: Path, ending: str, begins: bytes
) -> None:
    out = tmp_path / f"d.{ending}"
    diff.run(FakeShell(), saved[0], CHOICES, Drawing(str(out)), other=saved[1])
    assert out.read_bytes().startswith(begins)


def test_without_graphviz_a_picture_says_what_to_install_and_dot_text_works(
    saved: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "d.svg"
    with pytest.raises(UnavailableError, match="apt-get install graphviz"):
        diff.run(FakeShell(), saved[0], CHOICES, Drawing(str(out)), other=saved[1])
    assert not out.exists()
    diff.run(FakeShell(), saved[0], CHOICES, Drawing("-"), other=saved[1])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"start": "nothing"}, "'nothing' is neither a timing nor a pass"),
        ({"start": "run_decomposition"}, "did you mean run_decompositions"),
        ({"start": "9"}, "by its number, 0 to 2"),
        ({"start": "2", "end": "2"}, "there is no snapshot of pass 2"),
        ({"start": "0", "end": "0"}, "both sides are pass 0 load"),
        ({}, "holds only one policy"),
        ({"start": "off"}, "holds only one policy"),
        ({"start": "off", "other": "b.json"}, "two are given"),
    ],
)
def test_wrong_sides_are_refused_in_one_line(
    saved: tuple[str, str], wrong: dict[str, str], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        diff.run(FakeShell(), saved[0], CHOICES, Drawing("-"), **wrong)  # type: ignore[arg-type]


def test_equal_timings_are_refused_before_any_work(model: str) -> None:
    shell = FakeShell()
    with pytest.raises(UsageError, match="both sides are timing late"):
        diff.run(shell, model, CHOICES, Drawing("-"), start="late")
    assert shell.requests == []


@pytest.mark.parametrize("name", ["d.gif", "d", ".", "svg/"])
def test_an_ending_that_says_no_format_is_refused(saved: tuple[str, str], name: str) -> None:
    with pytest.raises(UsageError, match="its ending says no format"):
        diff.run(FakeShell(), saved[0], CHOICES, Drawing(name), other=saved[1])


def test_an_existing_file_is_kept(saved: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "d.dot"
    out.write_text("mine")
    with pytest.raises(OutputError, match="exists and is kept"):
        diff.run(FakeShell(), saved[0], CHOICES, Drawing(str(out)), other=saved[1])
    diff.run(FakeShell(), saved[0], CHOICES, Drawing(str(out)), other=saved[1], force=True)
    assert out.read_text().startswith("digraph")


def test_a_report_without_engines_can_be_compared_by_its_passes_alone(tmp_path: Path) -> None:
    path = tmp_path / "failed.json"
    path.write_bytes(encode([canned.LOWERING_FAILED]))
    with pytest.raises(UsageError, match="pass 'fuse_prims_broadcast' failed"):
        diff.run(FakeShell(), str(path), CHOICES, Drawing("-"), other=str(path))


def test_by_cause_says_what_changed_between_two_saved_reports(tmp_path: Path) -> None:
    from trtdbg.outputs.report import encode

    old, new = str(tmp_path / "old.json"), str(tmp_path / "new.json")
    Path(old).write_bytes(encode([canned.UPSTREAM]))
    Path(new).write_bytes(encode([canned.LATE]))
    shell = FakeShell()
    diff.command.main([old, new, "--by", "cause"], obj=shell, standalone_mode=False)
    assert "2 engines → 1" in shell.stdout
    assert "cause gone" in shell.stdout
    shell = FakeShell()
    arguments = [old, new, "--by", "cause", "--json", "-"]
    diff.command.main(arguments, obj=shell, standalone_mode=False)
    changed = msgspec.json.decode(shell.stdout, type=WhatChanged)
    assert (changed.before, changed.engines) == (old, (2, 1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.json", "--by", "cause"], "compares two"),
        (["a.json", "b.json"], "add -o FILE"),
        (["a.json", "b.json", "--by", "cause", "-o", "x.svg"], "-o is of a picture"),
        (["a.json", "b.json", "-o", "x.dot", "--json", "-"], "--json goes with --by cause"),
    ],
)
def test_by_cause_is_text_and_a_picture_is_a_picture(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        diff.command.main(arguments, obj=FakeShell(), standalone_mode=False)
