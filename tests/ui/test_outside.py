"""What reaches beyond the screen: editor, clipboard, export, Ctrl-C, and the help of panes."""

from __future__ import annotations

import base64
import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from textual.widgets import Input
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.model.state import VIEWS, Pane
from trtdbg_ui.outside.editor import editor_command, source_file
from trtdbg_ui.outside.exporting import KINDS, policy_toml, suggested_name, with_next_ending
from trtdbg_ui.render.help import pane_lines
from trtdbg_ui.render.tabs import WORDS
from trtdbg_ui.text import plain
from trtdbg_ui.widgets.bar import Bar
from trtdbg_ui.widgets.dialog import Dialog, Page
from trtdbg_ui.widgets.export_dialog import ExportDialog
from trtdbg_ui.widgets.themes import DARK, LIGHT, MONO

from tests.ui.canned import report
from tests.ui.fakes import Stage, loaded_stage, notes, press, settle, text_of
from trtdbg.commands.project import read_toml
from trtdbg.errors import ExitCode, UnavailableError, UsageError
from trtdbg.outputs.report import read_report
from trtdbg.policy import Timing, TruncationPolicy
from trtdbg.records import Report, Source

WIDE = (160, 50)
NARROW = (80, 24)


# The editor.


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An editor called nano that writes down what it was asked to open, and fails as told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nano"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/opened\nexit $FAILING\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("EDITOR", "nano -x")
    monkeypatch.setenv("FAILING", "0")
    monkeypatch.delenv("VISUAL", raising=False)
    return tmp_path / "opened"


@pytest.fixture
def suspending(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Lets the headless app be suspended; notes that it was."""
    suspended: list[bool] = []

    @contextlib.contextmanager
    def suspend(app: TrtdbgApp) -> Iterator[None]:
        suspended.append(True)
        yield

    monkeypatch.setattr(TrtdbgApp, "suspend", suspend)
    return suspended


def at_file(base: Report, file: Path) -> Report:
    """Returns a report in which every node comes from line 7 of a file."""
    source = Source(file=str(file), line=7)
    return replace(base, nodes=tuple(replace(node, source=source) for node in base.nodes))


async def test_the_source_line_opens_in_the_editor(
    editor: Path, suspending: list[bool], tmp_path: Path
) -> None:
    source = tmp_path / "a model.py"
    source.touch()
    stage = Stage(Timing.UPSTREAM, [at_file(report(Timing.UPSTREAM), source)])
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "E")
        assert editor.read_text().splitlines() == ["-x", "+7", str(source)]
        assert suspending == [True]
        assert notes(stage.app) == []


async def test_an_editor_that_fails_says_so(
    editor: Path, suspending: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILING", "3")
    source = tmp_path / "model.py"
    source.touch()
    stage = Stage(Timing.UPSTREAM, [at_file(report(Timing.UPSTREAM), source)])
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "E")
        assert notes(stage.app) == ["nano ended with exit code 3."]


async def test_a_source_that_is_elsewhere_and_a_terminal_that_cannot_are_told(
    editor: Path, tmp_path: Path
) -> None:
    source = tmp_path / "model.py"
    stage = Stage(Timing.UPSTREAM, [at_file(report(Timing.UPSTREAM), source)])
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "E")
        assert f"{source} is not on this machine." in notes(stage.app)[0]
        source.touch()
        await press(pilot, "E")
        assert notes(stage.app)[1] == "An editor opens from a terminal only."
        assert not editor.exists()


@pytest.mark.parametrize(
    ("editor_line", "end"),
    [
        ("vi", ["+7", "/m.py"]),
        ("nvim -n", ["-n", "+7", "/m.py"]),
        ("emacs -nw", ["-nw", "+7", "/m.py"]),
        ("code --wait", ["--wait", "-g", "/m.py:7"]),
        ("subl", ["/m.py:7"]),
        ("something", ["/m.py"]),
    ],
)
def test_each_editor_is_told_the_line_in_its_own_way(
    editor_line: str, end: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    environment = {"EDITOR": editor_line}
    command = editor_command(Path("/m.py"), 7, environment)
    assert command == [editor_line.split()[0], *end]
    assert editor_command(Path("/m.py"), None, environment)[-1] == "/m.py"


def test_visual_comes_before_editor_and_the_usual_ones_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = {"vi", "nano", "kak"}
    monkeypatch.setattr("shutil.which", lambda name: name if name in here else None)
    assert editor_command(Path("/m"), 1, {"VISUAL": "kak", "EDITOR": "vi"})[0] == "kak"
    assert editor_command(Path("/m"), 1, {})[0] == "nano"
    with pytest.raises(UnavailableError, match="which is not installed"):
        editor_command(Path("/m"), 1, {"EDITOR": "ed"})
    with pytest.raises(UsageError, match="is no command line"):
        editor_command(Path("/m"), 1, {"EDITOR": "vi 'x"})
    here.clear()
    with pytest.raises(UnavailableError, match=r"set \$EDITOR"):
        editor_command(Path("/m"), 1, {})


def test_a_name_of_a_source_is_never_a_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "+!touch x").touch()
    found = source_file(Source(file="+!touch x", line=1), tmp_path)
    assert found == tmp_path / "+!touch x"


def test_a_source_of_another_machine_is_found_in_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.py").touch()
    found = source_file(Source(file="/home/ada/work/models/a.py", line=1), tmp_path)
    assert found == tmp_path / "models" / "a.py"
    with pytest.raises(UsageError, match="no source file"):
        source_file(None, tmp_path)


# The clipboard.


async def test_copy_reaches_the_terminal_over_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        written: list[str] = []
        monkeypatch.setattr(stage.app._driver, "write", written.append)
        await press(pilot, "y")
        encoded = base64.b64encode(stage.app.clipboard.encode()).decode()
        # The sequence OSC 52 is what terminals put into the clipboard of their own machine.
        assert f"\x1b]52;c;{encoded}\a" in "".join(written)


# The export dialog.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def status(app: TrtdbgApp) -> str:
    assert isinstance(app.screen, ExportDialog)
    return text_of(app.screen.query_one("#export-status", Bar))


async def test_the_report_is_written_and_its_path_told(folder: Path) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "x")
        assert stage.app.screen.query_one(Input).value == "attention-upstream.json"
        await press(pilot, "enter")
        assert notes(stage.app) == [str(folder / "attention-upstream.json")]
        assert not isinstance(stage.app.screen, ExportDialog)
    assert read_report(folder / "attention-upstream.json") == report(Timing.UPSTREAM)


async def test_an_existing_file_is_replaced_only_by_a_second_enter(folder: Path) -> None:
    target = folder / "attention-upstream.json"
    target.write_text("mine")
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "x", "enter")
        assert "The file exists. Enter again replaces it." in status(stage.app)
        assert target.read_text() == "mine"
        await press(pilot, "x", "backspace")
        assert "exists" not in status(stage.app)
        await press(pilot, "enter")
        assert target.read_text() == "mine"
        await press(pilot, "escape", "x", "enter", "enter")
    assert read_report(target) == report(Timing.UPSTREAM)


async def test_tab_goes_through_what_can_be_written(folder: Path) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        for tabs, kind in enumerate(KINDS):
            await press(pilot, "x", *(["tab"] * tabs), "enter")
            assert (folder / f"attention-upstream{kind.ending}").stat().st_size
        await press(pilot, "x", "shift+tab")
        assert stage.app.screen.query_one(Input).value.endswith(KINDS[-1].ending)
    policy = read_toml(str(folder / "attention-upstream.toml"), ("timing", "inputs",
        "constants", "computed", "verdicts"))  # fmt: skip
    assert msgspec.convert(policy, TruncationPolicy) == report(Timing.UPSTREAM).policy


async def test_what_is_exported_can_be_redacted(folder: Path) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "x", "ctrl+r", "enter")
        await press(pilot, "x", "tab", "ctrl+r", "ctrl+r", "enter")
    text = (folder / "attention-upstream.json").read_text()
    assert "file1.py" in text
    assert "attention.p" not in text
    assert "attention.p" in (folder / "attention-upstream.html").read_text()


async def test_escape_writes_nothing(folder: Path) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "x", "escape")
        assert notes(stage.app) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "Write the path of a file."),
        ("report.docx", "What is written follows from the name's ending"),
        ("no/such/report.json", "there is no folder no/such"),
        ("dir.json", "it is a folder"),
    ],
)
async def test_what_cannot_be_written_is_said_in_the_dialog(
    path: str, message: str, folder: Path
) -> None:
    (folder / "dir.json").mkdir()
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "x")
        stage.app.screen.query_one(Input).value = path
        await press(pilot, "enter")
        assert message in status(stage.app)
        assert [each.name for each in folder.iterdir()] == ["dir.json"]


def test_a_policy_without_dtypes_is_a_file_that_is_read_back(folder: Path) -> None:
    policy = TruncationPolicy(timing=Timing.EARLY, inputs=(), computed=("float64", "int64"))
    text = policy_toml(policy)
    assert 'inputs = "none"' in text
    assert 'computed = ["float64", "int64"]' in text


def test_endings_go_around_and_names_of_models_are_made_harmless() -> None:
    assert with_next_ending("a.json", 1) == "a.html"
    assert with_next_ending("a.json", -1) == "a.xml"
    assert with_next_ending("a", 1) == "a.json"
    base = report(Timing.LATE)
    evil = replace(base, model=replace(base.model, path="/x/..\n\x1b;rm.pt2"))
    assert suggested_name(evil) == "___rm-late.json"


# Ctrl-C, themes, help.


@pytest.mark.parametrize("before", [(), ("slash", "a"), ("question_mark",), ("x",), ("b",)])
async def test_ctrl_c_quits_from_anywhere_with_130(before: tuple[str, ...]) -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, *before)
        await pilot.press("ctrl+c")
    assert stage.app.return_value == ExitCode.INTERRUPTED


async def test_themes_go_around(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        seen = [stage.app.theme]
        for _ in range(3):
            await press(pilot, "L")
            seen.append(stage.app.theme)
        assert seen == [DARK.name, LIGHT.name, MONO.name, DARK.name]
    monkeypatch.setenv("NO_COLOR", "1")
    assert loaded_stage(Timing.LATE).app.theme == MONO.name


@pytest.mark.parametrize("pane", list(Pane))
async def test_help_begins_with_the_pane_that_has_the_keyboard(pane: Pane) -> None:
    title = f"This pane: {WORDS[pane].lower()}"
    assert title in plain(pane_lines(pane, 80)[0])
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        key = "l" if pane is Pane.DETAIL else str(VIEWS.index(pane) + 1)
        await press(pilot, key, "question_mark")
        assert isinstance(stage.app.screen, Dialog)
        assert title in text_of(stage.app.screen.query_one(Page))
