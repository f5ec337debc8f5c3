from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import canned
from trtdbg import cli
from trtdbg.commands.options import EXIT_CODES
from trtdbg.errors import (
    CancelledError,
    ExitCode,
    ModelError,
    StageError,
    TrtdbgError,
    UnavailableError,
    WorkerBugError,
    WorkerError,
)
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Environment, Report
from trtdbg.viewing import Viewing
from trtdbg.worker.messages import Access, Describe, Log, LogLevel, Progress

ROOT = Path(__file__).parents[2]


class FakeClient:
    """Answers every request with one report, or with what it is told to raise."""

    answer: Report | BaseException = canned.UPSTREAM
    made: list[FakeClient]

    def __init__(self, on_event: Callable[[Progress | Log], None]) -> None:
        self.on_event = on_event
        self.ended: list[str] = []
        FakeClient.made.append(self)

    def submit(self, request: object) -> Future[Environment | Report]:
        self.on_event(Progress(stage="capture", detail="fuse", done=2, total=9))
        self.on_event(Log(source="tensorrt", level=LogLevel.WARNING, text="beware"))
        future: Future[Environment | Report] = Future()
        if isinstance(self.answer, BaseException):
            future.set_exception(self.answer)
        elif isinstance(request, Describe):
            future.set_result(canned.ENVIRONMENT)
        else:
            future.set_result(self.answer)
        return future

    def cancel(self) -> None:
        self.ended.append("cancel")

    def close(self) -> None:
        self.ended.append("close")


@pytest.fixture(autouse=True)
def fake_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeClient]:
    FakeClient.made = []
    monkeypatch.setattr("trtdbg.cache.client.CachingClient", FakeClient)
    monkeypatch.setattr(FakeClient, "answer", canned.UPSTREAM)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return FakeClient


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "island.pt2"
    path.write_bytes(b"PK")
    return str(path)


class Terminal:
    """Stands for a stream that is a terminal."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return True


def test_stdout_carries_the_result_and_stderr_nothing_without_a_terminal(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", model]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("island.pt2: 2 engines, 1 operator left to PyTorch")
    assert err == ""
    assert FakeClient.made[0].ended == ["close"]


def test_verbose_puts_progress_and_log_on_stderr(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["report", "-v", model])
    err = capsys.readouterr().err
    assert f"{model}: capture fuse 2/9\n" in err
    assert "tensorrt warning: beware\n" in err


def test_a_terminal_gets_one_progress_line_that_is_taken_away(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "30")
    cli.main(["report", model])
    before, shown, *after = capsys.readouterr().err.split("\r\x1b[K")
    assert len(shown) == 29
    assert (before, after) == ("", [""])


def test_json_alone_means_stdout(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", model, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["policy"]["timing"] == "upstream"


def test_json_never_writes_over_a_model(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", "--json", model]) == 2
    assert f"write `--json - {model}`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelError("not a .pt2", remedy="export it"), 2),
        (UnavailableError("torch is not installed"), 3),
        (StageError("the partitioner\nfailed"), 4),
        (WorkerError("died by SIGSEGV"), 4),
        (CancelledError("cancelled"), 130),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    error: BaseException,
    code: int,
    model: str,
    capsys: pytest.CaptureFixture[str],
    fake_client: type[FakeClient],
) -> None:
    fake_client.answer = error
    assert cli.main(["report", model]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("trtdbg: ")
    if isinstance(error, TrtdbgError) and code != ExitCode.INTERRUPTED:
        assert " ".join(str(error).split()) in err


def test_an_interrupt_kills_the_worker(
    model: str, fake_client: type[FakeClient], capsys: pytest.CaptureFixture[str]
) -> None:
    fake_client.answer = KeyboardInterrupt()
    assert cli.main(["report", model]) == 130
    assert capsys.readouterr().err == "trtdbg: interrupted\n"
    assert fake_client.made[0].ended == ["cancel", "close"]


@pytest.mark.parametrize("error", [ValueError("odd"), WorkerBugError("odd", "Traceback ...")])
def test_a_bug_is_one_line_and_its_traceback_goes_to_a_file(
    error: Exception,
    model: str,
    fake_client: type[FakeClient],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_client.answer = error
    assert cli.main(["report", model]) == 70
    first, second = capsys.readouterr().err.splitlines()
    assert "odd" in first
    assert "report it" in first
    assert "Traceback" in Path(second.rsplit(" ", 1)[1]).read_text()


def test_verbose_shows_the_traceback_of_a_bug(
    model: str, fake_client: type[FakeClient], capsys: pytest.CaptureFixture[str]
) -> None:
    fake_client.answer = ValueError("odd")
    assert cli.main(["-v", "report", model]) == 70
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert "written" not in err


def test_a_traceback_that_cannot_be_written_hides_nothing(
    model: str,
    fake_client: type[FakeClient],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_client.answer = ValueError("odd")
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    assert cli.main(["report", model]) == 70
    assert "could not be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report"], "Missing argument 'MODEL...'; see `trtdbg report --help`"),
        (["report", "x.pt2", "--foo"], "No such option '--foo'"),
        (["report", "x.pt2", "--timing", "soon"], "'soon' is not one of 'off'"),
        (["report", "x.pt2", "--inputs", "half"], "--inputs: 'half' is not a wide dtype"),
        (["report", "x.pt2", "--verdicts", "model"], "'model' is not one of 'validators'"),
        (["report", "x.pt2", "--probe-seconds", "-1"], "-1.0 is not in the range x>=0"),
        (["check", "x.pt2", "--select", "TD9"], "'TD9' begins no code"),
        (["explain", "TD999"], "there is no finding 'TD999'"),
        (["missing.pt2"], "missing.pt2 does not exist"),
        (["reprot"], "did you mean the command `repro` or `report`?"),
        (["a.pt2", "b.pt2"], "see `trtdbg --help`"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
    assert FakeClient.made == []


def test_no_arguments_is_wrong_usage_and_shows_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage: trtdbg MODEL.pt2" in err


@pytest.mark.parametrize("command", [None, *cli.COMMANDS])
def test_help_prints_every_exit_code(
    command: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*([command] if command else []), "--help"]) == 0
    text = capsys.readouterr().out
    codes = text.split("Exit codes:\n")[1]
    for code, meaning in EXIT_CODES:
        assert f"{code.value} " in codes
        assert meaning.split(",")[0] in codes
    assert {code for code, _ in EXIT_CODES} == set(ExitCode)


def test_help_lists_every_command_and_the_options_of_opening_a_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cli.main(["-h"])
    text = capsys.readouterr().out
    for name in (*cli.COMMANDS, "--timing", "--policy", "--min-block-size", "--version"):
        assert name in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_model_in_the_place_of_a_command_opens_the_ui(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[dict[str, Any]] = []

    def run(model: str, **options: Any) -> int:
        del options["note"]
        opened.append({"model": model, **options})
        return 0

    monkeypatch.setattr("trtdbg_ui.host.launch.run", run)
    monkeypatch.setattr(sys, "stdin", Terminal(sys.stdin))
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr))
    arguments = ["--timing", "off", model, "--target", "86", "--probe-seconds", "5"]
    arguments += ["--trust", "--fresh"]
    assert cli.main(arguments) == 0
    assert opened == [
        {
            "model": model,
            "policy": TruncationPolicy(timing=Timing.OFF),
            "settings": Settings(),
            "target": "sm86",
            "probe_seconds": 5.0,
            "access": Access(trust=True),
            "viewing": Viewing(policy_given=True, fresh=True),
            "watched": None,
        }
    ]


def test_without_a_terminal_the_ui_points_to_report(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([model]) == 2
    assert f"use `trtdbg report {model}`" in capsys.readouterr().err


def test_a_path_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["report", str(tmp_path / "\x1b[2Jgone\n.pt2")])
    assert "\x1b" not in capsys.readouterr().err


STEERING = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\x00"


def steering() -> Report:
    """Returns a report with control characters wherever a model brings in its own words."""
    text = msgspec.json.encode(canned.UPSTREAM).decode()
    evil = json.dumps(STEERING)[1:-1]
    for word in ("island", "_to_copy", "sin", "weight", "double", "run_decompositions"):
        text = text.replace(word, f"{word}{evil}")
    return msgspec.json.decode(text, type=Report)


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "--all-nodes"],
        ["build"],
        ["check"],
        ["check", "--format", "github"],
        ["check", "--format", "junit"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
@pytest.mark.parametrize("colored", [False, True])
def test_what_a_model_calls_its_parts_cannot_steer_the_terminal(
    arguments: list[str],
    colored: bool,
    model: str,
    capsys: pytest.CaptureFixture[str],
    fake_client: type[FakeClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_client.answer = steering()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1") if colored else monkeypatch.delenv(
        "FORCE_COLOR", raising=False
    )
    cli.main([*arguments, model])
    out = capsys.readouterr().out
    assert "island" in out
    # Colours alone are left, and they are ours.
    plain = re.sub(r"\x1b\[[\d;]*m", "", out) if colored else out
    assert {c for c in plain if not c.isprintable()} <= {"\n"}


@pytest.mark.parametrize(
    ("variables", "colored"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_follows_no_color_and_force_color(
    variables: dict[str, str],
    colored: bool,
    model: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    cli.main(["report", model])
    assert ("\x1b[1;31m" in capsys.readouterr().out) is colored


def test_help_loads_no_rich_no_textual_and_no_torch() -> None:
    script = (
        "import sys; from trtdbg.cli import main; main(['--help']); "
        "sys.exit(str([m for m in ('rich', 'textual', 'torch', 'numpy') if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "[]"


def run_cli(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trtdbg", *arguments]
    return subprocess.run(command, cwd=ROOT, text=True, check=False, **options)


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    shell = f"{sys.executable} -m trtdbg explain TD101 TD102 | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_stdout_is_an_error() -> None:
    with open("/dev/full", "w") as full:
        done = run_cli("explain", "TD101", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == "trtdbg: error: cannot write to stdout: No space left on device\n"


def test_an_encoding_without_box_characters_is_no_error() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = run_cli("explain", capture_output=True, env=environment)
    assert done.returncode == 0
    assert "TD503" in done.stdout


def parents() -> dict[int, int]:
    """Returns the parent of every living process, zombies left out."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text().rsplit(") ", 1)[1].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(entry.name)] = int(parent)
    return found


def children(process: int) -> set[int]:
    return {child for child, parent in parents().items() if parent == process}


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_128_and_its_number_with_the_real_worker_gone(
    number: signal.Signals, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "trtdbg", "report", "samples/attention_float64.pt2"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while len(children(process.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    born = children(process.pid)
    assert len(born) == 2, "the worker, importing torch, and multiprocessing's own tracker"
    if number is signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    started = time.monotonic()
    out, err = process.communicate(timeout=20)
    code, word = (130, "interrupted") if number is signal.SIGINT else (143, "ended by SIGTERM")
    assert (process.returncode, out, err) == (code, "", f"trtdbg: {word}\n")
    assert time.monotonic() - started < 3
    while born & set(parents()) and time.monotonic() < started + 3:
        time.sleep(0.05)
    assert not born & set(parents())


def test_off_the_main_thread_no_signal_handler_is_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(cli.main(["explain", "TD101"])))
    thread.start()
    thread.join()
    assert codes == [0]
