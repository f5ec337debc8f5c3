"""Commands take a recording as the list of its programs, with the settings of each."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests import canned
from tests.recording_folders import ENTRY, made
from tests.unit.commands.fake_shell import FakeShell
from trtdbg import beside
from trtdbg.commands import models as shared
from trtdbg.commands import open as opening
from trtdbg.commands import recorded
from trtdbg.commands.options import Choices, analysis_options
from trtdbg.errors import ModelError, UsageError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Report
from trtdbg.viewing import Viewing
from trtdbg.worker.messages import Access, Analyze

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
    context = click.Context(click.Command("diff"))
    with pytest.raises(
        UsageError, match=r"has 2 programs: 1-Net, 2-Head; add --program 1-Net"
    ):
        recorded.of_recording(context, parameter, str(recording))


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


def test_names_that_a_message_leaves_out_are_counted(tmp_path: Path) -> None:
    entries = [{**ENTRY, "name": f"{each}-Net", "nodes": 7} for each in range(1, 8)]
    many = made(tmp_path / "many", entries=entries)
    named = dataclasses.replace(CHOICES, access=Access(program="9"))
    with pytest.raises(UsageError, match=r"it has 1-Net, .* 5-Net and 2 more"):
        opening.run(FakeShell(), str(many), named, Viewing())


ALL = ("report", "check", "build", "compare", "diff", "repro", "precision", "serve")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("after", [True, False])
def test_every_command_takes_the_program_of_a_recording_by_its_name(
    recording: Path, name: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = importlib.import_module(f"trtdbg.commands.{name}").command
    seen: dict[str, Any] = {}
    monkeypatch.setattr(command, "callback", lambda **options: seen.update(options))
    flag = ["--program", "2-Head", *(["-o", "out"] if name == "repro" else [])]
    words = [str(recording), *flag] if after else [*flag, str(recording)]
    found = CliRunner().invoke(command, words, standalone_mode=False, catch_exceptions=False)
    assert found.exit_code == 0
    models = seen.get("models") or seen.get("words") or (seen["model"],)
    assert tuple(models) == (str(recording / "2-Head.pt2"),)
    with pytest.raises(UsageError, match="has no program 'third'; it has 1-Net, 2-Head"):
        CliRunner().invoke(
            command,
            [str(recording), "--program", "third", *flag[2:]],
            standalone_mode=False,
            catch_exceptions=False,
        )


def test_the_name_in_a_recording_is_no_name_in_the_file(recording: Path) -> None:
    named = dataclasses.replace(CHOICES, access=Access(program="2-Head"))
    assert shared.job(str(recording / "2-Head.pt2"), named).access.program is None
    other = shared.job(str(recording.parent / "x.pt2"), named)
    assert other.access.program == "2-Head"


def test_the_list_has_the_engines_of_an_analysis_that_is_known(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Analyze] = []

    def known(request: Analyze) -> Report | None:
        asked.append(request)
        return canned.UPSTREAM if "Head" in request.job.model else None

    monkeypatch.setattr(recorded, "known", known)
    shell = FakeShell()
    opening.run(shell, str(recording), CHOICES, Viewing())
    first, second = shell.offered[1:]
    assert "engine" not in first
    assert "7 nodes  2 engines, " in second
    assert asked[0].job == shared.job(str(recording / "1-Net.pt2"), CHOICES)
