from __future__ import annotations

import msgspec
import pytest

from tests import canned
from trtdbg.analysis import checked
from trtdbg.analysis.checked import Checked
from trtdbg.records import Cause, CauseKind, Finding, Level, NodeRecord, Report, Source


def found(report: Report) -> list[Checked]:
    return checked.check(report, select=(), ignore=())


def moved(report: Report) -> Report:
    """Returns the report of a model whose lines moved and whose nodes were numbered anew."""

    def source(old: Source) -> Source:
        return msgspec.structs.replace(old, line=99, file="/elsewhere/island.py", code="y=z")

    def node(old: NodeRecord) -> NodeRecord:
        assert old.source is not None
        return msgspec.structs.replace(old, name=f"{old.name}_7", source=source(old.source))

    def finding(old: Finding) -> Finding:
        assert old.source is not None
        return msgspec.structs.replace(
            old, node=f"{old.node}_7", message="other", source=source(old.source)
        )

    return msgspec.structs.replace(
        report,
        model=msgspec.structs.replace(report.model, path="other/folder/island.pt2"),
        nodes=tuple(node(each) for each in report.nodes),
        findings=tuple(finding(each) for each in report.findings),
    )


def with_findings(*findings: Finding, target: str | None = None) -> Report:
    nodes = canned.UPSTREAM.nodes
    if target is not None:
        nodes = tuple(msgspec.structs.replace(each, target=target) for each in nodes)
    return msgspec.structs.replace(canned.UPSTREAM, findings=findings, nodes=nodes)


def test_a_fingerprint_stays_when_lines_move_and_nodes_are_numbered_anew() -> None:
    before, after = found(canned.UPSTREAM), found(moved(canned.UPSTREAM))
    assert [each.fingerprint for each in before] == [each.fingerprint for each in after]
    assert before[0].fingerprint.digest() == after[0].fingerprint.digest()


@pytest.mark.parametrize(
    "other",
    [
        with_findings(msgspec.structs.replace(canned.UPSTREAM.findings[0], code="TD102")),
        with_findings(canned.UPSTREAM.findings[0], target="aten.cos.default"),
        with_findings(
            msgspec.structs.replace(
                canned.UPSTREAM.findings[0], source=Source(file="island.py", module="head")
            )
        ),
        with_findings(
            msgspec.structs.replace(
                canned.UPSTREAM.findings[0], source=Source(file="b.py", module="island")
            )
        ),
        msgspec.structs.replace(
            canned.UPSTREAM,
            model=msgspec.structs.replace(canned.UPSTREAM.model, path="models/b.pt2"),
        ),
    ],
    ids=["code", "target", "module", "file", "model"],
)
def test_what_makes_another_finding_makes_another_fingerprint(other: Report) -> None:
    assert found(other)[0].fingerprint != found(canned.UPSTREAM)[0].fingerprint


def test_findings_of_which_all_is_equal_are_counted() -> None:
    twice = found(with_findings(*[canned.UPSTREAM.findings[0]] * 2))
    assert [each.fingerprint.ordinal for each in twice] == [1, 2]


def test_what_is_selected_does_not_change_a_fingerprint() -> None:
    first, second = canned.UPSTREAM.findings
    report = with_findings(first, second, first)
    everything = [each.fingerprint for each in found(report)]
    selected = checked.check(report, select=("TD1",), ignore=())
    assert [each.fingerprint for each in selected] == [everything[0], everything[2]]


@pytest.mark.parametrize(
    ("name", "kept"),
    [("_frozen_param12", "_frozen_param"), ("layers_0_weight", "layers_0_weight")],
)
def test_the_number_at_the_end_of_a_constants_name_does_not_count(
    name: str, kept: str
) -> None:
    node = msgspec.structs.replace(canned.UPSTREAM.nodes[-1], name="w", target=name)
    finding = msgspec.structs.replace(canned.UPSTREAM.findings[0], node="w")
    report = msgspec.structs.replace(canned.UPSTREAM, nodes=(node,), findings=(finding,))
    assert found(report)[0].fingerprint.target == kept


def test_known_findings_stand_apart_from_new_ones() -> None:
    findings = found(canned.UPSTREAM)
    known = frozenset({findings[0].fingerprint})
    result = checked.result(canned.UPSTREAM, findings, known)
    assert [each.code for each in result.findings] == ["TD301"]
    assert [each.code for each in result.known] == ["TD101"]
    assert result.fingerprints == tuple(
        findings[index].fingerprint.digest() for index in (1, 0)
    )
    assert checked.summary([result]) == (
        "1 finding (1 error) in 1 model; 1 in the baseline"
        "; engines were not built: --build says whether TensorRT takes them"
    )


def test_a_sentence_is_one_line_that_ends_with_the_source_line() -> None:
    finding = msgspec.structs.replace(
        canned.UPSTREAM.findings[0], message="odd\x1b[2J\nmessage (island.py:41)"
    )
    assert checked.sentence(finding) == ("odd?[2J message (island.py:41) | y = x.double()")


def test_the_sentence_of_a_finding_is_that_of_its_own_engine() -> None:
    def cause(engine: int, reason: str) -> Cause:
        return Cause(
            kind=CauseKind.TENSORRT_REFUSES, code="TD102", reason=reason, engines=(engine,)
        )

    def finding(engine: int | None) -> Finding:
        return Finding(
            code="TD102", level=Level.ERROR, node=None, message="refused", engine=engine
        )

    report = msgspec.structs.replace(
        with_findings(finding(0), finding(1), finding(2), finding(None)),
        causes=(cause(0, "nine dimensions"), cause(1, "a bool product")),
    )
    told = checked.result(report, found(report), frozenset())
    assert [checked.why_of(told, each) for each in told.findings] == [
        "nine dimensions",
        "a bool product",
        None,
        None,
    ]
