"""Derives the findings of a report from its records, and from what the stages saw go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from trtdbg.analysis.catalogue import explain
from trtdbg.analysis.numerics import damages
from trtdbg.analysis.summary import answer_in_force
from trtdbg.dtypes import NARROWED, family, is_wide
from trtdbg.policy import Timing, VerdictSource
from trtdbg.records import (
    BuildStatus,
    EngineRecord,
    Finding,
    Level,
    NodeRecord,
    RefusalKind,
    Report,
    Scope,
    Source,
    ValidatorVerdict,
    Verdict,
    dtype_text,
)

PARTITIONER = "partitioner"
"""Name of the verdict row that holds the conclusion from all gates and candidates."""

PROBE = "tensorrt"
"""Name of the verdict row that holds TensorRT's own answer."""


@dataclass
class Evidence:
    """What stages saw that no record of the report holds; filled as the pipeline goes."""

    lowering_error: tuple[str, str] | None = None
    """Name of the pass that raised, and its sentence."""
    partition_error: str | None = None
    repair_crash: str | None = None
    crashed_engine: str | None = None
    """Name of the engine whose repair raised."""
    refused: dict[str, str] = field(default_factory=dict)
    """Operators of the PyTorch part that refuse a narrow dtype, with PyTorch's sentence."""
    widened: dict[str, str] = field(default_factory=dict)
    """Operators of the exported graph that refuse narrow dtypes, with PyTorch's sentence;
    timing early gives them wide ones."""
    scalars: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Operators with a Python number that does not fit the narrow dtype, and that dtype."""
    exported_scalars: dict[str, tuple[float, str]] = field(default_factory=dict)
    """The same for operators of the exported graph, which timing early narrows."""
    dissolved: dict[str, tuple[str, str, Source | None]] = field(default_factory=dict)
    """Refused nodes that narrowing before lowering removed: operator, reason, source."""
    narrowed_readers: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Operators of the PyTorch part that read a value narrower than promised: the value,
    its promised dtype and the one it has."""


def find(report: Report, evidence: Evidence) -> tuple[Finding, ...]:
    """Returns the findings of a report, the worst first, then by code and graph order."""
    nodes = {node.name: node for node in report.nodes}
    exported = _Exported(report, nodes)
    found = [
        *_lowering(report, evidence),
        *_verdicts(report),
        *_dissolved(report, evidence),
        *_metadata(report),
        *_engines(report, nodes),
        *_boundaries(report, evidence, nodes, exported),
        *_constants(report, nodes),
        *_scalars(report, evidence, exported),
    ]
    said = {(finding.code, finding.node) for finding in found}
    found += [
        _finding(damage.code, damage.message, nodes.get(damage.node))
        for damage in damages(report)
        # What truncation alone tells, or a converter's coercion explains, is not said twice.
        if not said & {(damage.code, damage.node), ("TD403", damage.node)}
    ]
    order = {level: i for i, level in enumerate(reversed(Level))}
    return tuple(sorted(found, key=lambda finding: (order[finding.level], finding.code)))


def _finding(
    code: str,
    message: str,
    node: NodeRecord | None = None,
    *,
    level: Level | None = None,
    engine: int | None = None,
) -> Finding:
    place = f" ({node.source})" if node is not None and node.source is not None else ""
    return Finding(
        code=code,
        level=level or explain(code).level,
        node=node.name if node is not None else None,
        message=f"{message}{place if place != ' ()' else ''}",
        source=node.source if node is not None else None,
        engine=engine if engine is not None else node.engine if node is not None else None,
    )


def _lowering(report: Report, evidence: Evidence) -> Iterator[Finding]:
    if evidence.lowering_error is not None:
        name, error = evidence.lowering_error
        good = next((p for p in reversed(report.passes) if p.error is None), None)
        after = (
            f"; the last good graph is that after pass {good.index} {good.name}"
            if good
            else ""
        )
        yield _finding("TD501", f"lowering pass {name} raised {error}{after}")
    if evidence.partition_error is not None:
        yield _finding(
            "TD502", f"torch_tensorrt's partitioner raised {evidence.partition_error}"
        )


def _conclusion(node: NodeRecord) -> ValidatorVerdict | None:
    return next(
        (v for v in node.verdicts if v.validator == PARTITIONER and v.scope is Scope.GRAPH),
        None,
    )


def _verdicts(report: Report) -> Iterator[Finding]:
    for node in report.nodes:
        conclusion = _conclusion(node)
        if conclusion is None:
            continue
        wide_refused = (
            conclusion.inferred is Verdict.REJECT and conclusion.truncated is Verdict.ACCEPT
        )
        if wide_refused and report.policy.timing is not Timing.OFF:
            yield _needless_rejection(report, node)
        if (
            conclusion.original is Verdict.REJECT
            and conclusion.inferred is Verdict.ACCEPT
            and report.policy.timing is not Timing.EARLY
        ):
            resolved = report.policy.timing is Timing.LATE
            why = _stated(node, RefusalKind.METADATA) or (
                "is rejected on the metadata that lowering leaves and accepted once it is "
                "refreshed, with the same dtypes"
            )
            yield _finding(
                "TD105",
                f"{node.name} ({node.target}) {why}",
                node,
                level=Level.NOTE if resolved else None,
            )
        yield from _crashes(node)
        yield from _inside(report, node)


def _dissolved(report: Report, evidence: Evidence) -> Iterator[Finding]:
    for name, (target, why, source) in evidence.dissolved.items():
        place = f" ({source})" if source is not None and str(source) else ""
        resolved = f"timing {report.policy.timing.value} resolves it, and the operator is gone"
        yield Finding(
            code="TD101",
            level=Level.NOTE,
            node=name,
            message=f"{name} ({target}) {why}; {resolved}{place}",
            source=source,
        )


def _needless_rejection(report: Report, node: NodeRecord) -> Finding:
    dtype = _wide_reason(node)
    accepts = NARROWED.get(dtype, dtype_text(node.truncated))
    resolved = node.verdict is Verdict.ACCEPT
    tail = f"; timing {report.policy.timing.value} resolves it" if resolved else ""
    why = _stated(node, RefusalKind.DTYPE) or (
        f"is rejected because of {dtype} and accepted with {accepts}"
    )
    return _finding(
        "TD101",
        f"{node.name} ({node.target}) {why}{tail}",
        node,
        level=Level.NOTE if resolved else None,
    )


def _stated(node: NodeRecord, kind: RefusalKind) -> str | None:
    """Returns the node's counterfactual as text if it is of a kind and turns the verdict."""
    found = node.counterfactual
    if found is None or found.kind is not kind or not found.changes:
        return None
    return found.text


def _wide_reason(node: NodeRecord) -> str:
    names = (node.inferred,) if isinstance(node.inferred, str) else node.inferred or ()
    return next((n for n in names if n is not None and is_wide(n)), dtype_text(node.inferred))


def _crashes(node: NodeRecord) -> Iterator[Finding]:
    crash = next(
        (
            v
            for v in node.verdicts
            if v.validator not in (PARTITIONER, PROBE)
            and Verdict.CRASHED in (v.original, v.inferred, v.truncated)
        ),
        None,
    )
    if crash is not None:
        why = _stated(node, RefusalKind.CRASHED)
        tail = f"; {why.rpartition('; ')[2]}" if why is not None else ""
        yield _finding(
            "TD103",
            f"{node.name} ({node.target}): {crash.validator} does not answer: "
            f"{crash.reason}{tail}",
            node,
        )


def _inside(report: Report, node: NodeRecord) -> Iterator[Finding]:
    """Yields what is said of a node inside its engine: by its validators, else by TensorRT."""
    inside = [v for v in node.verdicts if v.scope is Scope.SUBGRAPH]
    dependent = next((v for v in inside if v.validator == PARTITIONER), None)
    if dependent is not None:
        yield _scope_dependent(report, node, dependent)
        return
    conclusion = _conclusion(node)
    accepted = conclusion is not None and Verdict.ACCEPT in (
        conclusion.original,
        conclusion.truncated,
    )
    for verdict in inside:
        if verdict.validator != PROBE:
            continue
        if accepted and verdict.truncated in (Verdict.REJECT, Verdict.CRASHED):
            yield _false_accept(report, node, verdict.reason or "TensorRT refuses it")


def _false_accept(report: Report, node: NodeRecord, sentence: str) -> Finding:
    nodes = {each.name: each for each in report.nodes}
    operands = ", ".join(dtype_text(nodes[o].truncated) for o in node.operands if o in nodes)
    resolved = report.policy.verdicts is VerdictSource.TENSORRT
    tail = "; it is left to PyTorch" if resolved else ""
    return _finding(
        "TD102",
        f"{node.name} ({node.target}, operands {operands or 'none'}) is accepted by its "
        f"validators, but: {sentence}{tail}",
        node,
        level=Level.WARNING if resolved else None,
    )


def _scope_dependent(report: Report, node: NodeRecord, verdict: ValidatorVerdict) -> Finding:
    inside = {
        Verdict.ACCEPT: "accepted inside its engine but not in the whole graph",
        Verdict.REJECT: "accepted in the whole graph but refused inside its engine",
        Verdict.CRASHED: "accepted in the graph, but its validator raises inside its engine",
    }.get(answer_in_force(report.policy, verdict), "judged otherwise inside its engine")
    resolved = report.policy.verdicts is VerdictSource.TENSORRT
    tail = "; it is left to PyTorch" if resolved and node.engine is None else ""
    return _finding(
        "TD104",
        f"{node.name} ({node.target}) is {inside}{tail}",
        node,
        level=Level.WARNING if tail else None,
    )


def _metadata(report: Report) -> Iterator[Finding]:
    if report.policy.timing is Timing.EARLY:
        # The graph was lowered with other dtypes: record and plain inference cannot agree.
        return
    for node in report.nodes:
        # Where lowering has failed nothing is inferred that a record could disagree with.
        if node.op == "output" or None in (node.recorded, node.inferred):
            continue
        if node.recorded == node.inferred:
            continue
        yield _finding(
            "TD201",
            f"{node.name} ({node.target}) is recorded as {dtype_text(node.recorded)} but "
            f"computes {dtype_text(node.inferred)}, since pass {_parting(report, node)}",
            node,
        )


def _parting(report: Report, node: NodeRecord) -> str:
    """Returns the first pass after which the recorded dtype is not what the node computes."""
    for execution in report.passes:
        for index in execution.graph:
            entry = report.graph_nodes[index]
            if entry.name == node.name and entry.dtype != node.inferred:
                return f"{execution.index} {execution.name}"
    return "unknown"


def _engines(report: Report, nodes: dict[str, NodeRecord]) -> Iterator[Finding]:
    for engine in report.engines:
        for widened in engine.widened:
            node = nodes.get(widened.node)
            if node is not None:
                yield _finding(
                    "TD203",
                    f"the converter of {node.name} ({node.target}) creates a float64 value "
                    f"that the model never had",
                    node,
                )
        for kind, bindings in (("input", engine.inputs), ("output", engine.outputs)):
            for binding in bindings:
                if None not in (binding.declared, binding.bound) and (
                    binding.declared != binding.bound
                ):
                    node = nodes.get(binding.name)
                    double = binding.declared == "float64"
                    lacks = "; TensorRT has no float64" if double else ""
                    yield _finding(
                        "TD202",
                        f"engine {engine.index} {kind} {binding.name}{_target(node)} is "
                        f"declared {binding.declared} and bound as {binding.bound}{lacks}",
                        node,
                        engine=engine.index,
                    )
        if engine.build.status is BuildStatus.FAILED and engine.build.stage != "boundary":
            yield from _build_failure(report, engine, nodes)


def _build_failure(
    report: Report, engine: EngineRecord, nodes: dict[str, NodeRecord]
) -> Iterator[Finding]:
    """A failure that an accepted node explains is a false accept, any other a failed build."""
    culprit = _named_in(engine.build.error or "", engine) or engine.build.node
    node = nodes.get(culprit) if culprit is not None else None
    if node is None:
        yield _finding(
            "TD503",
            f"engine {engine.index} does not build: {engine.build.error}",
            engine=engine.index,
        )
    elif not any(_inside(report, node)):
        yield _false_accept(report, node, engine.build.error or "TensorRT refuses it")


def _named_in(error: str, engine: EngineRecord) -> str | None:
    """Returns the node whose layer TensorRT's sentence names; the longest name wins."""
    named = [layer for layer in engine.layers if layer.node and layer.name in error]
    return max(named, key=lambda layer: len(layer.name)).node if named else None


def _boundaries(
    report: Report, evidence: Evidence, nodes: dict[str, NodeRecord], exported: _Exported
) -> Iterator[Finding]:
    if evidence.repair_crash is not None:
        index = _engine_index(report, evidence.crashed_engine)
        place = f" at the borders of engine {index}" if index is not None else ""
        yield _finding(
            "TD302",
            f"torch_tensorrt's boundary repair raised {evidence.repair_crash}{place}; "
            f"compilation ends there",
            engine=index,
        )
        return
    for output in report.model.outputs:
        if output.bound is None or output.declared in (None, output.bound):
            continue
        node = nodes.get(output.name) or exported.row(output.name)
        yield _finding(
            "TD301",
            f"program output {output.name}{_target(node)} was exported as {output.declared} "
            f"and is returned as {output.bound}: nothing casts it back",
            node,
        )
    for reader, (value, promised, given) in evidence.narrowed_readers.items():
        node = nodes.get(reader)
        if node is not None and reader not in evidence.refused:
            yield _finding(
                "TD301",
                f"{reader} ({node.target}) reads {value} as {given}, exported as {promised}: "
                f"nothing casts it back",
                node,
            )
    for name, sentence in evidence.refused.items():
        node = nodes.get(name)
        value, promised, given = evidence.narrowed_readers.get(name, ("an operand", "", ""))
        reads = f" {value} as {given}, exported as {promised}" if given else f" {value}"
        yield _finding(
            "TD303",
            f"{name}{_target(node)} reads{reads}, and refuses it: {sentence}",
            node,
        )
    yield from _widened(evidence, exported)


def _widened(evidence: Evidence, exported: _Exported) -> Iterator[Finding]:
    """Yields operators that timing early could not narrow; no harm inside an engine."""
    for name, sentence in evidence.widened.items():
        node = exported.row(name)
        inside = node is not None and node.engine is not None
        tail = f", inside engine {node.engine}" if node is not None and inside else ""
        yield _finding(
            "TD303",
            f"{name}{_target(node)} refuses narrow operands: {sentence}; it reads them wide, "
            f"by a cast where they are narrow already{tail}",
            node,
            level=Level.NOTE if inside else Level.WARNING,
        )


class _Exported:
    """Finds the rows of what exported nodes became; made once, as a graph can be large."""

    def __init__(self, report: Report, nodes: dict[str, NodeRecord]) -> None:
        graph = report.passes[0].graph if report.passes else ()
        self._exported = {n.name: n for n in (report.graph_nodes[i] for i in graph)}
        self._nodes = nodes
        self._became: dict[str | None, list[NodeRecord]] = {}
        for node in report.nodes:
            self._became.setdefault(node.from_node, []).append(node)

    def row(self, name: str) -> NodeRecord | None:
        """Returns the row of what a node became, or of the node itself if nothing is left."""
        exported = self._exported.get(name)
        became = self._became.get(name, [])
        if became:
            target = exported.target if exported is not None else None
            return next((node for node in became if node.target == target), became[0])
        if name in self._nodes or exported is None:
            return self._nodes.get(name)
        return NodeRecord(
            name=name,
            op=exported.op,
            target=exported.target,
            source=exported.source,
            args=exported.args,
            operands=exported.operands,
        )


def _engine_index(report: Report, name: str | None) -> int | None:
    return next((engine.index for engine in report.engines if engine.name == name), None)


def _target(node: NodeRecord | None) -> str:
    """Returns a node's operator in brackets; nothing for an input, a constant or no node."""
    return f" ({node.target})" if node is not None and node.op == "call_function" else ""


def _constants(report: Report, nodes: dict[str, NodeRecord]) -> Iterator[Finding]:
    held = {node.constant: node for node in report.nodes if node.constant is not None}
    for constant in report.constants:
        node = held.get(constant.name)
        reader = next((nodes[u] for u in node.users if u in nodes), None) if node else None
        if node is not None and node.source is None and reader is not None:
            node = msgspec.structs.replace(node, source=reader.source)
        read = f", read by {reader.name}{_target(reader)}," if reader is not None else ""
        if constant.overflowed and family(constant.original) == "int":
            yield _finding(
                "TD401",
                f"constant {constant.name} ({constant.original}){read} does not fit "
                f"{constant.truncated}: {constant.overflowed} of {constant.elements} values "
                f"wrap around",
                node,
            )
            continue
        lost = [
            f"{count} of {constant.elements} values become {what}"
            for count, what in (
                (constant.overflowed, "inf"),
                (constant.underflowed, "zero or subnormal"),
            )
            if count
        ]
        if lost:
            yield _finding(
                "TD402",
                f"constant {constant.name} ({constant.original}){read} loses values as "
                f"{constant.truncated}: {' and '.join(lost)}",
                node,
            )


def _scalars(report: Report, evidence: Evidence, exported: _Exported) -> Iterator[Finding]:
    """Yields numbers that do not survive: too large, or cast to an integer tensor's dtype."""
    for name, lost in evidence.exported_scalars.items():
        yield _lost_scalar(exported.row(name), name, *lost)
    for node in report.nodes:
        if node.name in evidence.scalars and node.engine is not None:
            yield _lost_scalar(node, node.name, *evidence.scalars[node.name])
        if not isinstance(node.tensorrt, str) or not isinstance(node.truncated, str):
            continue
        scalar = _fractional_scalar(node.args)
        if scalar is None or family(node.truncated) != "float":
            continue
        if node.tensorrt in ("INT32", "INT64", "INT8"):
            yield _finding(
                "TD403",
                f"{node.name} ({node.target}) computes {node.truncated} from the scalar "
                f"{scalar}, but the converter casts the scalar to {node.tensorrt}, which "
                f"makes it {int(float(scalar))}",
                node,
            )


def _lost_scalar(node: NodeRecord | None, name: str, value: float, dtype: str) -> Finding:
    integral = family(dtype) == "int"
    becomes = "0" if abs(value) < 1 else "inf" if value > 0 else "-inf"
    return _finding(
        "TD401" if integral else "TD402",
        f"{name}{_target(node)} uses the number {value:g}, which "
        f"{'does not fit' if integral else f'becomes {becomes} in'} {dtype}",
        node,
    )


def _fractional_scalar(args: str) -> str | None:
    for part in args.split(", "):
        try:
            value = float(part)
        except ValueError:
            continue
        if not value.is_integer():
            return part
    return None
