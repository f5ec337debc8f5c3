"""From flags to a screen or a picture: keys, pictures, and what is remembered."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.host import launch, memory
from trtdbg_ui.host.memory import Remembered
from trtdbg_ui.model.failure import Failure
from trtdbg_ui.model.state import Pane
from trtdbg_ui.model.view import Quick, View
from trtdbg_ui.widgets.themes import LIGHT, MONO

from tests.compiled_files import compiled_file
from tests.ui.canned import report
from trtdbg.cli import main
from trtdbg.errors import ExitCode, ModelError
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.viewing import Look, Viewing

EARLY = TruncationPolicy(timing=Timing.EARLY)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def saved(tmp_path: Path) -> str:
    path = tmp_path / "report.json"
    path.write_bytes(msgspec.json.encode(report(Timing.UPSTREAM)))
    return str(path)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[TrtdbgApp]:
    """The apps that are run, none of which opens a screen."""
    apps: list[TrtdbgApp] = []

    def run(app: TrtdbgApp) -> int:
        apps.append(app)
        return 0

    monkeypatch.setattr(TrtdbgApp, "run", run)
    return apps


def start(model: str, viewing: Viewing | None = None) -> list[str]:
    """Runs the UI; returns what is said when it is gone."""
    notes: list[str] = []
    policy = TruncationPolicy()
    code = launch.run(
        model, settings=Settings(), policy=policy, viewing=viewing, note=notes.append
    )
    assert code == 0
    return notes


# Saved reports and failures.


def test_a_saved_report_opens_without_a_worker(
    saved: str, shown: list[TrtdbgApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("trtdbg.worker.client.Client.submit")
    start(saved)
    assert shown[0].state.policy.timing is Timing.UPSTREAM
    assert shown[0]._desk.read_only


def test_a_damaged_report_is_an_error_before_the_screen_opens(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("{}")
    with pytest.raises(ModelError, match="not a saved report"):
        start(str(path))


def test_the_error_that_kept_the_screen_empty_outlives_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run_and_quit(app: TrtdbgApp) -> int:
        error = ModelError("bad.pt2 is a text file", remedy="export it")
        app.set_reactive(TrtdbgApp.state, app.state.changed(failure=Failure.of(error)))
        return int(app.exit_code)

    monkeypatch.setattr(TrtdbgApp, "run", run_and_quit)
    with pytest.raises(ModelError, match=r"bad\.pt2 is a text file; export it"):
        start("bad.pt2")


# Pictures.


def words(svg: Path) -> str:
    """Returns the text of a picture, blanks as blanks."""
    root = ElementTree.parse(svg).getroot()
    texts = root.iter("{http://www.w3.org/2000/svg}text")
    return "\n".join((text.text or "").replace("\xa0", " ") for text in texts)


def test_a_picture_is_the_screen_after_the_keys(saved: str, tmp_path: Path) -> None:
    plain, searched = tmp_path / "plain.svg", tmp_path / "searched.svg"
    assert main([saved, "--screenshot", str(plain)]) == 0
    flags = ["--press", "/ type:matmul enter n", "--size", "120x30"]
    assert main([saved, "--screenshot", str(searched), *flags]) == 0
    assert "matmul" in words(searched)
    assert "3 of 8" in words(searched)
    assert "3 of 8" not in words(plain)
    assert "font-face" not in plain.read_text()


def test_a_picture_is_the_same_twice_and_remembers_nothing(saved: str, tmp_path: Path) -> None:
    memory.keep(Remembered(model=saved, theme=LIGHT.name, pane=Pane.FINDINGS))
    first, second = tmp_path / "1.svg", tmp_path / "2.svg"
    assert main([saved, "--screenshot", str(first), "--press", "L 5"]) == 0
    assert main([saved, "--screenshot", str(second), "--press", "L 5"]) == 0
    assert first.read_text() == second.read_text()
    assert memory.recall(saved)[0].theme == LIGHT.name


def test_a_saved_report_shows_every_screen_where_torch_is_not_installed(
    saved: str, tmp_path: Path
) -> None:
    picture = tmp_path / "screen.svg"
    code = f"""
import sys
for name in ("torch", "torch_tensorrt", "tensorrt", "numpy"):
    sys.modules[name] = None
from trtdbg.cli import main
keys = "1 2 3 4 5 6 2 e e v v w w ? ? [ u = / type:matmul enter x"
sys.exit(main([{saved!r}, "--screenshot", {str(picture)!r}, "--press", keys]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "saved report, read-only" in words(picture)
    assert "the whole report; trtdbg opens it, without torch" in words(picture)


def test_a_compiled_program_shows_its_engines_and_says_what_is_not_known(
    tmp_path: Path,
) -> None:
    picture = tmp_path / "screen.svg"
    model = compiled_file(tmp_path)
    assert main([model, "--screenshot", str(picture), "--press", "4 space b"]) == 0
    shown = words(picture)
    assert "compiled program, read-only" in shown
    assert "1 engine, 1 operator in PyTorch, compiled by torch_tensorrt" in shown
    assert "layers need TensorRT and a GPU" in shown
    assert "output1" in shown
    assert "1× special_i0" in shown
    assert "not defined" not in shown
    assert "timing" not in shown


def test_a_picture_that_exists_is_kept_unless_forced(
    saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "screen.svg"
    picture.write_text("mine")
    assert main([saved, "--screenshot", str(picture)]) == ExitCode.USAGE
    assert picture.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert main([saved, "--screenshot", str(picture), "--force"]) == 0
    assert picture.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--screenshot", "a.png"], "a picture is SVG, got 'a.png'"),
        (["--screenshot", "a.svg", "--press", "nonsense"], "there is no key 'nonsense'"),
        (["--screenshot", "a.svg", "--press", "q"], "the keys of --press end the UI"),
        (["--screenshot", "a.svg", "--size", "2x2"], "'2x2' is no size of a screen"),
        (["--screenshot", "a.svg", "--size", "wide"], "'wide' is no size of a screen"),
        (["--screenshot", "no/such/folder/a.svg"], "there is no folder no/such/folder"),
        (["--press", "t"], "--press is about a picture; add --screenshot FILE"),
        (["--size", "80x24"], "--size is about a picture"),
        (["--force"], "--force is about a picture"),
    ],
)
def test_a_wrong_picture_is_one_line(
    saved: str,
    flags: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([saved, *flags]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


# What is remembered.


def test_a_model_opens_as_it_was_left(saved: str, shown: list[TrtdbgApp]) -> None:
    start(saved)
    app = shown[0]
    left = app.state.changed(
        loaded=app._desk.known()[0], pane=Pane.FINDINGS, main=Pane.FINDINGS, node="add_1"
    )
    view = View(columns=("name", "gone"), sort="name", quick=Quick.WIDE, engine=3)
    app.set_reactive(TrtdbgApp.state, left.changed(hide_unchanged=True, view=view))
    app.theme = LIGHT.name
    launch._remember(saved, app, pytest.fail)
    start(saved)
    state = shown[1].state
    assert (state.pane, state.main) == (Pane.FINDINGS, Pane.FINDINGS)
    assert (state.node, state.hide_unchanged) == ("add_1", True)
    assert state.view == View(columns=("name",), sort="name", quick=Quick.WIDE)
    assert shown[1].theme == LIGHT.name
    start(saved, Viewing(fresh=True, look=Look.MONO))
    assert shown[2].state.pane is Pane.CAUSES
    assert shown[2].theme == MONO.name


@pytest.mark.parametrize(
    ("viewing", "timing"),
    [
        (Viewing(), Timing.EARLY),
        (Viewing(policy_given=True), Timing.LATE),
        (Viewing(fresh=True), Timing.LATE),
    ],
)
def test_flags_win_over_the_remembered_policy(
    viewing: Viewing, timing: Timing, tmp_path: Path, shown: list[TrtdbgApp]
) -> None:
    model = str(tmp_path / "model.pt2")
    memory.keep(Remembered(model=model, policy=EARLY))
    start(model, viewing)
    assert shown[0].state.policy.timing is timing
    told = any("--fresh starts anew" in notice for notice in shown[0]._notices)
    assert told is (timing is Timing.EARLY)


def test_each_model_has_a_memory_of_its_own_by_whatever_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.pt2").symlink_to("a.pt2")
    memory.keep(Remembered(model=str(tmp_path / "a.pt2"), policy=EARLY))
    monkeypatch.chdir(tmp_path)
    for path in ("a.pt2", "./a.pt2", "link.pt2"):
        assert memory.recall(path)[0].policy == EARLY
    assert memory.recall("b.pt2") == (None, None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b'{"model": "m", "pane": "nowhere"}',
        b'{"model": "m", "main": "detail"}',
        b'{"model": "m", "policy": {"timing": "later"}}',
        b'{"model": "m", "policy": {"inputs": ["float128"]}}',
        b'{"model": "m", "theme": 3}',
        b" " * 100_000,
    ],
)
def test_a_broken_memory_is_set_aside_with_a_notice(
    content: bytes, saved: str, shown: list[TrtdbgApp]
) -> None:
    path = memory.path_of(saved)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    start(saved)
    assert shown[0].state.pane is Pane.CAUSES
    assert "damaged" in shown[0]._notices[0]
    assert path.with_suffix(".broken").read_bytes() == content
    assert memory.recall(saved) == (None, None)


def test_a_memory_that_cannot_be_read_or_written_only_costs_a_notice(
    saved: str, shown: list[TrtdbgApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.path_of(saved).mkdir(parents=True)
    start(saved)
    assert "cannot be read" in shown[0]._notices[0]
    app = shown[0]
    app.set_reactive(TrtdbgApp.state, app.state.changed(loaded=app._desk.known()[0]))
    notes: list[str] = []
    launch._remember(saved, app, notes.append)
    assert "is not remembered" in notes[0]
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    launch._remember(saved, app, notes.append)
    assert "is not remembered" in notes[1]


async def test_notices_are_told_and_a_theme_that_is_gone_does_no_harm(saved: str) -> None:
    canned = report(Timing.UPSTREAM)
    app = TrtdbgApp(saved, settings=Settings(), policy=canned.policy, reports=[canned])
    app.begin_with(app.state, "a theme of yesterday", ["[b]told[/b]"])
    async with app.run_test() as pilot:
        await pilot.pause()
        assert [note.message for note in app._notifications] == ["[b]told[/b]"]
        assert app.theme == "trtdbg-dark"
