"""The client against a real spawned process with handlers that misbehave; no torch."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests import worker_handlers
from trtdbg.errors import (
    CancelledError,
    LimitError,
    ModelError,
    StageError,
    WorkerBugError,
    WorkerError,
)
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Environment, Report
from trtdbg.worker.client import Client
from trtdbg.worker.messages import (
    Access,
    Analyze,
    Build,
    Describe,
    Job,
    Log,
    LogLevel,
    Progress,
)

SECONDS = 20
"""Generous limit of what takes tenths of a second, for a loaded machine."""


class Recorder:
    """Takes events and lets a test wait for one."""

    def __init__(self):
        self.events = []
        self._came = threading.Condition()

    def __call__(self, event):
        with self._came:
            self.events.append(event)
            self._came.notify_all()

    def wait_for(self, stage, detail=None):
        def found():
            return next(
                (
                    each
                    for each in self.events
                    if isinstance(each, Progress)
                    and each.stage == stage
                    and detail in (None, each.detail)
                ),
                None,
            )

        with self._came:
            assert self._came.wait_for(found, SECONDS), f"no {stage} in {self.events}"
            return found()

    def lines(self, source):
        return [e.text for e in self.events if isinstance(e, Log) and e.source == source]


def handler(name):
    return f"{worker_handlers.__name__}:{name}"


def analyze(script):
    return Analyze(job=Job(model=script, settings=Settings()), policy=TruncationPolicy())


def build(script):
    return Build(job=Job(model=script, settings=Settings()), policy=TruncationPolicy())


def is_running(pid):
    """Tells whether a process exists and is not a zombie that nobody waits for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def ends(pid, is_there=is_running):
    limit = time.monotonic() + SECONDS
    while is_there(pid):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def is_known(pid):
    """Tells whether a process exists, or died and nobody has waited for it yet."""
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def events():
    return Recorder()


@pytest.fixture
def client(events):
    with Client(events, _handler=handler("Scripted")) as each:
        yield each


def ask(client, request):
    return client.submit(request).result(SECONDS)


def worker_pid(client):
    return int(ask(client, Describe()).python)


def test_each_request_is_answered_with_its_own_record(client):
    assert isinstance(ask(client, Describe()), Environment)
    answer = ask(client, analyze("answer:one"))
    assert isinstance(answer, Report)
    assert answer.model.path == "answer:one"
    assert ask(client, build("answer:two")).model.path == "answer:two"


def test_the_work_is_done_in_one_other_process(client):
    pid = worker_pid(client)
    assert pid != os.getpid()
    assert worker_pid(client) == pid


def test_requests_are_answered_in_order_while_more_are_queued_from_many_threads(client):
    done = []
    lock = threading.Lock()

    def submit(number):
        future = client.submit(analyze(f"answer:{number}"))
        assert future.result(SECONDS).model.path == f"answer:{number}"
        with lock:
            done.append(number)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert sorted(done) == list(range(20))

    finished = []
    futures = [client.submit(analyze(f"answer:{number}")) for number in range(10)]
    for number, future in enumerate(futures):
        future.add_done_callback(lambda _, number=number: finished.append(number))
    futures[-1].result(SECONDS)
    assert finished[:9] == list(range(9))


def test_start_returns_before_the_worker_runs_and_starts_only_one(events):
    with Client(events, _handler=handler("Scripted")) as client:
        began = time.monotonic()
        client.start()
        assert time.monotonic() - began < 0.1
        client.start()
        events.wait_for("prepare")
        pid = worker_pid(client)
        client.start()
        assert worker_pid(client) == pid
        assert [e.stage for e in events.events].count("prepare") == 1


def test_the_worker_prepares_before_the_first_request(client, events):
    client.start()
    assert events.wait_for("prepare").detail == "nothing"


def test_what_python_and_c_print_arrives_as_log_lines_before_the_answer(client, events, capfd):
    ask(client, analyze("print"))
    assert events.lines("stdout") == ["python says é", "C says hello", "half a line", "��"]
    assert events.lines("stderr") == ["C complains", "and again"]
    assert events.lines("tensorrt") == ["TensorRT says"]
    levels = {e.source: e.level for e in events.events if isinstance(e, Log)}
    assert levels == {
        "stdout": LogLevel.INFO,
        "stderr": LogLevel.WARNING,
        "tensorrt": LogLevel.ERROR,
    }
    assert capfd.readouterr() == ("", "")


def test_a_flood_of_output_arrives_whole(client, events):
    ask(client, analyze("flood:20000"))
    lines = events.lines("stdout")
    assert len(lines) == 20000
    assert lines[-1].startswith("line 19999 ")


def test_the_worker_reads_nothing_from_the_terminal(client):
    ask(client, analyze("read"))


def test_a_users_error_keeps_its_class_message_and_remedy(client):
    with pytest.raises(ModelError) as caught:
        ask(client, analyze("model_error:x.pt2"))
    assert str(caught.value) == "x.pt2 is no model; export one"
    assert caught.value.remedy == "export one"


def test_a_subclass_that_the_client_does_not_know_arrives_as_its_nearest_ancestor(client):
    with pytest.raises(StageError, match="a stage failed") as caught:
        ask(client, analyze("unknown_error"))
    assert type(caught.value) is StageError


def test_an_unexpected_exception_is_a_bug_with_its_traceback_and_ends_nothing(client):
    pid = worker_pid(client)
    with pytest.raises(WorkerBugError, match="KeyError on bug") as caught:
        ask(client, analyze("bug"))
    assert "do_bug" in caught.value.traceback
    assert caught.value.exit_code == 70
    assert worker_pid(client) == pid


def test_sys_exit_in_a_library_is_a_bug_and_not_the_end_of_the_worker(client):
    pid = worker_pid(client)
    with pytest.raises(WorkerBugError, match="SystemExit"):
        ask(client, analyze("sysexit:0"))
    assert worker_pid(client) == pid


def test_running_out_of_memory_is_said_in_one_line(client):
    with pytest.raises(
        WorkerError, match=r"out of memory on memory in worker_handlers\.py"
    ) as e:
        ask(client, analyze("memory"))
    assert "\n" not in str(e.value)
    assert e.value.remedy == "free memory or try a smaller model"


def test_the_recursion_limit_is_said_in_one_line(client):
    with pytest.raises(StageError, match="recursion limit was reached on recursion:deep") as e:
        ask(client, analyze("recursion:deep"))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGTERM"])
def test_death_by_a_signal_names_the_signal_the_work_and_the_last_words(client, name):
    with pytest.raises(WorkerError) as caught:
        ask(client, build(f"signal:{name}"))
    assert str(caught.value) == (
        f"the worker process died of {name}, saying 'warning: about to go', "
        f"while building signal:{name} (build engine_2, 3 of 13); "
        "the next request starts a fresh worker"
    )
    assert caught.value.exit_code == 4


def test_death_by_sigkill_suspects_the_lack_of_memory(client):
    with pytest.raises(WorkerError) as caught:
        ask(client, analyze("signal:SIGKILL"))
    assert str(caught.value) == (
        "the worker process was killed by SIGKILL (possibly out of memory) "
        "while analysing signal:SIGKILL (build engine_2, 3 of 13); "
        "free memory or try a smaller model"
    )


def test_a_real_segmentation_fault_leaves_its_stack_in_the_log(client, events, capfd):
    with pytest.raises(WorkerError, match="died of SIGSEGV while analysing segfault"):
        ask(client, analyze("segfault"))
    assert any("in do_segfault" in line for line in events.lines("stderr"))
    assert capfd.readouterr() == ("", "")


def test_what_c_printed_before_a_crash_is_not_lost_in_its_buffer(client, events):
    with pytest.raises(WorkerError):
        ask(client, analyze("libc"))
    assert events.lines("stdout") == ["last words of C"]


@pytest.mark.parametrize("status", [0, 3])
def test_an_exit_without_an_answer_names_the_status(client, status):
    with pytest.raises(WorkerError, match=f"ended with exit status {status} while analysing"):
        ask(client, analyze(f"exit:{status}"))


def test_after_a_death_the_next_request_goes_to_a_fresh_worker(client):
    pid = worker_pid(client)
    with pytest.raises(WorkerError):
        ask(client, analyze("exit:1"))
    assert worker_pid(client) != pid


def test_a_death_takes_only_the_running_request_with_it(client):
    dying = client.submit(analyze("signal:SIGSEGV"))
    waiting = client.submit(analyze("answer:next"))
    assert waiting.result(SECONDS).model.path == "answer:next"
    assert isinstance(dying.exception(SECONDS), WorkerError)


def test_a_worker_that_died_while_idle_is_replaced_unnoticed(client):
    pid = worker_pid(client)
    os.kill(pid, signal.SIGKILL)
    assert ends(pid, is_known)
    assert worker_pid(client) != pid


def test_a_crash_while_preparing_is_told_with_the_first_request(events):
    with Client(events, _handler=handler("DiesWhilePreparing")) as client:
        with pytest.raises(WorkerError, match=r"SIGABRT.*while describing this machine") as e:
            ask(client, Describe())
        assert "(prepare importing)" in str(e.value)
        assert "version mismatch of a library" in str(e.value)


def test_a_handler_that_does_not_exist_fails_the_request_and_says_why(events):
    with Client(events, _handler="no.such.module:Handler") as client:
        with pytest.raises(WorkerError, match="ModuleNotFoundError: No module named 'no'"):
            ask(client, Describe())
        assert client.submit(Describe()).exception(SECONDS) is not None


def test_an_answer_of_the_wrong_kind_is_a_bug(events):
    with (
        Client(events, _handler=handler("AnswersNonsense")) as client,
        pytest.raises(WorkerBugError, match="the worker's answer is unreadable"),
    ):
        ask(client, Describe())


def test_cancel_fails_running_and_queued_requests_at_once_and_ends_the_worker(client, events):
    pid = worker_pid(client)
    running = client.submit(analyze("sleep:60"))
    queued = client.submit(analyze("answer:late"))
    events.wait_for("build", "asleep")
    began = time.monotonic()
    client.cancel()
    for future in (running, queued):
        assert isinstance(future.exception(1), CancelledError)
    assert time.monotonic() - began < 0.5
    assert ends(pid)


def test_after_cancel_the_next_request_goes_to_a_fresh_worker(client, events):
    pid = worker_pid(client)
    client.submit(analyze("sleep:60"))
    events.wait_for("build", "asleep")
    client.cancel()
    assert worker_pid(client) != pid


def test_nothing_is_heard_of_a_cancelled_worker(client, events):
    client.submit(analyze("sleep:60"))
    events.wait_for("build", "asleep")
    client.cancel()
    heard = len(events.events)
    time.sleep(0.3)
    assert len(events.events) == heard


def test_cancel_before_the_worker_is_up_works_and_so_does_cancel_of_nothing(client):
    client.cancel()
    future = client.submit(Describe())
    client.cancel()
    assert isinstance(future.exception(1), CancelledError)
    assert isinstance(ask(client, Describe()), Environment)


def test_cancel_works_while_the_worker_prepares(events):
    with Client(events, _handler=handler("SlowToPrepare")) as client:
        future = client.submit(Describe())
        events.wait_for("prepare")
        began = time.monotonic()
        client.cancel()
        assert isinstance(future.exception(1), CancelledError)
        assert time.monotonic() - began < 0.5


def test_cancelling_the_future_of_a_queued_request_skips_it_alone(client, events):
    running = client.submit(analyze("sleep:0.3"))
    events.wait_for("build", "asleep")
    skipped = client.submit(analyze("exit:1"))
    last = client.submit(analyze("answer:last"))
    assert skipped.cancel()
    assert isinstance(running.result(SECONDS), Report)
    assert last.result(SECONDS).model.path == "answer:last"


def test_what_the_worker_started_ends_with_it(client, events):
    client.submit(analyze("spawn"))
    grandchild = int(events.wait_for("spawned").detail)
    assert is_running(grandchild)
    client.cancel()
    assert ends(grandchild)


@pytest.mark.parametrize("script", ["answer:now", "sleep:60"])
def test_close_leaves_no_process_and_no_thread(events, script):
    threads = set(threading.enumerate())
    client = Client(events, _handler=handler("Scripted"))
    pid = worker_pid(client)
    future = client.submit(analyze(script))
    if script == "answer:now":
        future.result(SECONDS)
    else:
        events.wait_for("build", "asleep")
    began = time.monotonic()
    client.close()
    assert time.monotonic() - began < 2
    assert not is_known(pid)
    assert set(threading.enumerate()) == threads
    assert future.done()
    client.close()


def test_close_kills_a_worker_that_does_not_listen(events):
    client = Client(events, _handler=handler("Scripted"))
    pid = worker_pid(client)
    os.kill(pid, signal.SIGSTOP)
    future = client.submit(Describe())
    client.close()
    assert not is_known(pid)
    assert isinstance(future.exception(0), CancelledError)


def test_a_closed_client_takes_no_requests(events):
    client = Client(events, _handler=handler("Scripted"))
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.submit(Describe())
    with pytest.raises(RuntimeError, match="closed"):
        client.start()


def test_a_client_closed_from_its_own_callback_does_not_wait_for_itself(events):
    client = Client(events, _handler=handler("Scripted"))
    closed = threading.Event()

    def close(_future):
        client.close()
        closed.set()

    client.submit(Describe()).add_done_callback(close)
    assert closed.wait(SECONDS)


def test_a_listener_that_raises_does_not_end_the_conversation(monkeypatch):
    logged = queue.Queue()

    class Logged:
        def exception(self, text, *args):
            logged.put(text)

    def refuse(event):
        raise ValueError("not now")

    # What else a process did to logging does not matter here.
    monkeypatch.setattr("trtdbg.worker.client._logger", Logged())
    with Client(refuse, _handler=handler("Scripted")) as client:
        ask(client, analyze("print"))
        # What a worker prints comes by a way of its own, and may come after the answer.
        assert "the event listener failed" in logged.get(timeout=SECONDS)


def test_ctrl_c_does_not_reach_the_worker(client, events):
    pid = worker_pid(client)
    assert os.getpgid(pid) != os.getpgrp()
    future = client.submit(analyze("sleep:0.3"))
    events.wait_for("build", "asleep")
    os.kill(pid, signal.SIGINT)
    assert isinstance(future.result(SECONDS), Report)


def run_parent(tmp_path, body):
    """Runs a program that uses a client, as its own process; it prints the worker's pid."""
    program = tmp_path / "parent.py"
    program.write_text(
        "import threading, time\n"
        "from trtdbg.policy import Settings, TruncationPolicy\n"
        "from trtdbg.worker.client import Client\n"
        "from trtdbg.worker.messages import Access, Analyze, Describe, Job\n"
        "def main():\n"
        "    came = threading.Event()\n"
        "    def listen(event):\n"
        "        if getattr(event, 'stage', '') == 'locked':\n"
        "            came.set()\n"
        f"    client = Client(listen, _handler={handler('Scripted')!r})\n"
        "    print(client.submit(Describe()).result(20).python, flush=True)\n"
        f"    {body}\n"
        "if __name__ == '__main__':\n"
        "    main()\n"
    )
    return subprocess.Popen(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_worker_ends_when_its_parent_is_killed(tmp_path):
    with run_parent(tmp_path, "time.sleep(60)") as parent:
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
        assert ends(pid)


def test_a_program_that_forgets_to_close_ends_all_the_same(tmp_path):
    with run_parent(tmp_path, "return") as parent:
        pid = int(parent.stdout.readline())
        assert parent.wait(SECONDS) == 0
        assert parent.stderr.read() == ""
    assert ends(pid)


def test_a_killed_worker_leaves_no_complaint_about_its_locks(tmp_path):
    body = (
        "\n    job = Job(model='lock', settings=Settings())\n"
        "    client.submit(Analyze(job=job, policy=TruncationPolicy()))\n"
        "    assert came.wait(20)\n"
        "    client.cancel()\n"
        "    client.close()\n"
    )
    with run_parent(tmp_path, body) as parent:
        _, complaints = parent.communicate(timeout=SECONDS)
        assert parent.returncode == 0, complaints
        assert complaints == ""


def test_ctrl_c_in_the_parent_is_the_parents_to_answer(tmp_path):
    body = (
        "\n    try:\n        time.sleep(60)\n"
        "    except KeyboardInterrupt:\n"
        "        print(client.submit(Describe()).result(20).python, flush=True)\n"
        "        client.close()\n"
    )
    with run_parent(tmp_path, body) as parent:
        pid = parent.stdout.readline()
        time.sleep(0.2)
        parent.send_signal(signal.SIGINT)
        assert parent.stdout.readline() == pid
        assert parent.wait(SECONDS) == 0
        assert parent.stderr.read() == ""
    assert not is_running(int(pid))


def test_a_worker_starts_where_standard_error_has_no_file_descriptor():
    # As under Textual, in a process that has no resource tracker yet.
    program = (
        "import sys\n"
        "class Capture:\n"
        "    def fileno(self): return -1\n"
        "    def write(self, text): return len(text)\n"
        "    def flush(self): pass\n"
        "sys.stderr = Capture()\n"
        "from trtdbg.worker.client import Client\n"
        "from trtdbg.worker.messages import Describe\n"
        f"with Client(_handler={handler('Scripted')!r}) as client:\n"
        "    print(client.submit(Describe()).result(20).platform)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "test\n", done.stderr


def asking(how, **access):
    job = Job(model=f"asking:{how}", settings=Settings(), access=Access(**access))
    return Analyze(job=job, policy=TruncationPolicy())


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGABRT", "SIGFPE", "SIGBUS", "exit"])
def test_a_death_of_its_own_while_tensorrt_is_asked_tells_the_next_worker(client, events, how):
    assert isinstance(client.submit(asking(how)).result(SECONDS), Report)
    (lessons,) = events.lines("lessons")
    assert "suspects=('a', 'b')" in lessons
    (said,) = events.lines("trtdbg")
    assert "while TensorRT was asked about 2 nodes: asking again, one by one" in said


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGXCPU", "bad_alloc"])
def test_what_is_killed_or_lacks_memory_makes_no_suspect_and_is_never_silent(
    client, events, how
):
    assert isinstance(client.submit(asking(how)).result(SECONDS), Report)
    (lessons,) = events.lines("lessons")
    assert "suspects=()" in lessons
    assert "crashed=()" in lessons
    assert "left_out=('a', 'b')" in lessons
    first, second = events.lines("trtdbg")
    assert first.endswith("asking again")
    assert second.endswith("going on without")


def test_a_limit_while_tensorrt_is_asked_is_not_asked_again(client, events):
    with pytest.raises(LimitError):
        client.submit(asking("SIGSTOP", time_limit=0.5)).result(SECONDS)
    assert events.lines("lessons") == events.lines("trtdbg") == []
