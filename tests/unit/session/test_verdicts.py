from __future__ import annotations

import pytest

pytest.importorskip("torch")

from trtdbg.records import Scope, TypingKind, Verdict
from trtdbg.session.verdicts import (
    MIN_BLOCK_SIZE_GATE,
    PARTITIONER,
    block_size_row,
    graph_rows,
    subgraph_rows,
)
from trtdbg.stages.validate import Candidate, Judgement, ValidatorAnswer

FIRST = Candidate("module.first:10", "convert_first", "module.py", 10, True, False, False)
SECOND = Candidate("module.second:20", "convert_second", "module.py", 20, False, True, False)
ACCEPT, REJECT = Verdict.ACCEPT, Verdict.REJECT


def judged(first: Verdict, second: Verdict, *, gate: str | None = None) -> Judgement:
    """Returns what follows from two candidates and perhaps a gate."""
    answers = (
        ValidatorAnswer(FIRST, 0, first, "first says no" if first is REJECT else None),
        ValidatorAnswer(SECOND, 1, second, "second says no" if second is REJECT else None),
    )
    winner = 0 if first is ACCEPT else 1 if second is ACCEPT else None
    verdict = ACCEPT if winner is not None and gate is None else REJECT
    if gate is not None:
        answers = (
            ValidatorAnswer(Candidate(gate), None, REJECT, "the gate is shut"),
            *answers,
        )
    return Judgement(verdict, answers, winner)


def test_answers_under_the_three_typings_stand_side_by_side() -> None:
    rows = graph_rows(judged(REJECT, REJECT), judged(REJECT, ACCEPT), judged(ACCEPT, ACCEPT))
    whole, first, second = rows
    assert (whole.validator, whole.candidate) == (PARTITIONER, None)
    assert (whole.original, whole.inferred, whole.truncated) == (REJECT, ACCEPT, ACCEPT)
    assert (first.original, first.inferred, first.truncated) == (REJECT, REJECT, ACCEPT)
    assert (second.original, second.inferred, second.truncated) == (REJECT, ACCEPT, ACCEPT)
    assert whole.reason == first.reason == "first says no"
    assert {row.scope for row in rows} == {Scope.GRAPH}


def test_the_candidate_that_the_registry_takes_wins_under_each_typing() -> None:
    rows = graph_rows(judged(REJECT, REJECT), judged(REJECT, ACCEPT), judged(ACCEPT, ACCEPT))
    whole, first, second = rows
    assert whole.wins == ()
    assert first.wins == (TypingKind.TRUNCATED,)
    assert second.wins == (TypingKind.INFERRED,)


def test_a_row_holds_what_the_registry_says_about_its_candidate() -> None:
    _, first, second = graph_rows(judged(ACCEPT, ACCEPT), None, None)
    assert (first.file, first.line, first.converter) == ("module.py", 10, "convert_first")
    assert (first.supports_dynamic_shapes, second.supports_dynamic_shapes) == (True, False)
    assert (first.requires_output_allocator, second.requires_output_allocator) == (False, True)
    assert first.requires_native_multidevice is False


def test_what_was_not_asked_is_not_checked_and_never_an_accept() -> None:
    rows = graph_rows(None, judged(ACCEPT, ACCEPT, gate="gate:complex_dtype"), None)
    assert {row.validator for row in rows} >= {"gate:complex_dtype", "module.first:10"}
    for row in rows:
        assert row.inferred is not Verdict.NOT_CHECKED
        assert row.original is row.truncated is Verdict.NOT_CHECKED, row


def test_a_gate_that_does_not_hold_was_asked_and_let_the_node_pass() -> None:
    shut, open_ = judged(ACCEPT, ACCEPT, gate="gate:complex_dtype"), judged(ACCEPT, ACCEPT)
    rows = graph_rows(shut, open_, open_)
    gate = rows[1]
    assert gate.validator == "gate:complex_dtype"
    assert (gate.original, gate.inferred, gate.truncated) == (REJECT, ACCEPT, ACCEPT)
    assert gate.wins == ()


def test_a_node_that_is_judged_alike_inside_its_engine_has_no_subgraph_row() -> None:
    same = judged(REJECT, ACCEPT)
    assert subgraph_rows(same, judged(REJECT, ACCEPT), TypingKind.TRUNCATED) == ()
    assert subgraph_rows(same, None, TypingKind.TRUNCATED) == ()


def test_another_winner_inside_an_engine_shows_without_a_row_of_the_partitioner() -> None:
    rows = subgraph_rows(judged(ACCEPT, ACCEPT), judged(REJECT, ACCEPT), TypingKind.TRUNCATED)
    assert [(r.candidate, r.truncated, r.wins) for r in rows] == [
        (0, REJECT, ()),
        (1, ACCEPT, (TypingKind.TRUNCATED,)),
    ]
    assert {r.scope for r in rows} == {Scope.SUBGRAPH}


def test_another_conclusion_inside_an_engine_shows_in_the_column_in_force() -> None:
    rows = subgraph_rows(judged(ACCEPT, REJECT), judged(REJECT, REJECT), TypingKind.ORIGINAL)
    whole = rows[0]
    assert whole.validator == PARTITIONER
    assert (whole.original, whole.truncated) == (REJECT, Verdict.NOT_CHECKED)
    assert whole.reason == "first says no"


def test_a_block_that_is_too_small_is_a_gate_that_names_both_numbers() -> None:
    row = block_size_row(1, 5, TypingKind.TRUNCATED)
    assert row.validator == MIN_BLOCK_SIZE_GATE
    assert (row.original, row.truncated) == (Verdict.NOT_CHECKED, REJECT)
    assert (
        row.reason == "accepted, but its block has 1 operator, fewer than --min-block-size 5"
    )
