"""The published JSON Schema, and the reports of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from tests import canned
from trtdbg.analysis.headline import headline
from trtdbg.outputs import pages
from trtdbg.outputs.report import read_report
from trtdbg.outputs.report_pages import markdown
from trtdbg.outputs.schema import PUBLISHED, report_schema
from trtdbg.records import Report

ROOT = Path(__file__).parents[3]
FIXTURES = sorted((ROOT / "tests" / "fixtures").glob("report_*.json"))
CANNED = (canned.UPSTREAM, canned.LATE, canned.LOWERING_FAILED)


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads((ROOT / PUBLISHED).read_bytes())
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def test_published_schema_is_that_of_the_records() -> None:
    assert (ROOT / PUBLISHED).read_bytes() == report_schema(), "run docs/make_schema.py"


@pytest.mark.parametrize("report", CANNED, ids=lambda report: report.policy.timing.value)
def test_every_report_fits_the_schema(report: Report, validator: Any) -> None:
    validator.validate(json.loads(msgspec.json.encode(report)))


@pytest.mark.parametrize(
    ("key", "value"), [("nodes", 3), ("policy", {"timing": "never"}), ("model", None)]
)
def test_schema_refuses_what_is_no_report(validator: Any, key: str, value: object) -> None:
    broken = json.loads(msgspec.json.encode(canned.UPSTREAM)) | {key: value}
    assert not validator.is_valid(broken)


def test_a_key_of_a_later_version_is_allowed(validator: Any, tmp_path: Path) -> None:
    later = json.loads(msgspec.json.encode(canned.UPSTREAM)) | {"new_in_0_2": [1]}
    assert validator.is_valid(later)
    path = tmp_path / "later.json"
    path.write_text(json.dumps(later))
    assert read_report(path) == canned.UPSTREAM


def test_there_is_a_report_of_this_version() -> None:
    assert [path.stem for path in FIXTURES] == ["report_0_1_0"]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_a_report_of_an_earlier_version_opens_fits_and_is_shown(
    path: Path, validator: Any
) -> None:
    validator.validate(json.loads(path.read_bytes()))
    report = read_report(path)
    assert report.nodes
    assert report.engines
    assert report.suggestion is not None
    assert report.consequences is not None
    assert headline(report) in markdown([report]).replace("\\", "")
    assert pages.report(report) is not None
