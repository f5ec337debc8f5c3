"""The real handler: what it keeps, what it forwards, and the real chain in a worker."""

import importlib.util
import logging
import os
import subprocess
import sys
import types
from typing import ClassVar

import pytest

from trtdbg.errors import ModelError, UnavailableError
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import BuildStatus, Environment, Report
from trtdbg.session.server import Handler
from trtdbg.worker.client import Client
from trtdbg.worker.messages import (
    Analyze,
    Build,
    Describe,
    Job,
    Log,
    LogLevel,
    Progress,
)

SECONDS = 120


class FakeSession:
    """Stands for a session that has loaded its model."""

    opened: ClassVar[list[Job]] = []
    failing = False

    def __init__(self, job, emit, lessons=None):
        FakeSession.opened.append(job)
        self.job = job

    def sibling(self, job):
        other = FakeSession(job, None)
        FakeSession.opened.remove(job)
        other.kin = self
        return other

    def analyze(self, policy, *, headline=False):
        if FakeSession.failing:
            raise MemoryError
        return ("analysis", self, policy)

    def build(self, policy, engines=None, save=None, *, cache=True, runs=0):
        return ("build", self, policy, engines, save, cache, runs)


@pytest.fixture
def host(monkeypatch):
    """Replaces the stages, and so torch, by what only records its calls."""
    FakeSession.opened = []
    FakeSession.failing = False
    host = types.ModuleType("trtdbg.compat.host")
    host.prepare = lambda: None
    host.attach_log = lambda emit: setattr(host, "emit_line", emit)
    host.describe = lambda: "environment"
    session = types.ModuleType("trtdbg.session.session")
    session.Session = FakeSession
    for module in (host, session):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("trtdbg.compat.host", host, raising=False)
    return host


@pytest.fixture
def events():
    return []


@pytest.fixture
def handler(host, events):
    each = Handler(events.append)
    each.prepare()
    return each


def job(model, **settings):
    return Job(model=str(model), settings=Settings(**settings))


def analyze(model, **settings):
    return Analyze(job=job(model, **settings), policy=TruncationPolicy())


def test_one_session_answers_all_requests_of_a_job(handler, tmp_path):
    _, first, _ = handler.handle(analyze("a.pt2"))
    _, second, _ = handler.handle(analyze("a.pt2"))
    policy = TruncationPolicy(timing=Timing.OFF)
    built = handler.handle(
        Build(job=job("a.pt2"), policy=policy, engines=(1,), save=str(tmp_path))
    )
    assert first is second is built[1]
    assert built[2:] == (policy, (1,), str(tmp_path), True, 0)


def test_other_settings_get_another_session_and_the_first_is_kept(handler):
    _, one, _ = handler.handle(analyze("a.pt2"))
    _, five, _ = handler.handle(analyze("a.pt2", min_block_size=5))
    assert one is not five
    assert handler.handle(analyze("a.pt2"))[1] is one


def test_another_block_size_opens_the_model_no_second_time(handler):
    _, one, _ = handler.handle(analyze("a.pt2"))
    _, five, _ = handler.handle(analyze("a.pt2", min_block_size=5))
    assert five.kin is one
    assert five.job.settings.min_block_size == 5
    handler.handle(analyze("a.pt2", decompose_attention=True))
    handler.handle(analyze("b.pt2", min_block_size=5))
    assert [each.model for each in FakeSession.opened] == ["a.pt2", "a.pt2", "b.pt2"]


def test_only_the_sessions_used_last_are_kept(handler):
    for model in ("a.pt2", "b.pt2", "c.pt2", "a.pt2", "d.pt2"):
        handler.handle(analyze(model))
    FakeSession.opened.clear()
    for model in ("a.pt2", "c.pt2", "d.pt2"):
        handler.handle(analyze(model))
    assert FakeSession.opened == []
    handler.handle(analyze("b.pt2"))
    assert [each.model for each in FakeSession.opened] == ["b.pt2"]


def test_a_model_that_changed_on_disk_is_opened_anew(handler, tmp_path):
    model = tmp_path / "a.pt2"
    model.write_bytes(b"one")
    _, before, _ = handler.handle(analyze(model))
    assert handler.handle(analyze(model))[1] is before
    os.utime(model, ns=(1, 1))
    assert handler.handle(analyze(model))[1] is not before


def test_after_running_out_of_memory_no_session_is_kept(handler):
    handler.handle(analyze("a.pt2"))
    FakeSession.failing = True
    with pytest.raises(MemoryError):
        handler.handle(analyze("a.pt2"))
    FakeSession.failing = False
    FakeSession.opened.clear()
    handler.handle(analyze("a.pt2"))
    assert len(FakeSession.opened) == 1


def test_what_is_missing_is_told_by_the_first_request_and_the_machine_still_described(
    host, events
):
    def prepare():
        raise UnavailableError("torch_tensorrt is not installed", remedy="install it")

    host.prepare = prepare
    handler = Handler(events.append)
    handler.prepare()
    assert handler.handle(Describe()) == "environment"
    for _ in range(2):
        with pytest.raises(UnavailableError, match="torch_tensorrt is not installed"):
            handler.handle(analyze("a.pt2"))


def test_lines_of_tensorrts_log_are_forwarded_with_their_level(host, handler, events):
    levels = {
        logging.DEBUG: LogLevel.DEBUG,
        logging.INFO: LogLevel.INFO,
        logging.INFO + 5: LogLevel.INFO,
        logging.WARNING: LogLevel.WARNING,
        logging.CRITICAL: LogLevel.ERROR,
    }
    for level in levels:
        host.emit_line("tensorrt", level, "a line")
    lines = [each for each in events if isinstance(each, Log)]
    assert lines == [Log(source="tensorrt", level=v, text="a line") for v in levels.values()]


needs_tensorrt = pytest.mark.skipif(
    importlib.util.find_spec("torch_tensorrt") is None,
    reason="torch_tensorrt is not installed",
)


@pytest.fixture(scope="module")
def island(tmp_path_factory):
    torch = pytest.importorskip("torch")

    class Island(torch.nn.Module):
        def forward(self, x):
            return (torch.relu(x).double() * 2.0).float()

    path = tmp_path_factory.mktemp("models") / "island.pt2"
    torch.export.save(torch.export.export(Island(), (torch.randn(2, 4),)), path)
    return path


@needs_tensorrt
def test_the_real_chain_analyses_builds_and_fails_through_a_worker(island, capfd):
    seen = []
    with Client(seen.append) as client:
        client.start()
        futures = [
            client.submit(request)
            for request in (
                Describe(),
                analyze(island),
                Build(job=job(island), policy=TruncationPolicy()),
                analyze(island.with_name("none.pt2")),
            )
        ]
        environment = futures[0].result(SECONDS)
        assert isinstance(environment, Environment)
        assert environment.torch_tensorrt is not None
        report = futures[1].result(SECONDS)
        assert isinstance(report, Report)
        assert report.model.path == str(island)
        assert len(report.engines) == 1
        built = futures[2].result(SECONDS)
        if environment.gpu is not None or environment.targets:
            assert built.engines[0].build.status is BuildStatus.BUILT
        with pytest.raises(ModelError, match=r"none\.pt2 does not exist"):
            futures[3].result(SECONDS)
    stages = [each.stage for each in seen if isinstance(each, Progress)]
    assert stages[0] == "prepare"
    assert {"load", "capture"} <= set(stages)
    assert capfd.readouterr() == ("", "")


def test_a_prepared_worker_collects_no_garbage_among_the_modules():
    code = (
        "import gc\n"
        "from trtdbg.session.server import Handler\n"
        "Handler(lambda _: None).prepare()\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 20 * len(gc.get_objects()))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["True", "True"]
