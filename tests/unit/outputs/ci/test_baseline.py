from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import canned
from trtdbg.analysis import checked
from trtdbg.errors import UsageError
from trtdbg.outputs.ci import baseline
from trtdbg.policy import Timing

FOUND = [each.fingerprint for each in checked.check(canned.UPSTREAM, select=(), ignore=())]


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(baseline.encode(FOUND, Timing.UPSTREAM))
    kept = baseline.read(str(path))
    assert set(kept.findings) == set(FOUND)
    assert kept.timing is Timing.UPSTREAM


def test_an_empty_baseline_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(baseline.encode([], Timing.LATE))
    assert baseline.read(str(path)).findings == ()


def test_a_baseline_is_json_with_one_finding_a_line_whatever_the_order() -> None:
    text = baseline.encode(FOUND, Timing.UPSTREAM)
    assert text == baseline.encode(reversed(FOUND), Timing.UPSTREAM)
    assert json.loads(text)["schema"] == "trtdbg.baseline/1"
    lines = [line for line in text.decode().splitlines() if "TD" in line]
    assert len(lines) == len(FOUND) == 2
    assert '"target":"aten._to_copy.default"' in lines[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a baseline"),
        (b"PK\x03\x04", "is not a baseline"),
        (b"\xff\xfe", "is not a baseline"),
        (b"[]", "is not a baseline"),
        (b"{}", "it names no schema"),
        (b'{"schema": "trtdbg.baseline/9"}', "this trtdbg reads 'trtdbg.baseline/1'"),
        (b'{"schema": "trtdbg.baseline/1"}', "missing required field `findings`"),
        (b'{"schema": "trtdbg.baseline/1", "findings": [{"code": 1}]}', "is not a baseline"),
        (b'{"schema": "trtdbg.baseline/1", "findings": [], "x": 1}', "unknown field `x`"),
    ],
)
def test_what_is_no_baseline_is_refused_in_one_line(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        baseline.read(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_baseline_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--write-baseline FILE writes one"):
        baseline.read(str(tmp_path / "none.json"))
