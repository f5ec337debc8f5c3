from __future__ import annotations

import re

import check_cases
import msgspec

from tests import canned
from trtdbg.analysis.causes import derive
from trtdbg.outputs.ci import github

COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::(.*)")


def test_annotations_are_as_the_golden_file() -> None:
    text = github.render(check_cases.RESULTS, check_cases.ROOT)
    assert text == check_cases.golden("check_github.txt", text)


def test_the_worst_comes_first_as_github_cuts_off_after_ten() -> None:
    text = github.render(check_cases.RESULTS, check_cases.ROOT)
    commands = [match[1] for line in text.splitlines() if (match := COMMAND.match(line))]
    order = ["error", "warning", "notice"]
    assert commands == sorted(commands, key=order.index)
    assert set(commands) == set(order)


def test_what_means_something_in_a_command_is_escaped() -> None:
    line, *rest = github.render(
        [check_cases.result(check_cases.NASTY_REPORT)], check_cases.ROOT
    ).splitlines()
    match = COMMAND.fullmatch(line)
    assert match is not None
    properties = dict(each.split("=", 1) for each in match[2].split(","))
    assert list(properties) == ["file", "line", "title"]
    assert properties["file"].startswith("net/a%3Ab%2Cc%25d second?[2J")
    assert properties["line"] == "3"
    assert "c%25d second?[2J line" in match[3]
    assert len(rest) == 1, "the closing line alone, whatever a message holds"
    assert line.isprintable()


def test_a_finding_that_the_baseline_knows_is_no_annotation() -> None:
    text = github.render(
        [check_cases.result(canned.UPSTREAM, known=("TD301",))], check_cases.ROOT
    )
    assert "TD301" not in text
    assert text.endswith(
        "1 in the baseline; engines were not built: --build says whether TensorRT takes them\n"
    )


def test_an_annotation_ends_with_the_sentence_of_its_cause() -> None:
    report = msgspec.structs.replace(canned.UPSTREAM, causes=derive(canned.UPSTREAM))
    text = github.render([check_cases.result(report)], check_cases.ROOT)
    (line,) = (each for each in text.splitlines() if "title=TD101" in each)
    (cause,) = (each for each in report.causes if "_to_copy" in each.nodes)
    assert line.endswith(f"; why: {cause.reason}")


def test_an_annotation_does_not_say_its_cause_twice() -> None:
    (cause, *_) = derive(canned.UPSTREAM)
    finding = msgspec.structs.replace(
        canned.UPSTREAM.findings[0],
        code=cause.code or "",
        node=cause.nodes[0],
        message=f"it is so: {cause.reason}",
    )
    report = msgspec.structs.replace(canned.UPSTREAM, causes=(cause,), findings=(finding,))
    line = github.render([check_cases.result(report)], check_cases.ROOT).splitlines()[0]
    assert line.count(cause.reason) == 1
