"""TD5xx: lowering, partitioning or a build that failed."""

from __future__ import annotations

from collections.abc import Iterator

from trtdbg.analysis.causes import handed_on
from trtdbg.analysis.codes import Code, Explanation
from trtdbg.analysis.findings.evidence import Evidence
from trtdbg.analysis.findings.making import bracketed, maker
from trtdbg.analysis.findings.verdicts_1xx import false_accept, inside
from trtdbg.records import (
    BuildStatus,
    EngineRecord,
    Finding,
    Level,
    NodeRecord,
    Report,
)

ENTRIES = (
    Explanation(
        code=Code.TD501,
        name="lowering-failed",
        level=Level.ERROR,
        what="A lowering pass of torch_tensorrt raised an exception, so nothing after it was "
        "analysed.",
        cause="The pass met a graph that it does not handle. The message names the pass, and "
        "the report shows the last graph that was still good.",
        cure="Write the operator at the line of the message otherwise, or where it names "
        "none, what the previous pass changed. `trtdbg repro MODEL -o DIR --code TD501` cuts "
        "the program down to the fewest operators that the pass raises the same on, as a .pt2 "
        "and a script for a bug report.",
    ),
    Explanation(
        code=Code.TD502,
        name="partition-failed",
        level=Level.ERROR,
        what="The partitioner raised an exception, so there are no engines.",
        cause="The partitioner found a graph that it cannot cut, or a validator raised while "
        "the partitioner asked it (TD103 names that one).",
        cure="Keep the operator that TD103 names in PyTorch with `--torch-executed-ops`, or "
        "use `--timing late`, which takes a validator that raises for one that refuses.",
    ),
    Explanation(
        code=Code.TD503,
        name="build-failed",
        level=Level.ERROR,
        what="TensorRT could not build an engine.",
        cause="Every operator was accepted, yet TensorRT refused the network: a dtype "
        "combination that it has no kernel for, a shape that it cannot resolve, or a limit "
        "of its compiler. TensorRT's own sentence stands in the message.",
        cure="`trtdbg repro MODEL -o DIR --code TD503` cuts the engine down to the fewest "
        "operators that TensorRT refuses with the same words, as a .pt2 and a script for a "
        "bug report. Keep one of them in PyTorch with `--torch-executed-ops`, or write that "
        "part of the model otherwise. `trtdbg build MODEL --json -` holds TensorRT's log.",
    ),
)

_finding = maker(ENTRIES)


def lowering(report: Report, evidence: Evidence) -> Iterator[Finding]:
    """Yields the pass or the partitioner that raised."""
    if evidence.lowering_error is not None:
        name, error = evidence.lowering_error
        good = next((p for p in reversed(report.passes) if p.error is None), None)
        after = (
            f"; the last good graph is that after pass {good.index} {good.name}"
            if good
            else ""
        )
        failed = next((p for p in report.passes if p.error is not None), None)
        node = next((n for n in report.nodes if failed and n.name == failed.node), None)
        at = f" on {node.name}{bracketed(node)}" if node is not None else ""
        behind = f"; caused by {failed.caused_by}" if failed and failed.caused_by else ""
        message = f"lowering pass {name} raised {error}{at}{behind}{after}"
        yield _finding(Code.TD501, message, node)
    if evidence.partition_error is not None:
        yield _finding(
            Code.TD502, f"torch_tensorrt's partitioner raised {evidence.partition_error}"
        )


def builds(report: Report) -> Iterator[Finding]:
    """Yields engines that do not build."""
    nodes = {node.name: node for node in report.nodes}
    for engine in report.engines:
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
            Code.TD503,
            f"engine {engine.index} does not build: {engine.build.error}"
            + _handed_on(report, engine),
            engine=engine.index,
        )
    elif not any(inside(report, node)):
        yield false_accept(report, node, engine.build.error or "TensorRT refuses it")


def _handed_on(report: Report, engine: EngineRecord) -> str:
    """Returns what an engine holds that only others read, as the end of a sentence."""
    constants, graphs = handed_on(report, engine)
    taken = [
        f"the {noun if len(names) == 1 else noun + 's'} {', '.join(names)}"
        for noun, names in (("subgraph", graphs), ("constant", constants))
        if names
    ]
    if not taken:
        return ""
    named = " and ".join(taken)
    return f"; torch_tensorrt took {named} into it, which no operator of it reads"


def _named_in(error: str, engine: EngineRecord) -> str | None:
    """Returns the node whose layer TensorRT's sentence names; the longest name wins."""
    named = [layer for layer in engine.layers if layer.node and layer.name in error]
    return max(named, key=lambda layer: len(layer.name)).node if named else None
