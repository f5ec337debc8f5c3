"""`trtdbg demo`: the samples in the wheel are those of the repository."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests import canned
from tests.unit.commands.fake_shell import FakeShell
from trtdbg.commands import demo
from trtdbg.commands.options import Choices
from trtdbg.errors import OutputError
from trtdbg.policy import Settings, TruncationPolicy

ROOT = Path(__file__).parents[3]
CHOICES = Choices(TruncationPolicy(), Settings(), None)
ATTENTION = str(demo.FOLDER / "attention_float64.pt2")


def test_every_sample_is_in_the_wheel_as_it_is_in_the_repository() -> None:
    samples = {path.stem: path.read_bytes() for path in (ROOT / "samples").glob("*.pt2")}
    assert demo.names() == sorted(samples)
    for name, data in samples.items():
        assert (demo.FOLDER / f"{name}.pt2").read_bytes() == data
        assert name in (demo.command.help or "").replace(" ", "") or name == demo.DEFAULT
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "demo/*.pt2" in project["tool"]["setuptools"]["package-data"]["*"]


def test_every_sample_that_the_documentation_names_is_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "samples").glob("*")]
    texts = [page.read_text() for page in pages if page.suffix == ".md"]
    named = {name for text in texts for name in re.findall(r"samples/(\w+)\.pt2", text)}
    assert "attention_float64" in named
    assert named <= set(demo.names())


@pytest.mark.parametrize("name", [demo.DEFAULT, "split_heads"])
def test_it_opens_in_the_ui(name: str) -> None:
    shell = FakeShell()
    assert demo.run(shell, CHOICES, name, text=False) == 0
    assert [opened[0] for opened in shell.opened] == [str(demo.FOLDER / f"{name}.pt2")]


def test_it_is_printed_where_there_is_no_terminal() -> None:
    shell = FakeShell({ATTENTION: canned.LATE})
    assert demo.run(shell, CHOICES, text=True) == 0
    assert "Findings" in shell.stdout


def test_all_of_them_are_copied_where_that_is_asked(tmp_path: Path) -> None:
    shell = FakeShell()
    folder = tmp_path / "samples"
    assert demo.copy(shell, str(folder), force=False) == 0
    assert sorted(path.stem for path in folder.iterdir()) == demo.names()
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert str(folder / "split_heads.pt2") in shell.stdout
    with pytest.raises(OutputError, match="is not empty and is kept"):
        demo.copy(shell, str(folder), force=False)
