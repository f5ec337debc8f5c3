"""`trtdbg cache`: what the caches hold, their bounds, and their end."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.unit.commands.fake_shell import FakeShell
from trtdbg import sealed
from trtdbg.cache.folders import ANALYSES, ANSWERS, ENGINES
from trtdbg.commands import cache
from trtdbg.errors import OutputError, UsageError


@pytest.fixture(autouse=True)
def _filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for place in (ANALYSES, ENGINES):
        assert place.variable is not None
        monkeypatch.delenv(place.variable, raising=False)
    for place in (ANALYSES, ENGINES, ANSWERS):
        for number in range(2):
            sealed.write(place.folder / f"{number}{place.suffix}", bytes(1000))


def invoke(*arguments: str) -> FakeShell:
    shell = FakeShell()
    CliRunner().invoke(
        cache.command, arguments, obj=shell, standalone_mode=False, catch_exceptions=False
    )
    return shell


def held(*arguments: str) -> dict[str, tuple[int, int | None]]:
    """Returns the number of files and the bound of each cache."""
    record = json.loads(invoke(*arguments, "--json").stdout)
    assert record["schema"] == cache.SCHEMA
    return {each["name"]: (each["files"], each["bound"]) for each in record["caches"]}


def test_each_cache_is_shown_with_its_size_and_bound(tmp_path: Path) -> None:
    shown = invoke().stdout
    assert str(tmp_path / "cache" / "trtdbg") in shown
    assert "512.0 MiB" in shown
    assert "2.0 GiB" in shown
    assert shown.count("2.0 KiB") == 3
    assert held() == {
        "analyses": (2, 512 << 20),
        "engines": (2, 2048 << 20),
        "probe": (2, None),
    }


def test_everything_is_cleared_or_one_cache_only() -> None:
    shell = invoke("--clear", "--only", "analyses")
    assert shell.notes == ["removed 2 files"]
    assert {name: files for name, (files, _) in held().items()} == {
        "analyses": 0,
        "engines": 2,
        "probe": 2,
    }
    invoke("--clear")
    assert {files for files, _ in held().values()} == {0}


def test_a_bound_is_kept_and_makes_room_at_once() -> None:
    invoke("--bound", "1500")
    assert held()["analyses"] == (1, 1500)
    invoke("--bound", "engines=0", "--bound", "2G")
    assert held() == {"analyses": (1, 2 << 30), "engines": (0, 0), "probe": (2, None)}
    assert "nothing is kept" in invoke().stdout


def test_the_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    invoke("--bound", "1500")
    monkeypatch.setenv("TRTDBG_ANALYSIS_CACHE_MIB", "3")
    assert held()["analyses"][1] == 3 << 20


@pytest.mark.parametrize("bound", ["much", "probe=1G", "=", "engines=", "answers=0"])
def test_a_bound_that_makes_no_sense_is_one_line(bound: str) -> None:
    with pytest.raises(UsageError, match="--bound"):
        invoke("--bound", bound)


def test_a_damaged_bound_is_the_usual_one(tmp_path: Path) -> None:
    invoke("--bound", "1500")
    path = tmp_path / "cache" / "trtdbg" / "bounds.json"
    path.write_bytes(path.read_bytes()[:-1])
    assert held()["analyses"][1] == 512 << 20


def test_a_bound_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot write"):
        invoke("--bound", "1G")


def test_an_unknown_cache_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="analyses"):
        invoke("--only", "everything")
