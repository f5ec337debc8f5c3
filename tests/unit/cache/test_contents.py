"""Digests of files, remembered while the file system says that they are the same."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from trtdbg.cache import contents

LONG_AGO = 1_600_000_000_000_000_000


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Returns a file that was last changed long ago, as far as its state says."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(contents, "_TICK_NS", 0)
    path = tmp_path / "model.pt2"
    path.write_bytes(b"weights")
    return str(path)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the files that are read through, as they are."""
    real, names = hashlib.file_digest, []

    def digest(file: object, name: str) -> object:
        names.append(name)
        return real(file, name)  # type: ignore[arg-type, type-var]

    monkeypatch.setattr(hashlib, "file_digest", digest)
    return names


def of(path: str) -> contents.FileState:
    state = contents.state_of(path)
    assert state is not None
    return state


def test_a_file_is_read_once(file: str, read: list[str]) -> None:
    expected = hashlib.sha256(b"weights").hexdigest()
    assert [contents.sha256(file, of(file)) for _ in range(3)] == [expected] * 3
    assert len(read) == 1


def test_other_content_of_the_same_size_and_time_is_read(file: str, read: list[str]) -> None:
    first = contents.sha256(file, of(file))
    status = os.stat(file)
    Path(file).write_bytes(b"WEIGHTS")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert contents.sha256(file, of(file)) != first
    assert len(read) == 2


def test_another_file_in_its_place_is_read(file: str, read: list[str]) -> None:
    contents.sha256(file, of(file))
    other = Path(file).with_name("other")
    other.write_bytes(b"WEIGHTS")
    os.replace(other, file)
    assert contents.sha256(file, of(file)) == hashlib.sha256(b"WEIGHTS").hexdigest()
    assert len(read) == 2


def test_a_file_that_changes_while_it_is_read_has_no_digest(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, real = of(file), hashlib.file_digest

    def digest(opened: object, name: str) -> object:
        with open(file, "ab") as more:
            more.write(b"!")
        return real(opened, name)  # type: ignore[arg-type, type-var]

    monkeypatch.setattr(hashlib, "file_digest", digest)
    assert contents.sha256(file, state) is None
    assert contents.known_sha256(state) is None


def test_a_file_that_changed_just_now_is_not_remembered(
    file: str, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # It can change again within one step of the file system's clock.
    monkeypatch.setattr(contents, "_TICK_NS", 3_600_000_000_000)
    contents.sha256(file, of(file))
    contents.sha256(file, of(file))
    assert len(read) == 2


def test_the_oldest_are_forgotten_first(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MOST", 2)
    states = [contents.FileState(1, inode, 9, LONG_AGO, LONG_AGO) for inode in range(3)]
    for state in states:
        contents.remember(state, "digest", time.time_ns())
    assert [contents.known_sha256(state) for state in states] == [None, "digest", "digest"]


def test_a_folder_a_pipe_and_nothing_have_no_state(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("", "pipe", "missing", "\0"):
        assert contents.state_of(f"{tmp_path}/{name}") is None
