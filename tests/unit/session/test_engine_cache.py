"""Engines kept on disk: found by content, dropped by age, never half written or damaged."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from trtdbg.errors import UsageError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import BuildRecord, BuildStatus, Report
from trtdbg.session.engine_cache import EngineCache
from trtdbg.worker.messages import Build, Job

BUILT = BuildRecord(status=BuildStatus.BUILT, seconds=1.5, bytes=3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TRTDBG_ENGINE_CACHE_MIB", "1")
    return tmp_path / "trtdbg" / "engines"


def test_what_was_kept_is_found_and_says_so(folder: Path) -> None:
    EngineCache().keep("a", BUILT, b"abc")
    found = EngineCache().find("a")
    assert found is not None
    record, serialized = found
    assert serialized == b"abc"
    assert (record.cached, record.seconds) == (True, 1.5)
    assert EngineCache().find("b") is None


@pytest.mark.parametrize("damage", [b"", b"abc", b"\xff" * 40])
def test_a_damaged_file_is_dropped(folder: Path, damage: bytes) -> None:
    EngineCache().keep("a", BUILT, b"abc")
    (folder / "a.engine").write_bytes(damage)
    assert EngineCache().find("a") is None
    assert not list(folder.iterdir())


def test_a_flipped_bit_of_the_engine_is_noticed(folder: Path) -> None:
    EngineCache().keep("a", BUILT, b"abcabcabc")
    path = folder / "a.engine"
    path.write_bytes(path.read_bytes().replace(b"abcabcabc", b"abcabcabd"))
    assert EngineCache().find("a") is None


def test_what_was_used_last_stays_within_the_bound(folder: Path) -> None:
    cache = EngineCache()
    for number, name in enumerate(("a", "b")):
        cache.keep(name, BUILT, b"x" * 400_000)
        os.utime(folder / f"{name}.engine", (number, number))
    assert cache.find("a") is not None
    cache.keep("c", BUILT, b"x" * 400_000)
    assert sorted(path.stem for path in folder.iterdir()) == ["a", "c"]


def test_nothing_is_kept_that_failed_or_is_larger_than_all(folder: Path) -> None:
    cache = EngineCache()
    cache.keep("a", BuildRecord(status=BuildStatus.FAILED), b"abc")
    cache.keep("b", BUILT, b"x" * (2 << 20))
    assert not folder.exists()


def test_zero_turns_it_off_and_a_wrong_bound_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    EngineCache().keep("a", BUILT, b"abc")
    monkeypatch.setenv("TRTDBG_ENGINE_CACHE_MIB", "0")
    assert EngineCache().find("a") is None
    monkeypatch.setenv("TRTDBG_ENGINE_CACHE_MIB", "much")
    with pytest.raises(UsageError, match="much is no whole number of MiB"):
        EngineCache()


@pytest.mark.skipif(
    importlib.util.find_spec("torch_tensorrt") is None, reason="needs torch_tensorrt"
)
def test_the_same_program_is_built_once_and_another_constant_anew(
    folder: Path, tmp_path: Path
) -> None:
    first, size = _build(tmp_path, 1.0), len(list(folder.iterdir()))
    again, other = _build(tmp_path, 1.0), _build(tmp_path, 2.0)
    anew = _build(tmp_path, 1.0, cache=False)
    cached = [report.engines[0].build.cached for report in (first, again, other, anew)]
    assert cached == [False, True, False, False]
    assert again.engines[0].build.seconds == first.engines[0].build.seconds
    assert (size, len(list(folder.iterdir()))) == (1, 2)


def _build(folder: Path, weight: float, *, cache: bool = True) -> Report:
    torch = pytest.importorskip("torch")
    from trtdbg.session.server import Handler

    class Scaled(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.full((4,), weight))

        def forward(self, x: Any) -> Any:
            return (x * self.weight).relu()

    path = folder / f"scaled{weight}.pt2"
    torch.export.save(torch.export.export(Scaled(), (torch.ones(2, 4),)), str(path))
    handler = Handler(lambda event: None)
    handler.prepare()
    job = Job(model=str(path), settings=Settings(), probe_seconds=0.0)
    report = handler.handle(Build(job=job, policy=TruncationPolicy(), cache=cache))
    assert isinstance(report, Report)
    assert report.engines[0].build.status is BuildStatus.BUILT
    return report
