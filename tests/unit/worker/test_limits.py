"""The limits of a worker: what takes too much ends with a message, what does not goes on."""

import os
import time

import pytest

from tests import worker_handlers
from trtdbg.errors import ExitCode, LimitError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Report
from trtdbg.worker import limits
from trtdbg.worker.client import Client
from trtdbg.worker.limits import held_bytes
from trtdbg.worker.messages import Access, Analyze, Describe, Job

SECONDS = 20


@pytest.fixture
def client():
    with Client(_handler=f"{worker_handlers.__name__}:Scripted") as made:
        yield made


def ask(script, **limits):
    job = Job(model=script, settings=Settings(), access=Access(**limits))
    return Analyze(job=job, policy=TruncationPolicy())


def test_a_request_that_takes_too_long_ends_with_the_limit_and_what_it_was_doing(client):
    client.submit(Describe()).result(SECONDS)
    began = time.monotonic()
    future = client.submit(ask("sleep:60", time_limit=0.5))
    with pytest.raises(
        LimitError, match=r"sleep:60 \(build asleep\).*--time-limit 0.5"
    ) as caught:
        future.result(SECONDS)
    assert time.monotonic() - began < 5
    assert caught.value.exit_code is ExitCode.FAILED


def test_what_is_asked_in_the_probe_is_not_asked_again_after_the_limit(client):
    future = client.submit(ask("probe:60", time_limit=0.5))
    began = time.monotonic()
    with pytest.raises(LimitError):
        future.result(SECONDS)
    assert time.monotonic() - began < 5


def test_a_request_that_holds_too_much_memory_ends_with_both_numbers(client):
    client.submit(Describe()).result(SECONDS)
    future = client.submit(ask("hold:300", memory_limit=200 << 20))
    with pytest.raises(LimitError, match=r"it held \d+ MiB, and --memory-limit is 200 MiB"):
        future.result(SECONDS)


def test_the_next_request_gets_a_fresh_worker_and_its_own_limits(client):
    first = int(client.submit(Describe()).result(SECONDS).python)
    with pytest.raises(LimitError):
        client.submit(ask("sleep:60", time_limit=0.2)).result(SECONDS)
    answer = client.submit(ask("sleep:0.6", time_limit=30, memory_limit=4 << 30))
    assert isinstance(answer.result(SECONDS), Report)
    assert int(client.submit(Describe()).result(SECONDS).python) != first


def test_time_counts_for_each_request_and_not_while_nothing_runs(client):
    for _ in range(3):
        assert isinstance(
            client.submit(ask("sleep:0.4", time_limit=5)).result(SECONDS), Report
        )
    time.sleep(0.5)
    assert isinstance(client.submit(ask("answer", time_limit=5)).result(SECONDS), Report)


def test_a_process_that_is_gone_holds_nothing():
    assert held_bytes(os.getpid()) > 1 << 20
    assert held_bytes(2**22 + 1) == 0


def test_a_file_that_is_read_for_too_long_ends_the_load_and_names_the_flag():
    access = Access(load_limit=3.0)
    assert limits.loading_too_long(access, 2.0, "analysing m.pt2 (load)") is None
    error = limits.loading_too_long(access, 4.0, "analysing m.pt2 (load)")
    assert error is not None
    assert "--load-limit 3 seconds" in str(error)
    assert limits.loading_too_long(Access(load_limit=None), 1e9, "") is None
