"""Reports, baselines, policies and journals that hold something else, or far too much."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests import canned
from trtdbg import cli, files
from trtdbg.batch.journal import SCHEMA as ROWS
from trtdbg.batch.journal import Journal
from trtdbg.errors import OutputError
from trtdbg.outputs.ci.baseline import BASELINE_SCHEMA
from trtdbg.records import SCHEMA

GOOD = json.loads(msgspec.json.encode(canned.LATE))
DEEP = "[" * 200_000

REPORTS: dict[str, str | bytes] = {
    "blank": " " * 100_000,
    "nul": b"\0" * 100,
    "utf-16": "{}".encode("utf-16"),
    "not utf-8": b"\xff\xfe\xfd",
    "scalar": "3",
    "null": "null",
    "deep": DEEP,
    "deep objects": '{"a":' * 200_000,
    "a schema that is a number": '{"schema": 3}',
    "nan": '{"schema": NaN}',
    "a long schema": json.dumps({"schema": "x" * 1_000_000}),
    "a schema that steers": json.dumps({"schema": "\x1b]0;P\x07"}),
    "half a character": '{"schema": "\\ud800"}',
    "only a schema": json.dumps({"schema": SCHEMA}),
    "an error that steers": json.dumps({"schema": SCHEMA, "error": "\x1b[2J" + "x" * 9000}),
    "deep nodes": f'{{"schema": "{SCHEMA}", "nodes": {DEEP}',
    "deep unknown": f'{{"schema": "{SCHEMA}", "unknown": {DEEP}',
    "nan inside": json.dumps({**GOOD, "nodes": float("nan")}),
    "half a character inside": json.dumps(
        {**GOOD, "model": {**GOOD["model"], "path": "\ud800"}}
    ),
    "a list": json.dumps([GOOD, GOOD]),
}
BASELINES: dict[str, str | bytes] = REPORTS | {
    "findings that are a number": json.dumps({"schema": BASELINE_SCHEMA, "findings": 3}),
    "findings of all types": json.dumps({"schema": BASELINE_SCHEMA, "findings": [3, None]}),
    "deep findings": f'{{"schema": "{BASELINE_SCHEMA}", "findings": {DEEP}',
}
SETTINGS: dict[str, str | bytes] = {
    "nul": b"\0" * 100,
    "not utf-8": b"\xff\xfe\xfd",
    "deep": "a = " + DEEP,
    "deep tables": "a = " + "{a = " * 100_000,
    "dotted": ".".join(["a"] * 50_000) + " = 1",
    "a dotted table": "[" + ".".join(["a"] * 50_000) + "]",
    "an unknown key that steers": '"\\u001b]0;P\\u0007" = 1',
    "too large": "#" * (2 << 20),
    "many keys": "".join(f"k{number} = 1\n" for number in range(50_000)),
}
POLICIES: dict[str, str | bytes] = SETTINGS | {
    "timing nan": "timing = nan",
    "timing that steers": 'timing = "\\u001b]0;P\\u0007"',
    "inputs nan": "inputs = [nan, inf]",
    "inputs long": f'inputs = ["{"x" * 100_000}"]',
}
COMPILING: dict[str, str | bytes] = SETTINGS | {
    "nan": "min_block_size = nan",
    "far too large": "min_block_size = 99999999999999999999999",
    "more digits than Python reads": f"min_block_size = {'9' * 5000}",
    "a date": "min_block_size = 2020-01-01",
    "below zero": "min_block_size = -5",
    "operators of all types": "torch_executed_ops = [1, nan, {a = 1}]",
}


PROJECTS: dict[str, str | bytes] = {
    "probe nan": "probe_seconds = nan",
    "probe below zero": "probe_seconds = -inf",
    "probe too long": f"probe_seconds = {'9' * 400}",
    "no table": "[tool]\ntrtdbg = 3",
}


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


ODD: dict[str, Callable[[Path], None]] = {
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": _link("/nonexistent"),
    "endless": _link("/dev/zero"),
    "a pipe": os.mkfifo,
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PATIENCE", 0.2)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("good.json").write_text(json.dumps(GOOD))
    return str(Path(__file__).parents[2] / "samples" / "boundary_mixed.pt2")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Runs a command that must refuse a file in one plain line, soon; returns the line."""
    began = time.monotonic()
    code = cli.main(list(arguments))
    said = capsys.readouterr()
    assert (code, said.out) == (2, ""), said.err
    assert said.err.count("\n") == 1
    assert len(said.err) <= 401
    assert said.err.rstrip("\n").isprintable()
    assert time.monotonic() - began < 20
    line: str = said.err
    return line


def made(name: str, content: str | bytes | Callable[[Path], None]) -> str:
    path = Path(name)
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def each(*tables: dict[str, object]) -> pytest.MarkDecorator:
    whole = {name: value for table in tables for name, value in table.items()}
    return pytest.mark.parametrize("content", whole.values(), ids=whole.keys())


@each(REPORTS, ODD)
def test_a_saved_report_is_refused(
    content: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = made("other.json", content)
    for arguments in (
        ["report", name],
        ["diff", name, "good.json", "-o", "out.dot"],
        [name, "--screenshot", "out.svg"],
    ):
        assert name in refused(capsys, *arguments)


@each(BASELINES, ODD)
def test_a_baseline_is_refused(
    content: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = made("baseline.json", content)
    assert name in refused(capsys, "check", "good.json", "--baseline", name)


@each(POLICIES, ODD)
def test_a_policy_is_refused(
    content: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = made("policy.toml", content)
    assert name in refused(capsys, "check", model, "--policy", name)
    assert name in refused(capsys, "compare", model, name)


@each(COMPILING, ODD)
def test_settings_are_refused(
    content: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = made("settings.toml", content)
    refused(capsys, "check", model, "--settings", name)


@each(SETTINGS, ODD)
def test_keys_are_refused(
    content: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = made("keys.toml", content)
    line = refused(capsys, "good.json", "--screenshot", "out.svg", "--keys", name)
    assert name in line


@each(COMPILING, PROJECTS)
def test_a_project_file_is_refused(
    content: str | bytes, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = content.encode() if isinstance(content, str) else content
    made("pyproject.toml", text if b"[tool]" in text else b"[tool.trtdbg]\n" + text)
    refused(capsys, "check", model)


@each(REPORTS, ODD)
def test_a_journal_is_refused_and_kept(content: str | bytes, model: str) -> None:
    if content is ODD["a link to nothing"]:
        pytest.skip("it is made there")
    name = made("rows", content)
    with pytest.raises(OutputError) as caught:
        Journal(name)
    assert name in str(caught.value)
    if isinstance(content, str | bytes):
        assert Path(name).read_bytes() == made_of(content)


def made_of(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


@pytest.mark.parametrize(
    "line",
    [b"", b"3", b"null", b"{}", DEEP.encode(), b"\xff\xfe", b'{"key": NaN}', b"\0" * 9,
     b'{"key": "k", "row": 3}', b'{"key": "\\ud800", "row": {}}'],
)  # fmt: skip
def test_a_line_that_is_no_row_is_passed_over(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(msgspec.json.encode({"schema": ROWS}) + b"\n" + line + b"\n")
    with Journal(str(path)) as journal:
        assert journal._rows == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "--probe-seconds", "nan"],
        ["report", "--probe-seconds", "inf"],
        ["report", "--time-limit", "nan"],
        ["report", "--load-limit", "1e300"],
        ["report", "--memory-limit", "9" * 400 + "G"],
        ["report", "--min-block-size", "9" * 30],
        ["report", "--numerics", "--atol", "nan"],
        ["report", "--numerics", "--seed", "9" * 30],
        ["build", "--runs", "9" * 30],
        ["diff", "--depth", "9" * 30],
        ["diff", "--layout-seconds", "nan"],
    ],
    ids=" ".join,
)
def test_a_number_that_cannot_be_meant_is_refused(
    arguments: list[str], model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, *arguments, model)


def test_what_comes_from_a_pipe_is_read(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"known")
    os.close(writer)
    assert files.read_bounded(f"/dev/fd/{reader}", 1) == b"known"
    os.close(reader)
    with pytest.raises(OSError, match="more than 1 MiB"):
        files.read_bounded("/dev/zero", 1)
