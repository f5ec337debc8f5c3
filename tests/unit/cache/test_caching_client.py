"""A client that asks the cache first, with a worker that answers from a table."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import canned
from trtdbg.cache import analyses, contents, installed
from trtdbg.cache.client import CachingClient
from trtdbg.cache.folders import ANALYSES
from trtdbg.cache.keys import key_of
from trtdbg.errors import CancelledError, ModelError, UsageError
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Report
from trtdbg.worker.messages import (
    Access,
    Analyze,
    Build,
    Describe,
    Job,
    Log,
    LogLevel,
    News,
    Recalled,
    Weigh,
)

replace = msgspec.structs.replace
POLICY = TruncationPolicy(timing=Timing.UPSTREAM)


class FakeClient:
    """Stands where the worker's client stands."""

    made: list[FakeClient]
    says: tuple[Log, ...] = ()

    def __init__(self, heard: Callable[[News], None], **_: object) -> None:
        self.heard = heard
        self.asked: list[Any] = []
        self.ends: list[str] = []
        self.answer: Any = None
        FakeClient.made.append(self)

    def start(self) -> None:
        self.ends.append("start")

    def submit(self, request: Any) -> Future[Any]:
        self.asked.append(request)
        future: Future[Any] = Future()
        for log in self.says:
            self.heard(log)
        if isinstance(self.answer, Exception):
            future.set_exception(self.answer)
        elif isinstance(request, Describe):
            future.set_result(canned.ENVIRONMENT)
        else:
            future.set_result(self.answer or report(request.job.model))
        return future

    def cancel(self) -> None:
        self.ends.append("cancel")

    def close(self) -> None:
        self.ends.append("close")


def report(model: str) -> Report:
    """Returns what a worker would say of a file."""
    state = contents.state_of(model)
    assert state is not None
    digest = contents.sha256(model, state)
    assert digest is not None
    info = replace(canned.UPSTREAM.model, path=model, sha256=digest)
    return replace(canned.UPSTREAM, model=info, policy=POLICY)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TRTDBG_ANALYSIS_CACHE_MIB", "16")
    monkeypatch.setattr("trtdbg.worker.client.Client", FakeClient)
    monkeypatch.setattr(FakeClient, "made", [], raising=False)
    monkeypatch.setattr(FakeClient, "says", ())
    known = installed.digests()
    monkeypatch.setattr(installed, "digests", lambda: known)


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"archive")
    return str(path)


def asked(model: str, **changes: Any) -> Analyze:
    job = Job(model=model, settings=Settings(), **changes)
    return Analyze(job=job, policy=POLICY)


def ask(*requests: Any, read: bool = True) -> tuple[list[Any], list[News], int]:
    """Returns the answers of a fresh client, what it told, and what it asked the worker."""
    told: list[News] = []
    before = len(FakeClient.made)
    with CachingClient(told.append, read=read) as client:
        answers = [client.submit(request).result(10) for request in requests]
    workers = FakeClient.made[before:]
    assert all(worker.ends[-1] == "close" for worker in workers)
    return answers, told, sum(len(worker.asked) for worker in workers)


def files() -> list[Path]:
    return [path for path, _ in ANALYSES.files()]


def test_the_second_time_no_worker_is_asked(model: str) -> None:
    first, told, questions = ask(asked(model))
    assert (told, questions) == ([], 1)
    second, told, questions = ask(asked(model))
    assert second == first
    assert [type(event) for event in told] == [Recalled]
    assert questions == 0
    assert len(FakeClient.made) == 1


def test_anew_asks_the_worker_and_keeps_what_it_says(model: str) -> None:
    ask(asked(model))
    assert ask(replace(asked(model), anew=True))[2] == 1
    assert ask(asked(model), read=False)[2] == 1
    assert ask(asked(model))[2] == 0


def test_a_copy_is_answered_under_its_own_name(model: str, tmp_path: Path) -> None:
    ask(asked(model))
    copy = str(tmp_path / "copy.pt2")
    Path(copy).write_bytes(Path(model).read_bytes())
    (answer,), _, questions = ask(asked(copy))
    assert questions == 0
    assert answer == report(copy)


def test_a_changed_file_is_asked_about_and_back_again_is_not(model: str) -> None:
    ask(asked(model))
    Path(model).write_bytes(b"ARCHIVE")
    assert ask(asked(model))[2] == 1
    Path(model).write_bytes(b"archive")
    assert ask(asked(model))[2] == 0


def test_a_file_that_changed_meanwhile_is_not_kept(model: str) -> None:
    with CachingClient() as client:
        answer = report(model)
        client.start()
        FakeClient.made[-1].answer = answer
        key = key_of(asked(model))
        real = FakeClient.submit

        def submit(self: FakeClient, request: Any) -> Future[Any]:
            Path(model).write_bytes(b"longer archive")
            return real(self, request)

        FakeClient.submit = submit  # type: ignore[method-assign]
        try:
            client.submit(asked(model)).result(10)
        finally:
            FakeClient.submit = real  # type: ignore[method-assign]
    assert key is not None
    assert not files()


def test_what_is_installed_anew_while_the_worker_lives_is_not_in_its_answers(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CachingClient() as client:
        client.submit(asked(model)).result(10)
        monkeypatch.setattr(installed, "digests", lambda: {"torch": "another"})
        client.submit(asked(model)).result(10)
    assert len(files()) == 1
    assert ask(asked(model))[2] == 1


def test_a_module_that_is_edited_while_the_worker_lives_is_not_in_its_answers(
    model: str, tmp_path: Path
) -> None:
    ops = tmp_path / "ops.py"
    ops.write_text("x = 1\n")
    request = asked(model, access=Access(imports=(str(ops),)))
    with CachingClient() as client:
        client.submit(request).result(10)
        ops.write_text("x = 2\n")
        client.submit(request).result(10)
    assert len(files()) == 1
    assert ask(request)[2] == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda a: Build(job=a.job, policy=a.policy),
        lambda a: Weigh(job=a.job, policy=a.policy, cures=True),
    ],
)
def test_what_the_worker_was_asked_before_does_not_show(model: str, other: Any) -> None:
    ask(other(asked(model)), asked(model))
    assert len(FakeClient.made[0].asked) == 2
    assert ask(asked(model))[2] == 1


def test_weighing_after_analysing_is_kept_too(model: str) -> None:
    weigh = Weigh(job=asked(model).job, policy=POLICY)
    assert ask(asked(model), weigh)[2] == 2
    assert ask(asked(model), weigh)[2] == 0


@pytest.mark.parametrize("what", ["lowering failed", "TensorRT not asked", "trusted"])
def test_what_is_not_the_whole_answer_is_not_kept(
    model: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(model)
    if what == "trusted":
        request = asked(model, access=Access(trust=True))
    elif what == "TensorRT not asked":
        monkeypatch.setattr("trtdbg.cache.client.unasked_line", lambda _: "not asked")
    else:
        monkeypatch.setattr("trtdbg.cache.client.broken_end", lambda _: object())
    ask(request)
    assert not files()


def test_cures_that_took_all_the_time_are_not_kept(model: str) -> None:
    weigh = Weigh(job=asked(model).job, policy=POLICY, cures=True, seconds=0.0)
    ask(weigh)
    assert not files()
    ask(replace(weigh, seconds=60.0))
    assert len(files()) == 1


def test_an_error_is_not_kept(model: str) -> None:
    with CachingClient() as client:
        client.start()
        FakeClient.made[-1].answer = ModelError("damaged")
        with pytest.raises(ModelError, match="damaged"):
            client.submit(asked(model)).result(10)
    assert not files()


def test_what_is_said_of_this_machine_is_said_again(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = [
        Log(source="trtdbg", level=LogLevel.WARNING, text="a patch is absent", standing=True),
        Log(source="trtdbg", level=LogLevel.WARNING, text="the worker died"),
    ]
    monkeypatch.setattr(FakeClient, "says", tuple(says))
    ask(asked(model))
    assert ask(asked(model))[1][:-1] == says[:1]


def test_every_damage_is_a_miss_with_one_line(model: str) -> None:
    ask(asked(model))
    (path,) = files()
    whole, dice = path.read_bytes(), random.Random(26)
    flips = [dice.randrange(len(whole) * 8) for _ in range(60)]
    cuts = [whole[: dice.randrange(len(whole))] for _ in range(10)]
    flipped = []
    for bit in flips:
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        flipped.append(bytes(data))
    for data in (*flipped, *cuts, b"", b"trtdbg-cache/2\n"):
        path.write_bytes(data)
        (answer,), told, questions = ask(asked(model))
        assert questions == 1
        assert answer == report(model)
        logs = [event.text for event in told if isinstance(event, Log)]
        assert len(logs) == 1
        assert "is made anew" in logs[0]
        assert path.read_bytes() != data


def test_an_entry_under_another_name_is_refused(model: str, tmp_path: Path) -> None:
    ask(asked(model))
    (path,) = files()
    other = str(tmp_path / "other.pt2")
    Path(other).write_bytes(b"ARCHIVE")
    key = key_of(asked(other))
    assert key is not None
    path.rename(analyses.file_of(key, report(other).model.sha256))
    (answer,), told, questions = ask(asked(other))
    assert questions == 1
    assert answer == report(other)
    assert "holds another analysis" in str(told)


def test_a_file_of_another_user_is_not_read(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(asked(model))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert ask(asked(model))[2] == 1


def test_the_longest_unused_make_room(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(asked(model))
    (first,) = files()
    size = first.stat().st_size
    monkeypatch.setattr(type(ANALYSES), "limit", lambda _: int(2.5 * size))
    ask(asked(model, target="sm86"))
    os.utime(first, ns=(1, 1))
    ask(asked(model))  # Used now, and so kept.
    ask(asked(model, target="sm89"))
    assert first in files()
    assert len(files()) == 2


def test_a_bound_of_none_neither_keeps_nor_reads(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(asked(model))
    monkeypatch.setenv("TRTDBG_ANALYSIS_CACHE_MIB", "0")
    assert ask(asked(model))[2] == 1
    monkeypatch.setenv("TRTDBG_ANALYSIS_CACHE_MIB", "much")
    with pytest.raises(UsageError, match="no whole number of MiB"):
        ask(asked(model))


def test_a_cache_that_cannot_be_written_costs_no_answer(model: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    (answer,), _, questions = ask(asked(model))
    assert questions == 1
    assert answer == report(model)


def test_a_look_that_fails_is_a_miss(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(asked(model))

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(analyses, "find", fail)
    assert ask(asked(model))[2] == 1


@pytest.mark.parametrize("end", ["cancel", "close"])
def test_a_look_is_cancelled(model: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    ask(asked(model))
    go_on = threading.Event()

    def wait(*_: object) -> None:
        go_on.wait(10)

    monkeypatch.setattr(analyses, "find", wait)
    with CachingClient() as client:
        future = client.submit(asked(model))
        getattr(client, end)()
        with pytest.raises(CancelledError):
            future.result(10)
        go_on.set()
    assert len(FakeClient.made) == 1


def test_other_requests_go_to_the_worker(model: str) -> None:
    (answer,), _, questions = ask(Describe())
    assert answer == canned.ENVIRONMENT
    assert questions == 1


def test_what_another_handler_answers_is_not_kept(model: str) -> None:
    with CachingClient(handler="tests.worker_handlers:Scripted") as client:
        client.submit(asked(model)).result(10)
    assert not files()
