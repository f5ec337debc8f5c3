"""Chooses the nodes that a validator fails on and has each written down alone."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

import msgspec
from torch.fx import GraphModule, Node

from trtdbg.analysis import summary
from trtdbg.analysis.causes import reasons, why
from trtdbg.analysis.codes import Code
from trtdbg.analysis.conclusions import PROBE, REFUSED
from trtdbg.analysis.names import find_node
from trtdbg.errors import StageError
from trtdbg.outputs.repro.reproducer import changed_settings
from trtdbg.policy import Settings
from trtdbg.records import (
    CauseKind,
    NodeRecord,
    Recipe,
    RecipeGraph,
    RecipeKind,
    Report,
    Verdict,
)
from trtdbg.stages import node_source, validate
from trtdbg.stages.capture import compilation_settings

KINDS: dict[str, RecipeKind] = {
    Code.TD101: RecipeKind.REJECTED,
    Code.TD102: RecipeKind.FALSE_ACCEPT,
    Code.TD103: RecipeKind.CRASHED,
    Code.TD104: RecipeKind.SCOPE_DEPENDENT,
    Code.TD105: RecipeKind.REJECTED,
}
"""Findings that have a reproducer of one node."""


def recipes(
    report: Report,
    original: GraphModule,
    truncated: GraphModule,
    settings: Settings,
    names: tuple[str, ...],
    codes: tuple[str, ...],
) -> tuple[Recipe, ...]:
    """Returns a recipe for each failure, equal ones once with all their nodes.

    Args:
        report: the analysis.
        original: the lowered graph with the metadata that lowering left.
        truncated: the same graph in truncated dtypes.
        settings: compilation settings in force.
        names: nodes to take; all if empty.
        codes: findings to take; all if empty.

    Raises:
        UsageError: the report has no such node.
        StageError: a node cannot be written down.
    """
    wanted = {find_node(report, name).name for name in names}
    made: dict[Any, Recipe] = {}
    for node, code, kind, message in (*_failures(report), *_lacking(report, wanted)):
        if (wanted and node.name not in wanted) or (codes and code not in codes):
            continue
        try:
            recipe = _recipe(report, original, truncated, settings, node, kind)
        except StageError as error:
            raise StageError(f"node {node.name} ({node.target}): {error}") from error
        recipe = msgspec.structs.replace(recipe, code=code, message=message)
        gist = (recipe.kind, recipe.before, recipe.after, recipe.sizes, recipe.sentence)
        same = made.get(gist)
        if same is not None:
            recipe = msgspec.structs.replace(same, nodes=(*same.nodes, node.name))
        made[gist] = recipe
    return tuple(made.values())


def _failures(report: Report) -> Iterator[tuple[NodeRecord, str | None, RecipeKind, str]]:
    """Yields each node with a failure, what it is a case of, and what was found."""
    nodes = {node.name: node for node in report.nodes}
    told = set()
    for finding in report.findings:
        node = nodes.get(finding.node or "")
        if node is not None and finding.code in KINDS:
            told.add(node.name)
            yield node, finding.code, KINDS[finding.code], finding.message
    for node in report.nodes:
        asked = [row for row in node.verdicts if row.candidate is not None]
        if node.verdict in REFUSED and asked and node.name not in told:
            crashed = node.verdict is Verdict.CRASHED
            kind = RecipeKind.CRASHED if crashed else RecipeKind.REJECTED
            # One crash is one finding, and each node that crashed has a reproducer of it.
            code = "TD103" if crashed else None
            yield node, code, kind, f"{node.name}: {why(report, node)}"


def _lacking(
    report: Report, wanted: Container[str]
) -> Iterator[tuple[NodeRecord, str, RecipeKind, str]]:
    """Yields the operators without a converter among those asked for by name."""
    for node in report.nodes:
        if node.name not in wanted or node.engine is not None:
            continue
        first = reasons(report, node)[0]
        if first.kind in (CauseKind.NO_CONVERTER, CauseKind.OTHER_OVERLOAD):
            yield node, Code.TD106, RecipeKind.REJECTED, f"{node.name}: {first.text}"


def _recipe(
    report: Report,
    original: GraphModule,
    truncated: GraphModule,
    settings: Settings,
    record: NodeRecord,
    kind: RecipeKind,
) -> Recipe:
    sizes = node_source.Sizes()
    upstream = report.policy.timing.is_upstream
    in_force = original if upstream else truncated
    if kind is RecipeKind.SCOPE_DEPENDENT:
        before = _graph(in_force, record, settings, sizes)
        after = _graph(in_force, record, settings, sizes, inside=True)
    else:
        before = _graph(original, record, settings, sizes)
        after = _graph(truncated, record, settings, sizes)
    if kind is RecipeKind.FALSE_ACCEPT:
        after = _network(report, in_force, record, sizes, upstream)
    return Recipe(
        kind=kind,
        code=None,
        nodes=(record.name,),
        target=summary.operator_text(record.target),
        message="",
        source=record.source,
        before=before,
        after=after,
        sizes=tuple(sizes.names.values()),
        settings=changed_settings(settings),
        sentence=_sentence(report, record) if kind is RecipeKind.FALSE_ACCEPT else None,
    )


def _graph(
    module: GraphModule,
    record: NodeRecord,
    settings: Settings,
    sizes: node_source.Sizes,
    *,
    inside: bool = False,
) -> RecipeGraph:
    node = _find(module, record)
    lines = node_source.written(node, module, sizes, alone=inside)
    if inside:
        return RecipeGraph(lines=lines, expected=Verdict.REJECT)
    options = compilation_settings(settings, truncate_double=False)
    verdict, _ = validate.ask(node, options)
    return RecipeGraph(lines=lines, expected=verdict)


def _network(
    report: Report,
    module: GraphModule,
    record: NodeRecord,
    sizes: node_source.Sizes,
    truncate_double: bool,
) -> RecipeGraph:
    """Returns the node as TensorRT is given it, operands in TensorRT's own dtypes."""
    tensorrt = {n.name: n.tensorrt for n in report.nodes if isinstance(n.tensorrt, str)}
    lines = node_source.written(
        _find(module, record), module, sizes, alone=True, dtypes=tensorrt
    )
    return RecipeGraph(lines=lines, expected=Verdict.ACCEPT, truncate_double=truncate_double)


def _find(module: GraphModule, record: NodeRecord) -> Node:
    for node in module.graph.nodes:
        if node.name == record.name:
            found: Node = node
            return found
    raise StageError("it is not in the lowered graph")


def _sentence(report: Report, record: NodeRecord) -> str | None:
    """Returns the sentence that TensorRT refuses a node with."""
    for row in record.verdicts:
        if row.validator == PROBE and row.reason:
            return row.reason
    engine = next((e for e in report.engines if e.build.node == record.name), None)
    return engine.build.error if engine is not None else None
