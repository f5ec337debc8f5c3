"""Commands take a recording as the list of its programs, with the settings of each."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.recording_folders import ENTRY, made
from tests.unit.commands.fake_shell import FakeShell
from trtdbg import beside
from trtdbg.commands import models as shared
from trtdbg.commands import open as opening
from trtdbg.commands import recorded
from trtdbg.commands.options import Choices, analysis_options
from trtdbg.errors import ModelError, UsageError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.viewing import Viewing
from trtdbg.worker.messages import Access

CHOICES = Choices(TruncationPolicy(), Settings(), None)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    other = {**ENTRY, "name": "2-Head"}
    return made(tmp_path / "r", entries=[{**e, "nodes": 7} for e in (ENTRY, other)])


def settings_of(model: Path, *arguments: str) -> Settings:
    """Returns the settings of the job that a command makes for a model."""
    seen: list[Settings] = []

    @click.command()
    @analysis_options
    def command(choices: Any) -> None:
        seen.append(shared.job(str(model), choices).settings)

    CliRunner().invoke(command, arguments, standalone_mode=False, catch_exceptions=False)
    return seen[0]


def test_a_recording_stands_for_its_programs(recording: Path) -> None:
    assert recorded.programs_of(str(recording)) == [
        str(recording / "1-Net.pt2"),
        str(recording / "2-Head.pt2"),
    ]
    assert recorded.programs_of(str(recording / "2-Head.pt2")) == [
        str(recording / "2-Head.pt2")
    ]


def test_a_program_is_analysed_under_the_settings_it_was_recorded_with(
    recording: Path,
) -> None:
    assert settings_of(recording / "1-Net.pt2") == Settings(min_block_size=4)
    assert settings_of(recording / "other.pt2") == Settings()


def test_flags_and_files_override_what_was_recorded(recording: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("use_fp32_acc = true\n")
    program = recording / "1-Net.pt2"
    assert settings_of(program, "--min-block-size", "2") == Settings(min_block_size=2)
    assert settings_of(program, "--settings", str(file)) == Settings(
        min_block_size=4, use_fp32_acc=True
    )
    assert settings_of(program, "--as-compiled") == Settings.as_compiled()


def test_the_project_file_does_not_override_what_was_recorded(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.trtdbg]\nmin-block-size = 9\n")
    monkeypatch.chdir(tmp_path)
    assert settings_of(recording / "1-Net.pt2").min_block_size == 4
    assert settings_of(tmp_path / "x.pt2").min_block_size == 9


def test_a_command_for_one_model_names_the_programs_of_a_recording(recording: Path) -> None:
    parameter: Any = None
    with pytest.raises(UsageError, match=r"has 2 programs: 1-Net\.pt2, 2-Head\.pt2") as error:
        recorded.of_recording(parameter, parameter, str(recording))
    assert str(recording / "1-Net.pt2") in str(error.value)


def test_a_damaged_recording_is_told_when_it_is_opened(recording: Path) -> None:
    (recording / beside.INDEX).write_text("schema = 1")
    assert recorded.programs_of(str(recording)) == [str(recording)]
    with pytest.raises(ModelError, match="no recording that this version"):
        shared.check_readable(str(recording))


def test_the_ui_lets_choose_a_program_and_opens_it_under_its_settings(
    recording: Path,
) -> None:
    shell = FakeShell()
    shell.chooses = 1
    assert opening.run(shell, str(recording), CHOICES, Viewing()) == 0
    title, first, second = shell.offered
    assert title.endswith("has 2 programs")
    assert first.split()[:4] == ["1-Net", "torch_tensorrt.compile", "a.py:3", "7"]
    assert second.split()[0] == "2-Head"
    ((model, _, settings, _),) = shell.opened
    assert (model, settings.min_block_size) == (str(recording / "2-Head.pt2"), 4)


def test_choosing_nothing_opens_nothing(recording: Path) -> None:
    shell = FakeShell()
    assert opening.run(shell, str(recording), CHOICES, Viewing()) == 0
    assert not shell.opened


def test_a_program_is_opened_by_its_name(recording: Path) -> None:
    shell = FakeShell()
    named = dataclasses.replace(CHOICES, access=Access(program="2-Head"))
    assert opening.run(shell, str(recording), named, Viewing()) == 0
    assert shell.opened[0][0] == str(recording / "2-Head.pt2")
    assert not shell.offered
    other = dataclasses.replace(CHOICES, access=Access(program="3"))
    with pytest.raises(UsageError, match="has no program '3'; it has 1-Net, 2-Head"):
        opening.run(shell, str(recording), other, Viewing())
