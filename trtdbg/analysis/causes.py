"""Why operators are not in engines: causes, and one sentence for a node that all else repeats.

The first cause of an operator is the first of these that holds: what ended the analysis, a
setting that names the operator, no converter, what this build of TensorRT lacks, what its
validators say (a crash, a dtype, metadata, sizes, an argument), a size that depends on the
data, what TensorRT says, a block that is too small, the partitioner.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from trtdbg.analysis.conclusions import (
    PROBE,
    REFUSED,
    answer_in_force,
    conclusion,
    typing_in_force,
)
from trtdbg.analysis.cuts import cuts
from trtdbg.analysis.summary import (
    FLAVOURS,
    broken_end,
    count,
    failed_pass,
    is_operator,
    operator_text,
)
from trtdbg.dtypes import NARROWED
from trtdbg.policy import Partitioner, VerdictSource
from trtdbg.records import (
    BuildStatus,
    Cause,
    CauseKind,
    ChangePlace,
    Counterfactual,
    EngineRecord,
    NodeRecord,
    PassRecord,
    Phase,
    Record,
    RefusalKind,
    Report,
    Scope,
    Source,
    ValidatorVerdict,
    Verdict,
)

_DYNAMIC: Final = "does not support dynamic shapes"

CODES: Final[dict[CauseKind, str]] = {
    CauseKind.LOWERING_FAILED: "TD501",
    CauseKind.PARTITION_FAILED: "TD502",
    CauseKind.ENGINE_FAILED: "TD503",
    CauseKind.TRUNCATED_DTYPE: "TD101",
    CauseKind.TENSORRT_REFUSES: "TD102",
    CauseKind.VALIDATOR_CRASHED: "TD103",
    CauseKind.INSIDE_ENGINE: "TD104",
    CauseKind.METADATA: "TD105",
    CauseKind.NO_CONVERTER: "TD106",
    CauseKind.OTHER_OVERLOAD: "TD106",
    CauseKind.FLAVOUR: "TD107",
    CauseKind.SETTING: "TD108",
    CauseKind.DATA_DEPENDENT: "TD109",
    CauseKind.DTYPE: "TD110",
    CauseKind.DYNAMIC_SHAPE: "TD110",
    CauseKind.SHAPE: "TD110",
    CauseKind.ARGUMENT: "TD110",
}
"""Code of the findings that speak of the operators of a cause."""


class Reason(Record, frozen=True, kw_only=True):
    """Why one operator is where it is."""

    kind: CauseKind
    text: str
    """One sentence without names of nodes."""
    fact: str | None = None


def operators_outside(report: Report) -> tuple[NodeRecord, ...]:
    """Returns the operators that no engine holds, in graph order."""
    return tuple(n for n in report.nodes if n.engine is None and is_operator(n))


def operator_count(report: Report) -> int:
    """Returns how many operators the lowered graph has, in engines or not."""
    return sum(map(is_operator, report.nodes))


def coverage_line(report: Report) -> str | None:
    """Returns how many operators engines hold; None if there is no partition."""
    if broken_end(report) is not None or report.model.prebuilt is not None:
        return None
    total = operator_count(report)
    if not total:
        return None
    inside = total - len(operators_outside(report))
    return f"{inside} of {count(total, 'operator')} in engines ({inside / total:.1%})"


def why(report: Report, node: NodeRecord) -> str:
    """Returns why no engine holds a node, or why TensorRT refuses it in its engine.

    One sentence without names of nodes, the same that stands in the node's cause.
    """
    return reasons(report, node)[0].text


def reasons(report: Report, node: NodeRecord) -> tuple[Reason, ...]:
    """Returns why a node is outside an engine or refused in it, the first reason first."""
    found = tuple(reason for rule in _RULES for reason in rule(report, node))
    text = "no verdict is known"
    if report.model.prebuilt is not None:
        text = (
            "it was left to PyTorch when the program was compiled; the file does not say why"
        )
    unknown = Reason(kind=CauseKind.NOT_JUDGED, text=text)
    return found or (unknown,)


def derive(report: Report) -> tuple[Cause, ...]:
    """Returns the causes of a report; what was weighed or tried of the same cause is kept.

    What ended the analysis comes first, then engines that fail, then the causes with the most
    places, in graph order.
    """
    kept = {_key(cause): cause for cause in report.causes}
    made = [*_ended(report), *_grouped(report), *_failed_engines(report), *_cuts(report)]
    order = {_key(cause): index for index, cause in enumerate(made)}
    made.sort(key=lambda c: (_rank(report, c), -len(c.nodes), order[_key(c)]))
    return tuple(_with_what_was_tried(cause, kept.get(_key(cause))) for cause in made)


def _key(cause: Cause) -> tuple[CauseKind, str | None, str, tuple[int, ...]]:
    return cause.kind, cause.target, cause.reason, cause.engines


def _rank(report: Report, cause: Cause) -> int:
    ended = failed_pass(report) is not None
    if cause.kind is CauseKind.LOWERING_FAILED:
        return 0
    if ended and cause.kind is CauseKind.VALIDATOR_CRASHED:
        # What the partitioner passes on: it says more than the partitioner.
        return 0
    if cause.kind is CauseKind.PARTITION_FAILED:
        return 1
    return 2 if cause.engines else 3


def _with_what_was_tried(cause: Cause, before: Cause | None) -> Cause:
    if before is None or before.nodes != cause.nodes:
        return cause
    return msgspec.structs.replace(cause, cost=before.cost, cures=before.cures)


def _grouped(report: Report) -> Iterator[Cause]:
    """Yields one cause for all operators that are kept out, or refused, alike."""
    groups: dict[tuple[CauseKind, str, str], list[tuple[NodeRecord, Reason]]] = {}
    then: dict[tuple[CauseKind, str, str], dict[str, None]] = {}
    for node in (*operators_outside(report), *refused_in_engines(report)):
        first, *more = reasons(report, node)
        shared = first.kind in _OF_SEVERAL
        key = (first.kind, first.text, "" if shared else node.target)
        groups.setdefault(key, []).append((node, first))
        then.setdefault(key, {}).update(dict.fromkeys(each.text for each in more))
    for key, members in groups.items():
        nodes = [node for node, _ in members]
        made = _cause(key[0], key[1], nodes, tuple(then[key]), members[0][1].fact)
        at = _raising(report) if key[0] is CauseKind.LOWERING_FAILED else None
        yield made if at is None else _placed(report, made, at)


def _placed(report: Report, cause: Cause, node: NodeRecord) -> Cause:
    """Returns the cause of a pass that failed as that of the node at which it raised."""
    source = _source_behind(report, node)
    return msgspec.structs.replace(
        cause,
        target=node.target,
        sources=(source,) if source is not None else (),
        modules=(source.module,) if source is not None and source.module else (),
    )


def _ended(report: Report) -> Iterator[Cause]:
    """Yields the pass that raised where the last good graph has no operator to say it of."""
    failed = failed_pass(report)
    if failed is None or failed.phase is Phase.PARTITION or operators_outside(report):
        return
    kind = CauseKind.LOWERING_FAILED
    yield Cause(kind=kind, code=CODES[kind], reason=_raises(report, failed), nodes=())


_WHOLE: Final = (CauseKind.LOWERING_FAILED, CauseKind.PARTITION_FAILED)
_OF_SEVERAL: Final = (
    *_WHOLE,
    # It refuses a value on its way through several operators.
    CauseKind.TENSORRT_REFUSES,
    # A small block holds operators of many kinds.
    CauseKind.SETTING,
    CauseKind.PARTITIONER,
)
"""Kinds of causes that hold operators of several kinds where the reason is the same."""


def _cause(
    kind: CauseKind,
    text: str,
    nodes: list[NodeRecord],
    then: tuple[str, ...] = (),
    fact: str | None = None,
) -> Cause:
    places = [] if kind in _WHOLE else [n.source for n in nodes if n.source is not None]
    targets = {node.target for node in nodes}
    engines = {node.engine for node in nodes if node.engine is not None}
    # Inside an engine the same thing is told as a false accept.
    code = "TD102" if engines and kind is CauseKind.FLAVOUR else CODES.get(kind)
    return Cause(
        kind=kind,
        code=code,
        target=nodes[0].target if len(targets) == 1 and kind not in _WHOLE else None,
        reason=text,
        then=then,
        nodes=tuple(node.name for node in nodes),
        engines=tuple(sorted(engines)),
        sources=tuple(_lines(places)),
        modules=tuple(dict.fromkeys(s.module for s in places if s.module)),
        fact=fact,
    )


def _lines(places: list[Source]) -> list[Source]:
    return list({(place.file, place.line): place for place in reversed(places)}.values())[::-1]


def refused_in_engines(report: Report) -> tuple[NodeRecord, ...]:
    """Returns the operators that engines hold and TensorRT refuses, in graph order."""
    culprits = {
        e.build.node for e in report.engines if e.build.status is BuildStatus.FAILED
    } - {None}
    return tuple(
        node
        for node in report.nodes
        if node.engine is not None
        and is_operator(node)
        and (node.name in culprits or _probe_refusal(node) is not None)
    )


def _failed_engines(report: Report) -> Iterator[Cause]:
    """Yields the engines that TensorRT refuses where no operator explains it."""
    explained = {node.engine for node in refused_in_engines(report)}
    for engine in report.engines:
        if engine.build.status is not BuildStatus.FAILED or engine.index in explained:
            continue
        yield Cause(
            kind=CauseKind.ENGINE_FAILED,
            code="TD503" if engine.build.stage != "boundary" else "TD302",
            reason=f"TensorRT refuses engine {engine.index}: {_said(engine)}"
            + _taken_along(report, engine),
            nodes=(),
            engines=(engine.index,),
        )


def _taken_along(report: Report, engine: EngineRecord) -> str:
    """Returns what the partitioner took into an engine that can only hand it on."""
    constants, graphs = handed_on(report, engine)
    what = ["a subgraph"] if graphs else []
    what += ["a constant"] if constants else []
    if not what:
        return ""
    return (
        f"; torch_tensorrt's partitioner took {' and '.join(what)} into it, which no operator "
        "of it reads"
    )


def handed_on(report: Report, engine: EngineRecord) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the constants, and the subgraphs, that an engine holds and only returns."""
    graphs = {graph.name for graph in report.subgraphs}
    inside = set(engine.nodes)
    held = [
        node.name
        for node in report.nodes
        if node.name in inside and node.op == "get_attr" and inside.isdisjoint(node.users)
    ]
    constants = tuple(name for name in held if name not in graphs)
    return constants, tuple(name for name in held if name in graphs)


def _said(engine: EngineRecord) -> str:
    return engine.build.error or "it gives no reason"


def _cuts(report: Report) -> Iterator[Cause]:
    """Yields why engines are apart between which nothing is left to PyTorch."""
    found = cuts(report)
    if not found:
        return
    partitioner = report.settings.partitioner
    pairs = "; ".join(f"{cut.before} and {cut.after}" for cut in found)
    sizes = any(cut.sizes for cut in found)
    if sizes:
        reason = (
            f"sizes that PyTorch computes stand between engines, and the {partitioner.value} "
            f"partitioner cuts them apart there: {pairs}"
        )
    elif operators_outside(report) or report.torch_ops:
        reason = (
            f"the {partitioner.value} partitioner cuts engines apart between which nothing is "
            f"left to PyTorch: {pairs}"
        )
    else:
        reason = (
            f"the {partitioner.value} partitioner cuts the graph into "
            f"{count(len(report.engines), 'engine')}, although engines hold every operator"
        )
    places = [cut.source for cut in found if cut.source is not None]
    yield Cause(
        kind=CauseKind.SETTING if partitioner is Partitioner.FAST else CauseKind.PARTITIONER,
        code=None,
        reason=reason,
        sources=tuple(_lines(places)),
        modules=tuple(dict.fromkeys(place.module for place in places if place.module)),
    )


Rule = Callable[[Report, NodeRecord], Iterator[Reason]]


def _lowering(report: Report, node: NodeRecord) -> Iterator[Reason]:
    failed = failed_pass(report)
    if failed is not None and failed.phase is not Phase.PARTITION:
        yield Reason(kind=CauseKind.LOWERING_FAILED, text=_raises(report, failed))


def _raises(report: Report, failed: PassRecord) -> str:
    """Returns what a pass raises, of which operator, and on which line of the model."""
    at = _raising(report)
    operator = f" on {operator_text(at.target)}" if at is not None else ""
    place = f" ({at.source})" if at is not None and str(at.source or "") else ""
    if at is not None and not place:
        behind_it = _source_behind(report, at)
        place = f", which reads what {behind_it} makes" if behind_it is not None else ""
    behind = f"; caused by {failed.caused_by}" if failed.caused_by else ""
    return f"lowering pass {failed.name} raises {failed.error}{operator}{place}{behind}"


def _source_behind(report: Report, node: NodeRecord) -> Source | None:
    """Returns the nearest line of the model before an operator that a pass put in."""
    rows = {row.name: row for row in report.nodes}
    reached = {node.name: node}
    for row in (waiting := [node]):
        if str(row.source or ""):
            return row.source
        for name in row.operands:
            if name in rows and name not in reached:
                reached[name] = rows[name]
                waiting.append(rows[name])
    return None


def _raising(report: Report) -> NodeRecord | None:
    """Returns the node at which a lowering pass raised, None if the exception names none."""
    failed = failed_pass(report)
    if failed is None or failed.phase is Phase.PARTITION or failed.node is None:
        return None
    return next((node for node in report.nodes if node.name == failed.node), None)


def is_excluded(report: Report, node: NodeRecord) -> bool:
    """Returns whether `torch_executed_ops` names the operator of a node."""
    return _gate(report, node, "torch_executed_ops") is not None


def _excluded(report: Report, node: NodeRecord) -> Iterator[Reason]:
    if is_excluded(report, node):
        name = operator_text(node.target)
        text = f"--torch-executed-ops keeps {name} in PyTorch"
        yield Reason(kind=CauseKind.SETTING, text=text)


def _converter(report: Report, node: NodeRecord) -> Iterator[Reason]:
    found = node.counterfactual
    if found is not None and found.kind is RefusalKind.OTHER_OVERLOAD:
        yield Reason(kind=CauseKind.OTHER_OVERLOAD, text=found.text)
        return
    lacks = node.verdict is _NOT_APPLICABLE or any(
        v.validator == "registry" and answer_in_force(report.policy, v) is _NOT_APPLICABLE
        for v in node.verdicts
    )
    if lacks or (found is not None and found.kind is RefusalKind.NO_CONVERTER):
        text = f"torch_tensorrt has no converter for {operator_text(node.target)}"
        if any(graph.owner == node.name for graph in report.subgraphs):
            text += ", and the operators of its subgraphs run in PyTorch with it"
        yield Reason(kind=CauseKind.NO_CONVERTER, text=text)


_NOT_APPLICABLE: Final = Verdict.NOT_APPLICABLE


def _flavour(report: Report, node: NodeRecord) -> Iterator[Reason]:
    other = node.other_flavour
    if other is None or not other.accepts:
        return
    if other.mechanism is not None and node.verdict is Verdict.ACCEPT and not _kept_out(node):
        return
    installed = FLAVOURS.get(report.environment.flavour or "", "TensorRT")
    lacks = other.mechanism or "its validator says no with this build only"
    named = f"the converter of {operator_text(node.target)} is not for {installed}"
    fact = (
        f"torch_tensorrt's validators for {_flavour_name(other.flavour)} accept it; not built "
        "here"
    )
    yield Reason(kind=CauseKind.FLAVOUR, text=f"{named}: {lacks}", fact=fact)


def _flavour_name(flavour: str) -> str:
    return "standard TensorRT" if flavour == "standard" else FLAVOURS.get(flavour, flavour)


def _kept_out(node: NodeRecord) -> bool:
    return node.engine is not None or _probe_refusal(node) is not None


def _validators(report: Report, node: NodeRecord) -> Iterator[Reason]:
    """Yields what the node's own validators say, as the change that would turn them."""
    if node.verdict not in REFUSED or _only_tensorrt_refuses(report, node):
        return
    if node.other_flavour is not None and node.other_flavour.accepts:
        # It is the same refusal, and nothing of the model is the reason.
        return
    found = node.counterfactual
    if found is None or found.typing is not typing_in_force(report.policy):
        yield _by_verdict(report, node)
    elif found.kind not in _SAID_ELSEWHERE:
        kind = _kind(report, node, found)
        yield Reason(kind=kind, text=_without_names(found.text, node))


_SAID_ELSEWHERE: Final = (
    RefusalKind.EXCLUDED,
    RefusalKind.NO_CONVERTER,
    RefusalKind.OTHER_OVERLOAD,
)


def _only_tensorrt_refuses(report: Report, node: NodeRecord) -> bool:
    row = conclusion(node, Scope.GRAPH)
    return row is not None and answer_in_force(report.policy, row) is Verdict.ACCEPT


def _kind(report: Report, node: NodeRecord, found: Counterfactual) -> CauseKind:
    if any(_DYNAMIC in (verdict.reason or "") for verdict in node.verdicts):
        return CauseKind.DYNAMIC_SHAPE
    if found.kind is RefusalKind.CRASHED:
        return CauseKind.VALIDATOR_CRASHED
    by_typings = _by_typings(node)
    if by_typings is not None:
        return by_typings
    match found.kind:
        case RefusalKind.METADATA:
            return CauseKind.METADATA
        case RefusalKind.DTYPE:
            removed = _is_narrowed_away(node, found)
            return CauseKind.TRUNCATED_DTYPE if removed else CauseKind.DTYPE
        case RefusalKind.SHAPE:
            static = all(_is_static(change.before) for change in found.changes)
            return CauseKind.SHAPE if static else CauseKind.DYNAMIC_SHAPE
    return CauseKind.ARGUMENT


def _is_static(shape: str | None) -> bool:
    return not re.search(r"[A-Za-z]", shape or "")


def _is_narrowed_away(node: NodeRecord, found: Counterfactual) -> bool:
    """Returns whether truncation removes the dtypes that are in the way."""
    dtypes = [c for c in found.changes if c.place is not ChangePlace.METADATA]
    return bool(dtypes) and all(NARROWED.get(c.before or "") == c.after for c in dtypes)


def _by_verdict(report: Report, node: NodeRecord) -> Reason:
    """Returns a refusal in the words of the validator that answers no."""
    # A converter's own validator says more than the partitioner, which repeats the result.
    for verdict in sorted(node.verdicts, key=lambda v: v.candidate is None):
        answer = answer_in_force(report.policy, verdict)
        if verdict.validator == PROBE or answer not in REFUSED:
            continue
        who = verdict.validator.removeprefix("gate:").rsplit(".", 1)[-1].split(":")[0]
        crashed = answer is Verdict.CRASHED
        words = f"{who} {'crashed' if crashed else 'rejects'}"
        kind = CauseKind.VALIDATOR_CRASHED if crashed else CauseKind.ARGUMENT
        text = f"{words}: {verdict.reason}" if verdict.reason else words
        return Reason(kind=_by_typings(node) or kind, text=text)
    crashed = node.verdict is Verdict.CRASHED
    kind = CauseKind.VALIDATOR_CRASHED if crashed else CauseKind.ARGUMENT
    text = "its validator crashed" if crashed else "its validator rejects it"
    return Reason(kind=_by_typings(node) or kind, text=text)


def _by_typings(node: NodeRecord) -> CauseKind | None:
    """Returns the kind of a refusal that one typing has and the next has not."""
    row = conclusion(node)
    if row is None:
        return None
    if row.inferred is Verdict.REJECT and row.truncated is Verdict.ACCEPT:
        return CauseKind.TRUNCATED_DTYPE
    if row.original is Verdict.REJECT and row.inferred is Verdict.ACCEPT:
        return CauseKind.METADATA
    return None


def _without_names(text: str, node: NodeRecord) -> str:
    """Returns a counterfactual's text with operands by their place in place of their name."""
    for index, name in enumerate(node.operands):
        place = "its operand" if len(node.operands) == 1 else f"operand {index + 1}"
        word = re.escape(name)
        text = re.sub(rf"\bmetadata of {word} is\b", f"metadata of {place} is", text)
        text = re.sub(rf"\b(because|and) {word} (is|has)\b", rf"\1 {place} \2", text)
    text = re.sub(rf"\bmetadata of {re.escape(node.name)} is\b", "its metadata is", text)
    return re.sub(rf"\b(because|and) {re.escape(node.name)} (is|has)\b", r"\1 it \2", text)


def _data_dependent(report: Report, node: NodeRecord) -> Iterator[Reason]:
    gate = _gate(report, node, "data_dependent")
    if gate is not None:
        yield Reason(kind=CauseKind.DATA_DEPENDENT, text=gate.reason or "data dependent")


def _tensorrt(report: Report, node: NodeRecord) -> Iterator[Reason]:
    said = _probe_refusal(node)
    if said is None and node.engine is not None:
        engines = (e for e in report.engines if e.build.node == node.name)
        said = next((_said(engine) for engine in engines), None)
    if node.other_flavour is not None and node.other_flavour.mechanism is not None:
        return
    decides = report.policy.verdicts is VerdictSource.TENSORRT or node.engine is not None
    if said is not None and decides:
        yield Reason(kind=CauseKind.TENSORRT_REFUSES, text=f"TensorRT refuses it: {said}")


def _inside(report: Report, node: NodeRecord) -> Iterator[Reason]:
    row = conclusion(node, Scope.SUBGRAPH)
    if (
        node.engine is None
        and row is not None
        and answer_in_force(report.policy, row) in REFUSED
    ):
        reason = f": {row.reason}" if row.reason else ""
        text = (
            f"its validators accept it in the whole graph and refuse it in its engine{reason}"
        )
        yield Reason(kind=CauseKind.INSIDE_ENGINE, text=text)


def _left_out(report: Report, node: NodeRecord) -> Iterator[Reason]:
    """Yields why an accepted operator is in no engine."""
    if node.engine is not None or node.verdict is not Verdict.ACCEPT:
        return
    failed = failed_pass(report)
    if failed is not None:
        text = f"torch_tensorrt's partitioner raises {failed.error}"
        yield Reason(kind=CauseKind.PARTITION_FAILED, text=text)
        return
    gate = _gate(report, node, "min_block_size")
    if gate is not None:
        yield Reason(kind=CauseKind.SETTING, text=gate.reason or "its block is too small")
    elif report.settings.min_block_size > 1:
        least = report.settings.min_block_size
        text = f"accepted, but its block has fewer than {least} operators (--min-block-size)"
        yield Reason(kind=CauseKind.SETTING, text=text)
    else:
        partitioner = report.settings.partitioner.value
        text = f"accepted, but the {partitioner} partitioner left it out"
        yield Reason(kind=CauseKind.PARTITIONER, text=text)


_RULES: Final[tuple[Rule, ...]] = (
    _lowering,
    _excluded,
    _converter,
    _flavour,
    _validators,
    _data_dependent,
    _tensorrt,
    _inside,
    _left_out,
)


def _gate(report: Report, node: NodeRecord, name: str) -> ValidatorVerdict | None:
    return next(
        (
            v
            for v in node.verdicts
            if v.validator == f"gate:{name}" and answer_in_force(report.policy, v) in REFUSED
        ),
        None,
    )


def _probe_refusal(node: NodeRecord) -> str | None:
    """Returns what TensorRT says against a node, None if it was not asked or accepts."""
    for verdict in node.verdicts:
        if verdict.validator == PROBE and verdict.truncated in REFUSED:
            return verdict.reason or "it gives no reason"
    return None
