"""TD2xx: dtypes that are not what the graph or a declaration says."""

from __future__ import annotations

from collections.abc import Iterator

from trtdbg.analysis.codes import Code, Explanation
from trtdbg.analysis.findings.making import bracketed, fractional_scalar, maker
from trtdbg.analysis.layers import is_other_kind
from trtdbg.records import (
    Finding,
    Level,
    NodeRecord,
    Report,
    dtype_text,
)

ENTRIES = (
    Explanation(
        code=Code.TD201,
        name="stale-dtype",
        level=Level.WARNING,
        what="The dtype recorded in the graph is not the dtype that the operator really "
        "computes.",
        cause="A pass changed the graph and left the old metadata on a node. Everything that "
        "trusts the record afterwards (validators, engine declarations, boundary casts) is "
        "misled. The message names the pass after which record and computation part.",
        cure="Use `--timing late` or `early`, which infer all dtypes anew. If the pass is "
        "your own, let it update `node.meta['val']` and `node.meta['tensor_meta']`.",
    ),
    Explanation(
        code=Code.TD202,
        name="declared-dtype-mismatch",
        level=Level.WARNING,
        what="An engine input or output is declared with one dtype and bound with another.",
        cause="The graph around the engine says float64, say, while TensorRT's network takes "
        "or returns float32. Whoever reads the declaration reserves the wrong type, and "
        "values are cast silently, or not at all.",
        cure="Use `--timing late`, which declares engines with the truncated dtypes and "
        "inserts the casts that are needed, or cast the value explicitly in the model.",
    ),
    Explanation(
        code=Code.TD203,
        name="converter-widened",
        level=Level.WARNING,
        what="A converter creates a wide value that the model never had.",
        cause="Some converters build helper constants or indices as INT64 or as float64 "
        "arrays although the operator's own operands are narrow. TensorRT then computes, or "
        "casts, in the wide type.",
        cure="Nothing in the model is wrong. It costs time and memory inside the engine; if "
        "that matters, keep the operator in PyTorch, or report the converter named in the "
        "message.",
    ),
    Explanation(
        code=Code.TD204,
        name="other-kind-of-number",
        level=Level.WARNING,
        what="TensorRT computes integers where the graph says floats, or floats where it says "
        "integers.",
        cause="A converter decides by something else than the dtype that the operator was "
        "given: that of `arange` with a dynamic end reads a size, makes an INT32 range, and "
        "forgets `dtype=float32`. What follows is integer arithmetic, `n / 3` rounded down "
        "for instance.",
        cure="Make the dtype explicit behind the operator: `torch.arange(n).float()` in place "
        "of `torch.arange(n, dtype=torch.float32)`, or keep the operator in PyTorch with "
        "`--torch-executed-ops`.",
    ),
)

_finding = maker(ENTRIES)


def dtypes(report: Report) -> Iterator[Finding]:
    """Yields dtypes that are not what the graph, or an engine's declaration, says."""
    nodes = {node.name: node for node in report.nodes}
    yield from _stale(report)
    yield from _converter_widened(report, nodes)
    yield from _declared(report, nodes)
    yield from _other_kind(report, nodes)


def _stale(report: Report) -> Iterator[Finding]:
    if report.policy.timing.narrows_pytorch:
        # The graph was lowered with other dtypes: record and plain inference cannot agree.
        return
    for node in report.nodes:
        # Where lowering has failed nothing is inferred that a record could disagree with.
        if node.op == "output" or None in (node.recorded, node.inferred):
            continue
        if node.recorded == node.inferred:
            continue
        timing = report.policy.timing
        resolved = timing.narrows_engines and not timing.is_upstream
        tail = f"; timing {timing.value} goes by what it computes" if resolved else ""
        yield _finding(
            Code.TD201,
            f"{node.name} ({node.target}) is recorded as {dtype_text(node.recorded)} but "
            f"computes {dtype_text(node.inferred)}, since pass {_parting(report, node)}{tail}",
            node,
            level=Level.NOTE if resolved else None,
        )


def _parting(report: Report, node: NodeRecord) -> str:
    """Returns the first pass after which the recorded dtype is not what the node computes."""
    for execution in report.passes:
        for index in execution.graph:
            entry = report.graph_nodes[index]
            if entry.name == node.name and entry.dtype != node.inferred:
                return f"{execution.index} {execution.name}"
    return "unknown"


def _converter_widened(report: Report, nodes: dict[str, NodeRecord]) -> Iterator[Finding]:
    for engine in report.engines:
        for widened in engine.widened:
            node = nodes.get(widened.node)
            if node is not None:
                yield _finding(
                    Code.TD203,
                    f"the converter of {node.name} ({node.target}) creates a float64 value "
                    f"that the model never had",
                    node,
                )


def _declared(report: Report, nodes: dict[str, NodeRecord]) -> Iterator[Finding]:
    for engine in report.engines:
        for kind, bindings in (("input", engine.inputs), ("output", engine.outputs)):
            for binding in bindings:
                if None not in (binding.declared, binding.bound) and (
                    binding.declared != binding.bound
                ):
                    node = nodes.get(binding.name)
                    double = binding.declared == "float64"
                    lacks = "; TensorRT has no float64" if double else ""
                    yield _finding(
                        Code.TD202,
                        f"engine {engine.index} {kind} {binding.name}{bracketed(node)} is "
                        f"declared {binding.declared} and bound as {binding.bound}{lacks}",
                        node,
                        engine=engine.index,
                    )


def _other_kind(report: Report, nodes: dict[str, NodeRecord]) -> Iterator[Finding]:
    """Yields operators at which floats become integers in TensorRT, or the reverse.

    Of those that follow from it nothing is said again.
    """
    for node in report.nodes:
        if node.engine is None or not is_other_kind(node):
            continue
        before = [nodes[name] for name in node.operands if name in nodes]
        # TD403 speaks of a number in the call that became an integer.
        if any(map(is_other_kind, before)) or fractional_scalar(node.args) is not None:
            continue
        yield _finding(
            Code.TD204,
            f"{node.name} ({node.target}) is {dtype_text(node.truncated)} in the graph, and "
            f"TensorRT makes it {dtype_text(node.tensorrt)}: what follows from it is computed "
            f"so too",
            node,
        )
