"""--trust, --import and the limits: what they mean, and where they are said."""

from __future__ import annotations

import msgspec
import pytest
from fake_shell import FakeShell
from test_options import choose

from tests import canned
from trtdbg.commands import report
from trtdbg.commands.access import make_access, parse_size
from trtdbg.errors import ExitCode, UsageError
from trtdbg.worker.messages import Access, Analyze


def test_without_flags_nothing_is_trusted_imported_or_limited() -> None:
    assert choose().access == Access()


def test_flags_reach_the_request_of_the_worker(model: str) -> None:
    choices = choose(
        *("--trust", "--import", "one.ops", "--import", "./two.py"),
        *("--memory-limit", "1.5g", "--time-limit", "30"),
    )
    shell = FakeShell({model: canned.UPSTREAM})
    assert report.run(shell, (model,), choices) is ExitCode.CLEAN
    (request,) = shell.requests
    assert isinstance(request, Analyze)
    assert request.job.access == Access(
        trust=True,
        imports=("one.ops", "./two.py"),
        memory_limit=3 << 29,
        time_limit=30.0,
    )
    assert shell.notes == [f"{model} is trusted (--trust): code in it may run"]


def test_a_report_of_a_trusted_file_says_so(model: str) -> None:
    trusted = msgspec.structs.replace(canned.UPSTREAM.model, trusted=True)
    answer = msgspec.structs.replace(canned.UPSTREAM, model=trusted)
    shell = FakeShell({model: answer})
    report.run(shell, (model,), choose())
    assert "opened with --trust: code in the file may have run" in shell.stdout
    plain = FakeShell({model: canned.UPSTREAM})
    report.run(plain, (model,), choose())
    assert "trust" not in plain.stdout


def test_a_report_says_where_the_program_was_exported(model: str) -> None:
    moved = msgspec.structs.replace(canned.UPSTREAM.model, moved_from=("cuda:0", "meta"))
    shell = FakeShell({model: msgspec.structs.replace(canned.UPSTREAM, model=moved)})
    report.run(shell, (model,), choose())
    assert "cuda:0, meta, read on the CPU, without values: zeros" in shell.stdout


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("500M", 500 << 20),
        ("8G", 8 << 30),
        ("8GiB", 8 << 30),
        ("1.5 gb", 3 << 29),
        ("2t", 2 << 40),
        ("10b", 10),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "8x", "G", "1e9", "nan", "0.1", "١G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size; write it like 8G"):
        parse_size(text)


def test_a_saved_report_takes_none_of_these_flags(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "r.json"
    path.write_bytes(msgspec.json.encode(canned.UPSTREAM))
    shell = FakeShell()
    assert report.run(shell, (str(path),), choose("--import", "x")) is ExitCode.USAGE
    assert "--import does not go with the saved report" in shell.failures[0][1]


@pytest.mark.parametrize("text", ["1", "8", "512k"])
def test_a_limit_in_which_no_worker_starts_is_refused(text):
    with pytest.raises(UsageError, match="bytes, in which no worker starts"):
        make_access({"memory_limit": text})
