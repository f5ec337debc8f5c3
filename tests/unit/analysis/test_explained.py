from __future__ import annotations

import msgspec

from tests import canned
from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.analysis.causes import derive, why
from trtdbg.analysis.explained import cure_of, here
from trtdbg.records import Cure, CureKind, Finding, Level

(FINDING, *_) = [each for each in canned.UPSTREAM.findings if each.code == "TD101"]
NODE = next(each for each in canned.UPSTREAM.nodes if each.name == FINDING.node)


def test_the_operator_its_line_and_its_dtypes_are_told() -> None:
    nodes = tuple(
        msgspec.structs.replace(each, operands=("mul",)) if each is NODE else each
        for each in canned.UPSTREAM.nodes
    )
    report = msgspec.structs.replace(canned.UPSTREAM, nodes=nodes)
    where, dtypes, reason, *_ = here(report, FINDING)
    assert where == "_to_copy: aten._to_copy.default at island.py:41, `y = x.double()`"
    assert dtypes == "dtypes: reads mul float32; makes float64, truncated float32"
    assert reason == f"why: {why(canned.UPSTREAM, NODE)}"


def test_what_was_tried_against_its_cause_is_told_last() -> None:
    (cause, *others) = derive(canned.UPSTREAM)
    cure = Cure(kind=CureKind.EDIT, say="leave the cast out")
    causes = (msgspec.structs.replace(cause, cures=(cure,)), *others)
    report = msgspec.structs.replace(canned.UPSTREAM, causes=causes)
    assert here(report, FINDING)[-1].startswith("cure (edit): leave the cast out")


def test_a_finding_of_no_node_is_explained_in_general() -> None:
    finding = Finding(code="TD503", level=Level.ERROR, node=None, message="it fails")
    assert here(canned.UPSTREAM, finding) == []


def test_the_general_cure_names_the_operator_where_it_is_known() -> None:
    general, filled = (cure_of(CATALOGUE["TD102"], node) for node in (None, NODE))
    assert "--torch-executed-ops OPERATOR" in general
    assert "--torch-executed-ops aten._to_copy.default" in filled
    assert "--node _to_copy`" in cure_of(CATALOGUE["TD106"], NODE)
