"""TensorRT's answers survive processes; a parent tells what workers ended on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trtdbg.compat import host  # noqa: E402
from trtdbg.policy import Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import Report, Verdict  # noqa: E402
from trtdbg.worker.client import Client  # noqa: E402
from trtdbg.worker.messages import Analyze, Job, Lessons  # noqa: E402

SAMPLE = Path(__file__).parents[3] / "samples" / "boundary_mixed.pt2"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    environment = host.describe()
    if not environment.targets:
        pytest.skip("only TensorRT-RTX builds without a GPU")
    return tmp_path


def open_cache(lessons: Lessons | None = None) -> Any:
    from trtdbg.session.probe_cache import ProbeCache

    return ProbeCache(host.describe(), "sm86", lessons)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave_journal(text: str, pid: int) -> Path:
    """Leaves what an older version left of a process that ended while it asked."""
    path: Path = open_cache()._path
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = path.with_name(f"{path.stem}.{platform.node()}.{pid}.asking")
    journal.write_text(text)
    return journal


def test_answers_are_read_back() -> None:
    from trtdbg.stages.probe import TensorrtAnswer

    cache = open_cache()
    cache.memory.answers["s"] = TensorrtAnswer(Verdict.REJECT, "no", ("FLOAT", None))
    cache.save()
    assert open_cache().memory.answers["s"] == TensorrtAnswer(
        Verdict.REJECT, "no", ("FLOAT", None)
    )


def test_a_broken_cache_is_no_cache() -> None:
    cache = open_cache()
    cache.save()
    cache._path.write_bytes(b"\xc1 broken")
    assert open_cache().memory.answers == {}


def test_lessons_become_suspects_verdicts_and_what_is_not_asked() -> None:
    cache = open_cache(Lessons(suspects=("s",), crashed=("c",), left_out=("l",)))
    assert cache.memory.suspects == {"s"}
    assert set(cache.memory.left_out) == {"l"}
    assert open_cache().memory.answers["c"].verdict is Verdict.CRASHED, "it is remembered"
    assert set(open_cache().memory.answers) == {"c"}
    assert not open_cache().memory.suspects


@pytest.mark.parametrize("text", ["one", "one\ntwo"])
def test_journals_of_older_versions_are_suspects_and_no_verdict(text: str) -> None:
    journal = leave_journal(text, dead_pid())
    memory = open_cache().memory
    assert memory.suspects == set(text.split())
    assert not memory.answers
    assert not journal.exists()


def test_the_journal_of_a_living_process_is_left_alone() -> None:
    journal = leave_journal("asked\nnow", os.getpid())
    assert not open_cache().memory.suspects
    assert journal.exists()


def test_a_damaged_journal_is_removed() -> None:
    journal = leave_journal("", dead_pid())
    journal.write_bytes(b"\xcf\xff")
    assert not open_cache().memory.suspects
    assert not open_cache().memory.suspects


def test_a_crash_of_tensorrt_becomes_a_verdict(own_cache: Path) -> None:
    class Model(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.relu(x).softmax(-1) * 2

    path = own_cache / "model.pt2"
    torch.export.save(torch.export.export(Model().eval(), (torch.ones(2, 4),)), str(path))
    handler = "crashing_probe:CrashesOnSoftmax"
    with Client(_handler=handler) as client:
        job = Job(model=str(path), settings=Settings())
        report = client.submit(Analyze(job=job, policy=TruncationPolicy())).result(120)
    assert isinstance(report, Report)
    said = {
        node.name: verdict.truncated
        for node in report.nodes
        for verdict in node.verdicts
        if verdict.validator == "tensorrt"
    }
    assert said == {
        "relu": Verdict.ACCEPT,
        "_softmax": Verdict.CRASHED,
        "mul": Verdict.ACCEPT,
    }
    assert [f.code for f in report.findings] == ["TD102"]


def test_another_session_asks_tensorrt_nothing_for_its_headline_either(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trtdbg.session.session import Session
    from trtdbg.stages import probe

    asked: list[int] = []
    real = probe._network

    def counted(questions: Any, options: Any) -> Any:
        asked.append(len(questions))
        return real(questions, options)

    monkeypatch.setattr(probe, "_network", counted)
    job = Job(model=str(SAMPLE), settings=Settings())
    upstream = TruncationPolicy(timing=Timing.UPSTREAM)

    def headline() -> Any:
        return Session(job, lambda _: None).analyze(upstream, headline=True).headline

    first = headline()
    assert asked
    asked.clear()
    assert headline() == first
    assert not asked
