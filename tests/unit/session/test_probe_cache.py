"""TensorRT's answers survive processes; one that dies of a question tells the next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trtdbg.compat import host  # noqa: E402
from trtdbg.policy import Settings, TruncationPolicy  # noqa: E402
from trtdbg.records import Report, Verdict  # noqa: E402
from trtdbg.worker.client import Client  # noqa: E402
from trtdbg.worker.messages import Analyze, Job  # noqa: E402


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    environment = host.describe()
    if not environment.targets:
        pytest.skip("only TensorRT-RTX builds without a GPU")
    return tmp_path


def open_cache() -> Any:
    from trtdbg.session.probe_cache import ProbeCache

    return ProbeCache(host.describe(), "sm86")


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave_journal(cache: Any, text: str) -> None:
    journal = Path(cache._journal)
    cache.memory.announce(["x"])
    journal.rename(
        journal.with_name(journal.name.replace(f".{os.getpid()}.", f".{dead_pid()}."))
    ).write_text(text)


def test_answers_are_read_back() -> None:
    from trtdbg.stages.probe import Answer

    cache = open_cache()
    cache.memory.answers["s"] = Answer(Verdict.REJECT, "no", ("FLOAT", None))
    cache.save()
    assert open_cache().memory.answers["s"] == Answer(Verdict.REJECT, "no", ("FLOAT", None))


def test_a_broken_cache_is_no_cache() -> None:
    cache = open_cache()
    cache.save()
    cache._path.write_bytes(b"\xc1 broken")
    assert open_cache().memory.answers == {}


def test_the_one_question_that_ended_a_process_is_a_crash() -> None:
    leave_journal(open_cache(), "fatal")
    assert open_cache().memory.answers["fatal"].verdict is Verdict.CRASHED
    assert open_cache().memory.answers["fatal"].verdict is Verdict.CRASHED, "it is remembered"


def test_several_questions_that_ended_a_process_become_suspects() -> None:
    leave_journal(open_cache(), "one\ntwo")
    memory = open_cache().memory
    assert memory.suspects == {"one", "two"}
    assert not memory.answers


def test_the_journal_of_a_living_process_is_left_alone() -> None:
    cache = open_cache()
    cache.memory.announce(["asked", "now"])
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
