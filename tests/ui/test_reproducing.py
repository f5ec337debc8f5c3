"""The dialog of reproducers: what it asks, tries, writes and keeps."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Input
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.widgets.bar import Bar
from trtdbg_ui.widgets.command_dialog import CommandDialog
from trtdbg_ui.widgets.dialog import Page
from trtdbg_ui.widgets.engine_list import EngineList
from trtdbg_ui.widgets.repro_dialog import ReproDialog

from tests.ui.canned import built, refused, report
from tests.ui.fakes import Stage, loaded_stage, notes, press, settle, text_of
from tests.unit.commands.fake_shell import FakeShell
from trtdbg.commands.repro import command as repro
from trtdbg.errors import ExitCode, StageError
from trtdbg.policy import Timing
from trtdbg.records import Finding, Level, Recipe, RecipeGraph, RecipeKind, Report, Verdict
from trtdbg.worker import trial
from trtdbg.worker.messages import Reproduce

NARROW = (80, 24)
PRINTED = "torch 2.13.0+cpu\noriginal dtypes: reject\nreproduced\n"


def recipe(kind: RecipeKind = RecipeKind.REJECTED, code: str | None = "TD101") -> Recipe:
    graph = RecipeGraph(
        lines=('x0 = one.input("x0", tensor([2], torch.float64), "fresh", inner=False)',),
        expected=Verdict.REJECT,
    )
    return Recipe(
        kind=kind,
        code=code,
        nodes=("_to_copy",),
        target="aten._to_copy.default",
        message="rejects because dtype=float64",
        before=graph,
        after=replace(graph, expected=Verdict.ACCEPT),
    )


def answer(*recipes: Recipe) -> Report:
    """Returns what the worker answers."""
    return replace(report(Timing.UPSTREAM), recipes=recipes)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the scripts that were run; TD103 does not reproduce, TD104 never ends."""
    names: list[str] = []

    async def run_beside(name: str, text: str) -> trial.Trial:
        names.append(name)
        assert "_to_copy" in text
        if "td104" in name:
            await asyncio.sleep(600)
        good = "td103" not in name
        return trial.Trial(good, PRINTED, "" if good else "AssertionError: not so")

    monkeypatch.setattr(trial, "run_beside", run_beside)
    return names


def dialog(app: TrtdbgApp) -> ReproDialog:
    assert isinstance(app.screen, ReproDialog)
    return app.screen


def status(app: TrtdbgApp) -> str:
    """Returns what the dialog says, with its line breaks undone."""
    return " ".join(text_of(dialog(app).query_one("#repro-status", Bar)).split())


async def answered(stage: Stage, pilot: Pilot[int], *recipes: Recipe) -> None:
    stage.worker.answer(answer(*recipes))
    await settle(pilot)


async def test_the_script_is_tried_and_written_and_its_path_told(
    folder: Path, tried: list[str]
) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        before = stage.app.state.loaded
        await press(pilot, "r", "enter")
        assert stage.worker.requests == [
            Reproduce(
                job=stage.app._desk.job, policy=stage.app.state.policy, nodes=("_to_copy",)
            )
        ]
        assert "the worker writes the node down" in status(stage.app)
        assert not stage.app.idle
        assert list(folder.iterdir()) == []
        await answered(stage, pilot, recipe())
        written = folder / "repro" / "td101_to_copy.py"
        assert tried == ["td101_to_copy.py"]
        assert written.read_text().startswith("# aten._to_copy.default")
        assert str(written) in status(stage.app).replace(" ", "")
        assert "original dtypes: reject" in status(stage.app)
        assert notes(stage.app) == [str(written)]
        assert stage.app.idle
        # The report shown is the one with its builds, and knows nothing of recipes.
        assert stage.app.state.loaded is before
        await press(pilot, "enter")
        assert not isinstance(stage.app.screen, ReproDialog)


async def test_tab_adds_a_bug_report(folder: Path, tried: list[str]) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "r", "tab")
        dialog(stage.app).query_one(Input).value = "some/where"
        await press(pilot, "enter")
        await answered(stage, pilot, recipe())
    names = sorted(path.name for path in (folder / "some" / "where").iterdir())
    assert names == ["td101_to_copy.md", "td101_to_copy.py"]
    assert PRINTED in (folder / "some" / "where" / "td101_to_copy.md").read_text()


async def test_existing_files_are_replaced_only_by_another_enter(
    folder: Path, tried: list[str]
) -> None:
    target = folder / "repro" / "td101_to_copy.py"
    target.parent.mkdir()
    target.write_text("mine")
    (folder / "repro" / "other.py").write_text("mine too")
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "r", "enter")
        await answered(stage, pilot, recipe())
        assert "td101_to_copy.py exists there. Enter again replaces." in status(stage.app)
        assert (tried, target.read_text()) == ([], "mine")
        await press(pilot, "2", "backspace")
        assert "exists" not in status(stage.app)
        await press(pilot, "enter")
        assert (tried, target.read_text()) == ([], "mine")
        await press(pilot, "enter")
        assert target.read_text() != "mine"
        assert len(stage.worker.requests) == 1
    assert (folder / "repro" / "other.py").read_text() == "mine too"


async def test_what_does_not_reproduce_is_not_written_and_the_rest_is(
    folder: Path, tried: list[str]
) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "r", "enter")
        await answered(stage, pilot, recipe(RecipeKind.CRASHED, "TD103"), recipe())
        assert "td103_to_copy.py does not reproduce alone and is not written: " in status(
            stage.app
        )
        assert [path.name for path in (folder / "repro").iterdir()] == ["td101_to_copy.py"]
        assert "AssertionError: not so" in notes(stage.app)[0]


async def test_what_cannot_be_is_said_in_the_dialog(folder: Path, tried: list[str]) -> None:
    (folder / "file").touch()
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "r")
        field = dialog(stage.app).query_one(Input)
        field.value = "file"
        await press(pilot, "enter")
        assert "file is a file, not a folder" in status(stage.app)
        assert stage.worker.requests == []
        field.value = "file/in"
        await press(pilot, "enter")
        await answered(stage, pilot, recipe())
        assert "cannot write file/in: Not a directory" in status(stage.app)
        assert "cannot write file/in" in notes(stage.app)[-1]
        await press(pilot, "escape", "r", "enter")
        stage.worker.fail(StageError("node _to_copy: it is not in the lowered graph"))
        await settle(pilot)
        assert "✖ node _to_copy: it is not in the lowered graph" in status(stage.app)
        assert "not in the lowered graph" in notes(stage.app)[-1]
        assert stage.app.state.failure is None
        await press(pilot, "enter")
        await answered(stage, pilot)
        assert "Nothing to reproduce: no validator refuses _to_copy, or" in status(stage.app)
    assert [path.name for path in folder.iterdir()] == ["file"]


async def test_a_busy_worker_is_said_and_esc_cancels_what_was_asked(
    folder: Path, tried: list[str]
) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "b", "r", "enter")
        assert "The worker is busy" in status(stage.app)
        await press(pilot, "escape", "escape", "r", "enter", "escape")
        assert not isinstance(stage.app.screen, ReproDialog)
        await answered(stage, pilot, recipe())
        assert tried == []
        await press(pilot, "r", "enter")
        stage.app._desk.cancel()
        await settle(pilot)
        assert "✖ cancelled" in status(stage.app)


async def test_a_trial_ends_with_the_dialog(folder: Path, tried: list[str]) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "r", "enter")
        await answered(stage, pilot, recipe(RecipeKind.SCOPE_DEPENDENT, "TD104"))
        assert tried == ["td104_to_copy.py"]
        assert "running it" in status(stage.app)
        await press(pilot, "escape")
        assert all(worker.is_finished for worker in stage.app.workers)
        await press(pilot, "r", "enter")
        await answered(stage, pilot, recipe(RecipeKind.SCOPE_DEPENDENT, "TD104"))
        await pilot.press("ctrl+c")
    assert stage.app.return_value == ExitCode.INTERRUPTED
    assert list(folder.iterdir()) == []


async def test_the_command_is_copied_and_repro_takes_it() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "r", "ctrl+y")
        words = shlex.split(stage.app.clipboard)
        assert words[:2] == ["trtdbg", "repro"]
        with repro.make_context("repro", words[2:], obj=FakeShell()) as context:
            assert context.params["nodes"] == ("_to_copy",)
            assert context.params["timing"] == "upstream"


@pytest.mark.parametrize(
    "keys", [("4", "g", "n0", "r"), ("6", "g", "r"), ("slash", *"div", "enter", "r")]
)
async def test_of_an_engine_that_does_not_build_the_command_that_cuts_it_down_is_copied(
    keys: tuple[str, ...],
) -> None:
    stage = Stage(Timing.UPSTREAM, [refused()])
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        for key in keys:
            if key == "n0":
                view = stage.app.query_one(EngineList)
                lines = text_of(view)
                assert "r gives the command that cuts it down" in lines
                view.go_to(1)
            else:
                await press(pilot, key)
        assert isinstance(stage.app.screen, CommandDialog)
        shown = text_of(stage.app.screen.query_one(Page))
        assert "engine 1 does not build: operand.cpp:156" in shown
        assert "trtdbg repro /home/ada/models/attention.pt2 -o repro --code TD503" in shown
        await press(pilot, "enter")
        assert not isinstance(stage.app.screen, CommandDialog)
        assert notes(stage.app) == [stage.app.clipboard]
        words = shlex.split(stage.app.clipboard)
        with repro.make_context("repro", words[2:], obj=FakeShell()) as context:
            assert context.params["codes"] == ("TD503",)
            assert context.params["timing"] == "upstream"
            assert context.params["output"] == "repro"
        assert stage.worker.requests == []


async def test_of_a_pass_that_raised_the_command_that_cuts_it_down_is_copied() -> None:
    said = "lowering pass fuse raised IndexError: 3"
    raised = Finding(code="TD501", level=Level.ERROR, node=None, message=said)
    stage = Stage(Timing.UPSTREAM, [replace(report(Timing.UPSTREAM), findings=(raised,))])
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "r")
        assert isinstance(stage.app.screen, CommandDialog)
        shown = text_of(stage.app.screen.query_one(Page))
        assert said in shown
        assert "lowers the program again in parts" in " ".join(shown.split())
        await press(pilot, "enter")
        words = shlex.split(stage.app.clipboard)
        with repro.make_context("repro", words[2:], obj=FakeShell()) as context:
            assert context.params["codes"] == ("TD501",)


async def test_what_can_be_said_of_a_node_comes_before_its_engine() -> None:
    stage = Stage(Timing.UPSTREAM, [refused()])
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "r")
        assert dialog(stage.app).node == "_to_copy"
        # The cursor of the engines is on one that was built: the selected node is meant.
        await press(pilot, "escape", "4", "g", "r")
        assert dialog(stage.app).node == "_to_copy"
        await press(pilot, "escape", "2", "slash", *"div", "enter", "r")
        assert isinstance(stage.app.screen, CommandDialog)
        copied = stage.app.clipboard
        await press(pilot, "r")
        assert not isinstance(stage.app.screen, CommandDialog)
        assert stage.app.clipboard == copied


async def test_a_failed_engine_whose_node_is_named_has_the_dialog_of_that_node() -> None:
    base = built(report(Timing.UPSTREAM), failing=1)
    false = Finding(
        code="TD102", level=Level.ERROR, node="_softmax", engine=1, message="_softmax is"
    )
    stage = Stage(Timing.UPSTREAM, [replace(base, findings=(*base.findings, false))])
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        view = stage.app.query_one(EngineList)
        assert "r writes a reproducer of _softmax" in text_of(view)
        view.go_to(1)
        await press(pilot, "r")
        assert dialog(stage.app).node == "_softmax"


async def test_there_is_a_dialog_for_operators_of_programs_alone() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "g", "r")
        assert "Reproducers are made of operators" in notes(stage.app)[-1]
    saved = refused()
    app = TrtdbgApp("r.json", settings=saved.settings, policy=saved.policy, reports=[saved])
    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        assert "r gives" not in text_of(app.query_one(EngineList))
        await press(pilot, "r")
        assert "A saved report holds nothing to run" in notes(app)[-1]


async def test_in_a_browser_the_files_are_downloaded(
    folder: Path, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered: list[str] = []

    def deliver(app: TrtdbgApp, data: object, *, save_filename: str) -> None:
        delivered.append(save_filename)

    monkeypatch.setattr(TrtdbgApp, "is_web", True)
    monkeypatch.setattr(TrtdbgApp, "deliver_binary", deliver)
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await press(pilot, "r", "tab", "enter")
        assert not dialog(stage.app).query(Input)
        await answered(stage, pilot, recipe())
        assert delivered == ["td101_to_copy.py", "td101_to_copy.md"]
        assert "downloaded, after it reproduced:" in status(stage.app)
    assert list(folder.iterdir()) == []
