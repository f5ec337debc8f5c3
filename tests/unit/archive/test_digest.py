"""The digest of a large file is read beside the analysis, and once."""

from __future__ import annotations

import hashlib
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.unit.session.test_first_look import SAMPLE
from trtdbg.archive import container, digest
from trtdbg.archive.digest import Beside
from trtdbg.archive.load import load
from trtdbg.cache import contents
from trtdbg.errors import ModelError


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a model that counts as large, and was last changed long ago."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(container, "LARGE", 1)
    monkeypatch.setattr(contents, "_TICK_NS", 0)
    return Path(shutil.copy(SAMPLE, tmp_path / "model.pt2"))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    real, threads = hashlib.file_digest, []

    def digest(file: Any, name: str) -> Any:
        threads.append(threading.current_thread().name)
        return real(file, name)

    monkeypatch.setattr(hashlib, "file_digest", digest)
    return threads


def test_a_large_file_is_read_in_a_thread_of_its_own_and_once(
    model: Path, read: list[str]
) -> None:
    expected = hashlib.sha256(model.read_bytes()).hexdigest()
    assert [load(model).digest() for _ in range(2)] == [expected] * 2
    assert read == ["trtdbg-digest"]


def test_a_small_file_is_read_at_once(
    model: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "LARGE", digest.LARGE)
    loaded = load(model)
    assert loaded.digest() == loaded.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert read == ["MainThread"]


def test_a_file_that_vanishes_is_an_error_of_the_file(tmp_path: Path) -> None:
    reader = Beside(tmp_path / "missing.pt2")
    with pytest.raises(ModelError, match="cannot be read"):
        reader.result()


def test_a_file_that_changes_meanwhile_is_not_remembered(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, real = contents.state_of(str(model)), hashlib.file_digest

    def digest(file: Any, name: str) -> Any:
        made = real(file, name)
        model.write_bytes(b"another")
        return made

    monkeypatch.setattr(hashlib, "file_digest", digest)
    assert Beside(model).result()
    assert state is not None
    assert contents.known_sha256(state) is None
