"""`report --watch`: what counts as a change, and what is said of it."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from fake_shell import FakeShell

from tests import canned
from trtdbg.commands import report, watching
from trtdbg.commands.options import Choices
from trtdbg.commands.watching import Watcher
from trtdbg.errors import UsageError, WorkerError
from trtdbg.policy import Settings, TruncationPolicy

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
