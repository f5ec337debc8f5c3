"""`check` on many models: as many workers as jobs, a crash costs one model."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import canned
from trtdbg.cli import main
from trtdbg.errors import WorkerError


class CountingClient:
    """A client whose worker dies of one model."""

    made: list[CountingClient]
    gate: threading.Barrier | None = None

    def __init__(self, on_event: Any) -> None:
        self.asked: list[str] = []
        CountingClient.made.append(self)

    def submit(self, request: Any) -> Future[Any]:
        name = Path(request.job.model).stem
        self.asked.append(name)
        if self.gate is not None and len(self.asked) == 1:
            self.gate.wait(10)
        future: Future[Any] = Future()
        if name == "model3":
            future.set_exception(WorkerError("the worker process died of SIGSEGV"))
        else:
            path = msgspec.structs.replace(canned.CLEAN.model, path=request.job.model)
            future.set_result(msgspec.structs.replace(canned.CLEAN, model=path))
        return future

    def cancel(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(CountingClient, "made", [], raising=False)
    monkeypatch.setattr(CountingClient, "gate", None)
    monkeypatch.setattr("trtdbg.cache.client.CachingClient", CountingClient)
    monkeypatch.chdir(tmp_path)
    paths = [tmp_path / f"model{number}.pt2" for number in range(12)]
    for path in paths:
        path.write_bytes(b"PK\x03\x04")
    return [path.name for path in paths]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_each_job_has_one_worker_and_a_crash_costs_one_model(
    models: list[str], jobs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    if jobs > 1:
        CountingClient.gate = threading.Barrier(jobs)
    assert main(["check", *models, "--jobs", str(jobs), "--format", "json"]) == 4
    out, err = capsys.readouterr()
    assert len(CountingClient.made) == jobs
    asked = Counter(name for client in CountingClient.made for name in client.asked)
    assert asked == Counter(f"model{number}" for number in range(12))
    results = msgspec.json.decode(out)
    assert [each["model"]["path"] for each in results] == models
    assert [each["model"]["path"] for each in results if "error" in each] == ["model3.pt2"]
    assert err.count("SIGSEGV") == 1
