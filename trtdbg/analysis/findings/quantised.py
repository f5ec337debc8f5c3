"""TD605: what torch_tensorrt makes of quantised operators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trtdbg.analysis.codes import Code, Explanation
from trtdbg.analysis.findings.making import maker
from trtdbg.analysis.leaks import FOLDING
from trtdbg.analysis.summary import broken_end, count, graph_after
from trtdbg.records import Finding, GraphNode, Level, NodeRecord, Report

ENTRY = Explanation(
    code=Code.TD605,
    name="quantised",
    level=Level.WARNING,
    what="The program holds quantised operators, and not all of them reach an engine.",
    cause="torch_tensorrt has no converter for `quantized_decomposed`, which torchao and pt2e "
    "write. What reads only constants is folded: a weight is float32 again, with nothing of "
    "its quantisation left; the others run in PyTorch. Of modelopt's `tensorrt.quantize_op` "
    "it has a converter, registered only where `import modelopt.torch.quantization` works.",
    cure="Quantise with nvidia-modelopt (`mtq.quantize`, exported in `export_torch_mode`), "
    "and have it installed beside torch_tensorrt: its operators become QUANTIZE and "
    "DEQUANTIZE layers. With only weights quantised, `--low float16` makes the float32 that "
    "is left half as large.",
)

PT2E = "quantized_decomposed."
MODELOPT = ("tensorrt.quantize_op.", "tensorrt.dynamic_block_quantize_op.")

_finding = maker((ENTRY,))


def quantised(report: Report) -> Iterator[Finding]:
    """Yields what became of the quantised operators, of each of the two kinds."""
    if not report.passes or broken_end(report) is not None:
        return
    exported = graph_after(report, report.passes[0])
    for kind, prefixes in (("quantized_decomposed", (PT2E,)), ("modelopt", MODELOPT)):
        named = [each for each in exported if each.target.startswith(prefixes)]
        left = [node for node in report.nodes if node.target.startswith(prefixes)]
        if named or left:
            yield _told(report, kind, named, left)


def _told(
    report: Report, kind: str, named: Sequence[GraphNode], left: Sequence[NodeRecord]
) -> Finding:
    folded_by = [record for record in report.passes if record.name == FOLDING]
    gone = {name for record in folded_by for name in record.removed}
    folded = [each for each in named if each.name in gone]
    held = [node for node in left if node.engine is not None]
    outside = [node for node in left if node.engine is None]
    parts = [f"{count(max(len(named), len(left)), 'operator')} of {_WORDS[kind]}"]
    if held:
        engines = sorted({node.engine for node in held if node.engine is not None})
        where = ", ".join(map(str, engines))
        parts.append(f"{_are(held)} converted to QUANTIZE and DEQUANTIZE in engine {where}")
    if folded:
        place = f" ({folded[0].source})" if str(folded[0].source or "") else ""
        first = f"from {folded[0].name}{place} on"
        parts.append(f"{_are(folded)} folded into constants, not quantised any more, {first}")
    if outside:
        parts.append(f"{_are(outside)} left to PyTorch, as nothing converts it")
    if folded or outside:
        parts.append(_WORKS[kind])
    level = Level.WARNING if folded or outside else Level.NOTE
    return _finding(Code.TD605, "; ".join(parts), next(iter(outside), None), level=level)


def _are(some: Sequence[object]) -> str:
    return f"{len(some)} {'is' if len(some) == 1 else 'are'}"


_WORDS = {
    "quantized_decomposed": "quantized_decomposed (torchao, pt2e)",
    "modelopt": "modelopt (tensorrt.quantize_op)",
}
_WORKS = {
    "quantized_decomposed": "torch_tensorrt converts modelopt's operators only",
    "modelopt": "torch_tensorrt converts them only where `import modelopt.torch.quantization` "
    "works when it is imported",
}
