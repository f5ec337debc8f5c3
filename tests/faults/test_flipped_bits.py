"""One flipped bit anywhere in a cache: the run says what it says with a clean one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_interrupted_questions import without_seconds

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "boundary_mixed.pt2"


@pytest.mark.parametrize(
    "flips", [pytest.param(12, id="12"), pytest.param(3000, marks=pytest.mark.deep, id="3000")]
)
def test_every_report_is_that_of_a_clean_cache(
    flips: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch_tensorrt_ready: None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TRTDBG_ENGINE_CACHE_MIB", "64")
    clean, _ = built()
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.suffix for path in files} >= {".msgpack"}
    dice = random.Random(flips)
    for number in range(flips):
        path = dice.choice(sorted(files))
        data = bytearray(files[path])
        bit = dice.randrange(len(data) * 8)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        report, said = built()
        assert report == clean, f"flip {number}, bit {bit} of {path}"
        assert any("is made anew" in line for line in said)
        path.write_bytes(files[path])


def built() -> tuple[Any, list[str]]:
    """Returns what a fresh session says of the sample once it is built, and its log."""
    import logging

    import msgspec

    from trtdbg.policy import Settings, TruncationPolicy
    from trtdbg.session.session import Session
    from trtdbg.worker.messages import Job

    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("trtdbg.sealed")
    logger.addHandler(handler)
    try:
        session = Session(Job(model=str(SAMPLE), settings=Settings()), lambda event: None)
        report = session.build(TruncationPolicy())
    finally:
        logger.removeHandler(handler)
    plain = without_seconds(msgspec.json.decode(msgspec.json.encode(report)))
    for engine in plain["engines"]:
        # A new build differs from the kept one in these, with the same result.
        for name in ("cached", "bytes", "peak_bytes"):
            engine["build"].pop(name, None)
    return plain, said
