"""Findings that say the same are one, with the names of the others."""

from __future__ import annotations

import msgspec

from tests import canned
from trtdbg.analysis.alike import as_one
from trtdbg.outputs import report_pages
from trtdbg.outputs.sections import finding_table
from trtdbg.records import Finding, Level, Source

LINE = Source(file="net.py", line=7)


def finding(node: str, source: Source = LINE) -> Finding:
    message = f"{node} (aten.mul.Tensor) rejects ({source})"
    return Finding(
        code="TD101", level=Level.WARNING, node=node, message=message, source=source
    )


def test_one_line_stands_for_nodes_of_the_same_line_with_the_same_sentence() -> None:
    other = finding("mul_9", Source(file="net.py", line=8))
    found = as_one([finding("mul"), other, finding("mul_1"), finding("mul_2")])
    assert [each.node for each in found] == ["mul", "mul_9"]
    assert found[0].message == (
        "mul (aten.mul.Tensor) rejects (net.py:7); 2 alike: mul_1, mul_2"
    )
    assert found[1] == other


def test_many_are_counted_and_engines_stand_for_findings_without_a_node() -> None:
    many = as_one([finding(f"mul_{at}") for at in range(20)])
    names = ", ".join(f"mul_{at}" for at in range(1, 13))
    assert many[0].message.endswith(f"19 alike: {names} and 7 more")
    engines = [
        Finding(
            code="TD503", level=Level.ERROR, node=None, message=f"engine {i} fails", engine=i
        )
        for i in (0, 1)
    ]
    assert as_one(engines)[0].message == "engine 0 fails; 1 alike: engine 1"


def test_pages_show_them_once() -> None:
    found = (finding("mul"), finding("mul_1"))
    report = msgspec.structs.replace(canned.UPSTREAM, findings=found)
    assert len(finding_table(report).rows) == 1
    for text in (
        report_pages.markdown([report]),
        report_pages.page([report]),
        report_pages.fragment(report),
    ):
        assert text.replace("\\", "").count("1 alike: mul_1") == 1
