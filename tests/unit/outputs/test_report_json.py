from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import canned
from trtdbg.errors import ModelError
from trtdbg.outputs.report import decode, encode, read_report
from trtdbg.records import SCHEMA, FailedReport, ModelPath


def test_a_report_reads_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    for report in (canned.UPSTREAM, canned.LATE, canned.LOWERING_FAILED):
        path.write_bytes(encode([report]))
        assert read_report(path) == report


def test_enums_are_lower_case_words_and_the_schema_is_named() -> None:
    data = json.loads(encode([canned.UPSTREAM]))
    assert data["schema"] == SCHEMA
    assert data["policy"]["timing"] == "upstream"
    assert data["nodes"][2]["verdict"] == "reject"
    assert data["boundary_casts"][0]["direction"] == "into_engine"


def test_keys_of_a_later_trtdbg_are_passed_over() -> None:
    data = json.loads(encode([canned.LATE])) | {"from_the_future": [1, 2]}
    assert decode(json.dumps(data).encode(), "x") == canned.LATE


FAILURE = FailedReport(model=ModelPath(path="a.pt2"), error="it broke", exit_code=4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not a saved report"),
        (b"PK\x03\x04 a zip", "is not a saved report"),
        (b"\xff\xfe", "is not a saved report"),
        (b"{}", "names no schema"),
        (b'{"schema": "trtdbg.baseline/1"}', "not a saved report: its schema is"),
        (b'{"schema": 7}', "is not a saved report"),
        (b'{"schema": "trtdbg.report/9"}', "this trtdbg reads 'trtdbg.report/1'"),
        (b'{"schema": "trtdbg.report/1"}', "missing required field"),
        (b"[" * 100_000, "list of reports"),
        (b'{"schema": ' + b"[" * 100_000, "is not a saved report"),
        (encode([FAILURE]), "failed analysis: it broke"),
        (encode([canned.LATE, canned.LATE]), "list of reports"),
        (encode([canned.UPSTREAM])[:-40], "is not a saved report"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        decode(data, "x.json")
    assert str(caught.value).startswith("x.json")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def _edited(*path: str | int, value: Any) -> bytes:
    data = msgspec.to_builtins(canned.UPSTREAM)
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_edited("nodes", 0, "op", value=3), "Expected `str`, got `int` - at `$.nodes[0].op`"),
        (_edited("policy", "timing", value="soon"), "Invalid enum value 'soon'"),
        (
            _edited("passes", 0, "graph", value=[0, 4]),
            "pass 0 shows graph node 4, there are 4",
        ),
        (_edited("passes", 0, "graph", value=[-1]), "pass 0 shows graph node -1"),
        (_edited("nodes", 1, "engine", value=9), "node 'mul' is in engine 9"),
        (_edited("engines", 1, "index", value=0), "two engines have the same index"),
        (_edited("nodes", 1, "name", value="x"), "two nodes have the same name"),
    ],
)
def test_damage_is_found_where_it_is(data: bytes, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        decode(data, "x.json")
    assert "x.json is a damaged report" in str(caught.value)
    assert message in str(caught.value)


def test_a_report_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        read_report(tmp_path / "missing.json")
    with pytest.raises(ModelError, match="Is a directory"):
        read_report(tmp_path)
