"""`report --watch`: what counts as a change, and what is said of it."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from fake_shell import FakeShell

from tests import canned
from trtdbg.commands import open as opening
from trtdbg.commands import report, watching
from trtdbg.commands.options import Choices
from trtdbg.commands.watching import Watcher
from trtdbg.errors import UsageError, WorkerError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.viewing import Screenshot, Viewing

CHOICES = Choices(policy=TruncationPolicy(), settings=Settings(), target=None)


def archive(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("text", text)


def touched(path: Path, seconds: int) -> None:
    now = os.stat(path).st_mtime_ns
    os.utime(path, ns=(now, now + seconds * 10**9))


def watcher(path: Path) -> Watcher:
    return Watcher([str(path)], interval=0.5, patience=2.0, sleep=lambda seconds: None)


def test_a_file_counts_as_changed_once_when_it_rests(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    archive(path, "a")
    eyes = watcher(path)
    assert eyes.look() == []
    archive(path, "another")
    assert eyes.look() == [], "it may still be written"
    assert eyes.look() == [str(path)]
    assert eyes.look() == []


def test_a_half_written_file_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    archive(path, "a" * 500)
    eyes = watcher(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert [eyes.look() for _ in range(3)] == [[]] * 3
    path.write_bytes(b"")
    assert [eyes.look() for _ in range(3)] == [[]] * 3
    path.unlink()
    assert [eyes.look() for _ in range(9)] == [[]] * 9
    path.write_bytes(whole)
    touched(path, 5)
    assert [eyes.look(), eyes.look()] == [[], [str(path)]]


def test_a_file_that_rests_unfinished_for_long_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    archive(path, "a")
    eyes = watcher(path)
    path.write_bytes(b"no archive")
    looks = [eyes.look() for _ in range(6)]
    assert looks.count([str(path)]) == 1


def test_a_folder_is_its_archives(tmp_path: Path) -> None:
    archive(tmp_path / "a.pt2", "a")
    eyes = watcher(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    assert [eyes.look(), eyes.look()] == [[], []]
    archive(tmp_path / "b.pt2", "b")
    assert [eyes.look(), eyes.look()] == [[], [str(tmp_path)]]


class Scripted:
    """A watcher for which the model changes some times, and then Ctrl-C is pressed."""

    def __init__(self, shell: FakeShell, model: str, answers: list[object]) -> None:
        self._shell, self._model, self._answers = shell, model, answers

    def changes(self):  # type: ignore[no-untyped-def]
        for answer in self._answers:
            self._shell.answers[self._model] = answer  # type: ignore[assignment]
            yield self._model
        raise KeyboardInterrupt


def watched(model: str, monkeypatch: pytest.MonkeyPatch, *answers: object) -> FakeShell:
    shell = FakeShell({model: canned.UPSTREAM})
    scripted = Scripted(shell, model, list(answers))
    monkeypatch.setattr(report, "Watcher", lambda models: scripted)
    with pytest.raises(KeyboardInterrupt):
        report.run(shell, (model,), CHOICES, watch=True)
    return shell


def test_each_change_says_what_changed(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = watched(model, monkeypatch, canned.UPSTREAM, canned.LATE)
    assert "nothing changed in engines" in shell.stdout
    assert "2 engines → 1" in shell.stdout


def test_a_model_that_fails_keeps_the_last_good_analysis(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (WorkerError("it cannot be read"), canned.LOWERING_FAILED)
    shell = watched(model, monkeypatch, *broken, canned.UPSTREAM)
    kept = [
        note for note in shell.notes if "the last good analysis is kept: 2 engines" in note
    ]
    assert len(kept) == 2
    assert shell.stdout.rstrip().endswith("nothing changed in engines, causes or nodes")
    assert [subject for subject, _ in shell.failures] == [model]


def test_watching_is_text(model: str) -> None:
    with pytest.raises(UsageError, match="--watch shows text"):
        report.run(FakeShell(), (model,), CHOICES, watch=True, json_to="-")


def test_it_looks_often_enough_for_a_person() -> None:
    assert watching.INTERVAL <= 0.5


def test_a_program_that_is_new_in_a_watched_recording_is_reported_and_one_that_is_gone_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.recording_folders import ENTRY, made

    place = tmp_path / "r"

    def recorded(*names: str) -> tuple[str, ...]:
        for old in place.glob("*"):
            old.unlink()
        made(place, entries=[{**ENTRY, "name": name, "nodes": 7} for name in names])
        for name in names:
            with zipfile.ZipFile(place / f"{name}.pt2", "w") as opened:
                opened.writestr("r/models/model.json", name)
        return tuple(str(place / f"{name}.pt2") for name in names)

    models = recorded("1-Net")
    shell = FakeShell(dict.fromkeys((*models, str(place / "2-Head.pt2")), canned.UPSTREAM))

    class Eyes:
        def __init__(self, words: tuple[str, ...]) -> None:
            assert words == (str(place),)

        def changes(self):  # type: ignore[no-untyped-def]
            recorded("1-Net", "2-Head")
            yield str(place)
            recorded("2-Head")
            yield str(place)
            raise KeyboardInterrupt

    monkeypatch.setattr(report, "Watcher", Eyes)
    with pytest.raises(KeyboardInterrupt):
        report.run(shell, models, CHOICES, watch=True, words=(str(place),))
    assert shell.stdout.count("what changed") == 2
    assert shell.stdout.count("2 engines, 1 operator") == 2
    gone = [note for note in shell.notes if "not there any more" in note]
    assert gone == ["models/island.pt2 is not there any more"]


def test_settings_beside_a_recorded_program_are_part_of_it(tmp_path: Path) -> None:
    archive(tmp_path / "1-Net.pt2", "a")
    settings = tmp_path / "1-Net.settings.toml"
    settings.write_text("a = 1")
    eyes = watcher(tmp_path / "1-Net.pt2")
    settings.write_text("a = 12")
    assert [len(eyes.look()) for _ in range(3)] == [0, 1, 0]
    (tmp_path / "1-Net.pt2").unlink()
    assert [eyes.look() for _ in range(3)] == [[]] * 3


def test_source_files_are_whole_when_they_rest_and_hold_something(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1")
    eyes = watcher(path)
    path.write_text("")
    assert [eyes.look() for _ in range(3)] == [[]] * 3
    path.write_text("x = 12")
    assert [len(eyes.look()) for _ in range(3)] == [0, 1, 0]


def test_the_ui_is_told_of_a_whole_file_and_of_the_settings_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.recording_folders import made

    place = made(tmp_path / "r")
    with zipfile.ZipFile(place / "1-Net.pt2", "w") as opened:
        opened.writestr("r/models/model.json", "a")
    shell = FakeShell()
    assert opening.run(shell, str(place), CHOICES, Viewing(watch=True)) == 0
    watched = shell.watched
    assert watched is not None
    assert not watched.changed()
    assert watched.settings().min_block_size == 4
    made(place, settings={"min_block_size": 6})
    assert [watched.changed() for _ in range(3)] == [False] * 3, "b'PK' is half an archive"
    with zipfile.ZipFile(place / "1-Net.pt2", "w") as opened:
        opened.writestr("r/models/model.json", "ab")
    assert [watched.changed() for _ in range(3)] == [False, True, False]
    assert watched.settings().min_block_size == 6


def test_nothing_is_watched_unless_it_is_asked_for(model: str) -> None:
    shell = FakeShell()
    assert opening.run(shell, model, CHOICES, Viewing()) == 0
    assert shell.watched is None


@pytest.mark.parametrize("other", ["report", "picture"])
def test_what_does_not_change_or_nobody_looks_at_is_not_watched(
    tmp_path: Path, model: str, other: str
) -> None:
    picture = Screenshot(file="a.svg") if other == "picture" else None
    named = model if picture else str(tmp_path / "report.json")
    with pytest.raises(UsageError, match="--watch does not go with"):
        opening.run(FakeShell(), named, CHOICES, Viewing(watch=True, picture=picture))
