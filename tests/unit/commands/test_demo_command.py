"""`trtdbg demo`: the sample in the wheel is that of the repository."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests import canned
from tests.unit.commands.fake_shell import FakeShell
from trtdbg.commands import demo
from trtdbg.commands.options import Choices
from trtdbg.policy import Settings, TruncationPolicy

ROOT = Path(__file__).parents[3]
CHOICES = Choices(TruncationPolicy(), Settings(), None)


def test_the_sample_is_that_of_the_repository_and_in_the_wheel() -> None:
    sample = ROOT / "samples" / demo.MODEL.name
    assert demo.MODEL.read_bytes() == sample.read_bytes()
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "demo/*.pt2" in project["tool"]["setuptools"]["package-data"]["*"]


def test_it_opens_in_the_ui(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = FakeShell()
    assert demo.run(shell, CHOICES, text=False) == 0
    assert [opened[0] for opened in shell.opened] == [str(demo.MODEL)]


def test_it_is_printed_where_there_is_no_terminal() -> None:
    shell = FakeShell({str(demo.MODEL): canned.LATE})
    assert demo.run(shell, CHOICES, text=True) == 0
    assert "Findings" in shell.stdout
