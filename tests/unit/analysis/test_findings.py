from __future__ import annotations

from typing import Any

import msgspec

from tests import canned
from trtdbg.analysis.findings import Evidence, find
from trtdbg.policy import Timing, TruncationPolicy
from trtdbg.records import (
    Change,
    ChangePlace,
    Counterfactual,
    Finding,
    Level,
    NodeRecord,
    RefusalKind,
    Report,
    Scope,
    Source,
    TypingKind,
    ValidatorVerdict,
    Verdict,
)

ACCEPT, REJECT, CRASHED = Verdict.ACCEPT, Verdict.REJECT, Verdict.CRASHED
CHANGE = Change(
    place=ChangePlace.KEYWORD, node="cast", name="dtype", before="float64", after="float32"
)


def why(kind: RefusalKind, text: str, *changes: Change) -> Counterfactual:
    return Counterfactual(
        kind=kind,
        typing=TypingKind.INFERRED,
        changes=changes,
        text=text,
        sentence=f"{text} (aten._to_copy, model.py:41)",
    )


def row(validator: str, *verdicts: Verdict, **more: Any) -> ValidatorVerdict:
    original, inferred, truncated = verdicts
    fields: dict[str, Any] = {"candidate": None, "scope": Scope.GRAPH} | more
    return ValidatorVerdict(
        validator=validator,
        original=original,
        inferred=inferred,
        truncated=truncated,
        **fields,
    )


def findings(
    *rows: ValidatorVerdict,
    counterfactual: Counterfactual | None = None,
    timing: Timing = Timing.UPSTREAM,
) -> list[Finding]:
    """Returns the findings of a report with one cast that has these verdicts."""
    node = NodeRecord(
        name="cast",
        op="call_function",
        target="aten._to_copy.default",
        recorded="float64",
        inferred="float64",
        truncated="float32",
        source=Source(file="model.py", line=41),
        verdict=REJECT,
        verdicts=rows,
        counterfactual=counterfactual,
    )
    report: Report = msgspec.structs.replace(
        canned.UPSTREAM,
        policy=TruncationPolicy(timing=timing),
        nodes=(node,),
        engines=(),
        constants=(),
        model=msgspec.structs.replace(canned.UPSTREAM.model, outputs=()),
    )
    return list(find(report, Evidence()))


def test_a_needless_rejection_is_told_by_what_turns_it() -> None:
    stated = why(
        RefusalKind.DTYPE, "rejects because dtype=float64; accepts with float32", CHANGE
    )
    (found,) = findings(row("partitioner", REJECT, REJECT, ACCEPT), counterfactual=stated)
    assert (found.code, found.level) == ("TD101", Level.WARNING)
    assert found.message == (
        "cast (aten._to_copy.default) rejects because dtype=float64; accepts with float32 "
        "(model.py:41)"
    )


def test_a_needless_rejection_without_counterfactual_is_told_by_its_dtypes() -> None:
    (found,) = findings(row("partitioner", REJECT, REJECT, ACCEPT))
    assert "is rejected because of float64 and accepted with float32" in found.message


def test_unreadable_metadata_is_named() -> None:
    change = Change(place=ChangePlace.METADATA, node="x", before=None, after="bool")
    text = "rejects because the metadata of x is missing; accepts once it is refreshed (bool)"
    stated = why(RefusalKind.METADATA, text, change)
    (found,) = findings(row("partitioner", REJECT, ACCEPT, ACCEPT), counterfactual=stated)
    assert found.code == "TD105"
    assert text in found.message


def test_a_crash_is_told_with_what_avoids_it() -> None:
    change = Change(place=ChangePlace.ARGUMENT, node="cast", name="1", before=None, after="-1")
    text = "crashes its validator (IndexError); accepts once dim=-1 is written out"
    (found,) = findings(
        row("partitioner", CRASHED, CRASHED, CRASHED),
        row("sorts.sort_validator:9", CRASHED, CRASHED, CRASHED, candidate=0, reason="no"),
        counterfactual=why(RefusalKind.CRASHED, text, change),
    )
    assert found.code == "TD103"
    assert "does not answer: no; accepts once dim=-1 is written out" in found.message


def test_another_conclusion_inside_an_engine_is_a_finding_in_the_column_in_force() -> None:
    for timing, verdicts in (
        (Timing.UPSTREAM, (REJECT, Verdict.NOT_CHECKED, Verdict.NOT_CHECKED)),
        (Timing.LATE, (Verdict.NOT_CHECKED, Verdict.NOT_CHECKED, REJECT)),
    ):
        (found,) = findings(
            row("partitioner", ACCEPT, ACCEPT, ACCEPT),
            row("partitioner", *verdicts, scope=Scope.SUBGRAPH),
            timing=timing,
        )
        assert found.code == "TD104"
        assert "accepted in the whole graph but refused inside its engine" in found.message


def test_another_winner_inside_an_engine_is_no_finding() -> None:
    assert not findings(
        row("partitioner", ACCEPT, ACCEPT, ACCEPT),
        row("first:1", ACCEPT, ACCEPT, ACCEPT, candidate=0),
        row(
            "first:1",
            Verdict.NOT_CHECKED,
            Verdict.NOT_CHECKED,
            REJECT,
            candidate=0,
            scope=Scope.SUBGRAPH,
        ),
        timing=Timing.LATE,
    )
