from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import check_cases
import msgspec

from tests import canned
from trtdbg.analysis.causes import derive
from trtdbg.analysis.checked import Result
from trtdbg.outputs.ci import junit
from trtdbg.records import Level


def rendered(results: list[Result], fail_on: Level = Level.WARNING) -> Element:
    return ElementTree.fromstring(junit.render(results, check_cases.ROOT, fail_on))


def test_document_is_as_the_golden_file() -> None:
    suites = rendered(check_cases.RESULTS)
    for failure in suites.iter("failure"):
        # The catalogue has tests of its own, and is edited often.
        failure.text = None
    text = ElementTree.tostring(suites, encoding="unicode") + "\n"
    assert text == check_cases.golden("check_junit.xml", text)


def test_every_model_is_a_suite_that_is_never_empty_and_counts_right() -> None:
    root = rendered(check_cases.RESULTS)
    assert [suite.get("name") for suite in root] == [
        each.model.path for each in check_cases.RESULTS
    ]
    for suite in root:
        assert suite[0].get("name") == "analysis"
        assert suite.get("tests") == str(len(suite))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert suite.get("errors") == str(len(suite.findall("testcase/error")))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("9", "3", "1")


def test_a_finding_fails_from_the_level_on_that_fails_the_check() -> None:
    codes = {
        level: [
            each.get("type") for each in rendered(check_cases.RESULTS, level).iter("failure")
        ]
        for level in Level
    }
    assert codes[Level.ERROR] == ["TD301", "TD501"]
    assert codes[Level.WARNING] == ["TD101", "TD301", "TD501"]
    assert codes[Level.NOTE] == ["TD101", "TD301", "TD101", "TD501"]


def test_a_failure_names_the_source_line_and_tells_cause_and_cure() -> None:
    case = rendered(check_cases.RESULTS)[0][1]
    failure = case[0]
    assert (case.get("file"), case.get("line")) == ("models/island.py", "41")
    assert str(failure.get("message")).endswith("| y = x.double()")
    assert "Cure: " in str(failure.text)


def test_cases_of_a_suite_have_different_names() -> None:
    report = msgspec.structs.replace(
        canned.UPSTREAM, findings=canned.UPSTREAM.findings[:1] * 3
    )
    names = [case.get("name") for case in rendered([check_cases.result(report)])[0]]
    assert len(set(names)) == len(names) == 4


def test_characters_that_xml_forbids_do_not_break_the_document() -> None:
    suite = rendered([check_cases.result(check_cases.NASTY_REPORT)])[0]
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "<&\"'>?? end ]]>" in str(failure.get("message"))


def test_a_failure_ends_with_the_sentence_of_its_cause() -> None:
    report = msgspec.structs.replace(canned.UPSTREAM, causes=derive(canned.UPSTREAM))
    failures = rendered([check_cases.result(report)])[0].iter("failure")
    told = {failure.get("type"): str(failure.text) for failure in failures}
    (cause,) = (each for each in report.causes if "_to_copy" in each.nodes)
    assert told["TD101"].endswith(f"\n\nWhy here: {cause.reason}")
    assert "Why here" not in told["TD301"]


def test_a_failure_of_the_whole_graph_ends_with_its_cause_too() -> None:
    failed = canned.LOWERING_FAILED
    report = msgspec.structs.replace(failed, causes=derive(failed))
    (failure,) = rendered([check_cases.result(report)])[0].iter("failure")
    assert str(failure.text).endswith(f"Why here: {report.causes[0].reason}")
