"""Turns judgements of nodes into the report's verdict rows, typings side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trtdbg.analysis.conclusions import PARTITIONER
from trtdbg.records import Scope, TypingKind, ValidatorVerdict, Verdict
from trtdbg.stages.validate import Judgement, ValidatorAnswer

MIN_BLOCK_SIZE_GATE = "gate:min_block_size"


def graph_rows(
    original: Judgement | None,
    inferred: Judgement | None,
    truncated: Judgement | None,
    low: Judgement | None = None,
) -> tuple[ValidatorVerdict, ...]:
    """Returns the partitioner's row and one per gate and candidate, in the whole graph."""
    typings = {
        TypingKind.ORIGINAL: original,
        TypingKind.INFERRED: inferred,
        TypingKind.TRUNCATED: truncated,
        TypingKind.LOW: low,
    }
    known = {kind: judgement for kind, judgement in typings.items() if judgement is not None}
    if not known:
        return ()
    return (_conclusion(known, Scope.GRAPH), *_rows(known, Scope.GRAPH))


def subgraph_rows(
    graph: Judgement | None, subgraph: Judgement | None, in_force: TypingKind
) -> tuple[ValidatorVerdict, ...]:
    """Returns rows for a node that is judged otherwise inside its engine than in the graph.

    The partitioner's row stands there if the conclusion differs; the candidates' rows also if
    only another candidate wins or answers.

    Args:
        graph: in the whole graph, under the typing in force.
        subgraph: inside the engine.
        in_force: that typing; the column that is filled.
    """
    if graph is None or subgraph is None or _gist(graph) == _gist(subgraph):
        return ()
    known = {in_force: subgraph}
    rows = _rows(known, Scope.SUBGRAPH)
    if graph.verdict is subgraph.verdict:
        return rows
    return (_conclusion(known, Scope.SUBGRAPH), *rows)


def block_size_row(size: int, minimum: int, in_force: TypingKind) -> ValidatorVerdict:
    """Returns the gate's row for an accepted node whose block is too small for an engine.

    Args:
        size: operators in the block that the partitioner would have made an engine.
        minimum: `min_block_size`.
        in_force: the column that is filled.
    """
    block = "1 operator" if size == 1 else f"{size} operators"
    row = ValidatorVerdict(
        validator=MIN_BLOCK_SIZE_GATE,
        candidate=None,
        scope=Scope.GRAPH,
        original=Verdict.NOT_CHECKED,
        reason=f"accepted, but its block has {block}, fewer than --min-block-size {minimum}",
    )
    return _fill(row, {in_force: Verdict.REJECT})


def _conclusion(judgements: Mapping[TypingKind, Judgement], scope: Scope) -> ValidatorVerdict:
    row = ValidatorVerdict(
        validator=PARTITIONER,
        candidate=None,
        scope=scope,
        original=Verdict.NOT_CHECKED,
        reason=_first_reason(judgements),
    )
    return _fill(row, {kind: judgement.verdict for kind, judgement in judgements.items()})


def _first_reason(judgements: Mapping[TypingKind, Judgement]) -> str | None:
    """Returns why the first typing that is refused is refused."""
    for judgement in judgements.values():
        if judgement.verdict is not Verdict.ACCEPT:
            return next((a.reason for a in judgement.answers if a.reason), None)
    return None


def _gist(judgement: Judgement) -> tuple[Any, ...]:
    answers = tuple((a.validator, a.candidate, a.verdict) for a in judgement.answers)
    return judgement.verdict, judgement.winner, answers


def _rows(
    judgements: Mapping[TypingKind, Judgement], scope: Scope
) -> tuple[ValidatorVerdict, ...]:
    """Returns a row per gate and candidate, gates first."""
    typings = {
        kind: {(a.validator, a.candidate): a for a in judgement.answers}
        for kind, judgement in judgements.items()
    }
    keys = sorted(
        {key for answers in typings.values() for key in answers},
        key=lambda key: (key[1] is not None, key[1] or 0, key[0]),
    )
    rows = []
    for key in keys:
        answers = {kind: known[key] for kind, known in typings.items() if key in known}
        row = _row(answers, tuple(judgements), scope)
        winners = tuple(
            kind
            for kind, judgement in judgements.items()
            if row.candidate is not None and judgement.winner == row.candidate
        )
        rows.append(msgspec.structs.replace(row, wins=winners))
    return tuple(rows)


def _row(
    answers: Mapping[TypingKind, ValidatorAnswer],
    typings: tuple[TypingKind, ...],
    scope: Scope,
) -> ValidatorVerdict:
    some = next(iter(answers.values()))
    asked = some.asked
    # A gate that does not hold leaves no answer: that is an accept of the gate.
    is_gate = asked.validator.startswith("gate:")
    absent = Verdict.ACCEPT if is_gate else Verdict.NOT_CHECKED
    row = ValidatorVerdict(
        validator=asked.validator,
        candidate=some.candidate,
        scope=scope,
        original=Verdict.NOT_CHECKED,
        reason=next((a.reason for a in answers.values() if a.reason), None),
        converter=asked.converter,
        file=asked.file,
        line=asked.line,
        supports_dynamic_shapes=asked.supports_dynamic_shapes,
        requires_output_allocator=asked.requires_output_allocator,
        requires_native_multidevice=asked.requires_native_multidevice,
    )
    return _fill(row, {k: answers[k].verdict if k in answers else absent for k in typings})


def _fill(row: ValidatorVerdict, verdicts: Mapping[TypingKind, Verdict]) -> ValidatorVerdict:
    columns = {kind.value: verdict for kind, verdict in verdicts.items()}
    return msgspec.structs.replace(row, **columns)
