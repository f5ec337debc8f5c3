"""One flipped bit anywhere in a cache: the run says what it says with a clean one."""

from __future__ import annotations

import logging
import os
import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.faults.test_interrupted_questions import without_seconds
from trtdbg import files as outputs

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "boundary_mixed.pt2"
ANEW = "is made anew"


class Cache:
    """The files that one build of the sample leaves, and what it said."""

    def __init__(self, folder: Path, said: list[str]) -> None:
        self.folder = folder
        self.said = said
        self.clean = self.built()
        assert not said
        self.files = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    def built(self) -> Any:
        """Returns what a fresh session says of the sample once its engines are built."""
        from trtdbg.policy import Settings, TruncationPolicy
        from trtdbg.session.session import Session
        from trtdbg.worker.messages import Job

        session = Session(Job(model=str(SAMPLE), settings=Settings()), lambda event: None)
        report = session.build(TruncationPolicy())
        self.asked = session.environment, session._target
        plain = without_seconds(msgspec.json.decode(msgspec.json.encode(report)))
        for engine in plain["engines"]:
            # A new build differs from the kept one in these, with the same result.
            for name in ("cached", "bytes", "peak_bytes"):
                engine["build"].pop(name, None)
        return plain

    def flip(self, dice: random.Random) -> tuple[Path, str]:
        """Flips a bit of one of the files, all of which are whole before."""
        path = dice.choice(list(self.files))
        data = bytearray(self.files[path])
        # Each second flip is in the first kilobyte: an engine is mostly TensorRT's own bytes.
        bit = dice.randrange(min(len(data), dice.choice((1024, len(data)))) * 8)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        return path, f"bit {bit} of {path.name}"

    def mend(self, path: Path) -> None:
        outputs.replace(path, self.files[path])
        self.said.clear()


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is logged about files of the caches."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("trtdbg.sealed")
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


@pytest.fixture
def cache(
    tmp_path: Path,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    torch_tensorrt_ready: None,
) -> Cache:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TRTDBG_ENGINE_CACHE_MIB", "64")
    cache = Cache(tmp_path, said)
    assert {path.suffix for path in cache.files} == {".msgpack", ".engine"}
    return cache


@pytest.fixture
def analyses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch_tensorrt_ready: None
) -> Analyses:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TRTDBG_ANALYSIS_CACHE_MIB", "64")
    monkeypatch.setattr("trtdbg.worker.client.Client", InThisProcess)
    # So that the digest of a file that was just written is remembered.
    monkeypatch.setattr("trtdbg.cache.contents._TICK_NS", 0)
    return Analyses(tmp_path)


class InThisProcess:
    """Stands where the worker's client stands: a fresh session answers, without TensorRT."""

    asked = 0

    def __init__(self, heard: object, **_: object) -> None: ...

    def start(self) -> None: ...

    def submit(self, request: Any) -> Future[Any]:
        from trtdbg.session.session import Session

        InThisProcess.asked += 1
        future: Future[Any] = Future()
        future.set_result(Session(request.job, lambda event: None).analyze(request.policy))
        return future

    def cancel(self) -> None: ...

    def close(self) -> None: ...


class Analyses:
    """The files that one analysis of the sample leaves, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.model = folder / "model.pt2"
        shutil.copy(SAMPLE, self.model)
        self.clean, told, asked = self.answered()
        assert (told, asked) == ([], 1)
        root = folder / "cache" / "trtdbg"
        (self.report,) = (root / "analyses").iterdir()
        self.digests = root / "contents.msgpack"
        self.whole = {each: each.read_bytes() for each in (self.report, self.digests)}
        assert self.answered() == (self.clean, [], 0)

    def answered(self) -> tuple[Any, list[str], int]:
        """Returns what is said of the sample, the lines told, and how often it was asked."""
        from trtdbg.cache.client import CachingClient
        from trtdbg.policy import Settings, TruncationPolicy
        from trtdbg.worker.messages import Analyze, Job, Log

        told: list[str] = []

        def hear(event: object) -> None:
            if isinstance(event, Log):
                told.append(event.text)

        job = Job(model=str(self.model), settings=Settings(), probe_seconds=0.0)
        before = InThisProcess.asked
        with CachingClient(hear) as client:
            report = client.submit(Analyze(job=job, policy=TruncationPolicy())).result(60)
        plain = without_seconds(msgspec.json.decode(msgspec.json.encode(report)))
        return plain, told, InThisProcess.asked - before


@pytest.mark.parametrize("flips", [3, pytest.param(60, marks=pytest.mark.deep)])
def test_every_analysis_is_that_of_a_clean_cache(flips: int, analyses: Analyses) -> None:
    dice = random.Random(flips)
    for number in range(flips):
        data = bytearray(analyses.whole[analyses.report])
        # The first kilobyte holds mark, digest, key and time; the rest is the report.
        bit = dice.randrange(8 * (1024 if number % 2 else len(data)))
        data[bit // 8] ^= 1 << bit % 8
        analyses.report.write_bytes(data)
        clean, told, asked = analyses.answered()
        assert clean == analyses.clean, bit
        assert asked == 1, bit
        assert [ANEW in line for line in told] == [True], bit
        assert analyses.answered() == (clean, [], 0), "kept anew"


def test_no_flipped_bit_in_the_digests_of_files_names_another_file(analyses: Analyses) -> None:
    dice = random.Random(26)
    whole = analyses.whole[analyses.digests]
    for _ in range(40):
        data = bytearray(whole)
        bit = dice.randrange(len(data) * 8)
        data[bit // 8] ^= 1 << bit % 8
        analyses.digests.write_bytes(data)
        assert analyses.answered() == (analyses.clean, [], 0), bit
        assert analyses.digests.read_bytes() == whole, "written anew"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_report_that_another_user_left_there_is_not_read(analyses: Analyses) -> None:
    os.chown(analyses.report, 12345, -1)
    clean, told, asked = analyses.answered()
    assert (clean, asked) == (analyses.clean, 1)
    assert len(told) == 1
    assert "is no plain file of this user" in told[0]


def read_through(path: Path, cache: Cache) -> Callable[[], object]:
    """Returns what reads a file of a cache as a run does: None if there is nothing."""
    from trtdbg.session.engine_cache import EngineCache
    from trtdbg.session.probe_cache import ProbeCache

    if path.suffix == ".engine":
        return lambda: EngineCache().find(path.stem)
    return lambda: ProbeCache(*cache.asked).memory.answers or None


def test_no_reader_of_a_cache_takes_a_flipped_bit(cache: Cache) -> None:
    dice = random.Random(17)
    readers = {path: read_through(path, cache) for path in cache.files}
    for path, read in readers.items():
        assert read() is not None, path
        assert read() == read()
    for _ in range(3000):
        path, which = cache.flip(dice)
        assert readers[path]() is None, which
        assert [ANEW in line for line in cache.said] == [True], which
        assert not path.exists(), which
        cache.mend(path)
    for path, read in readers.items():
        assert read() is not None, path


@pytest.mark.parametrize("flips", [3, pytest.param(40, marks=pytest.mark.deep)])
def test_every_report_is_that_of_a_clean_cache(flips: int, cache: Cache) -> None:
    dice = random.Random(flips)
    for _ in range(flips):
        path, which = cache.flip(dice)
        assert cache.built() == cache.clean, which
        assert any(ANEW in line for line in cache.said), which
        cache.mend(path)
