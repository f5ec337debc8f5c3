"""TD6xx: what a low precision does, or what keeps a low model from being low."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from trtdbg.analysis import leaks
from trtdbg.analysis.cause_lines import cure_text
from trtdbg.analysis.codes import Code, Explanation
from trtdbg.analysis.findings import quantised
from trtdbg.analysis.findings.evidence import Evidence
from trtdbg.analysis.findings.making import bracketed, maker
from trtdbg.analysis.summary import count
from trtdbg.records import Cure, Finding, Level, LowRule, NodeRecord, Report

ENTRIES = (
    Explanation(
        code=Code.TD601,
        name="mixed-precision-leak",
        level=Level.WARNING,
        what="In a half-precision model a float32 value makes what follows float32 too.",
        cause="PyTorch promotes float16 with a float32 tensor of one or more dimensions to "
        "float32. One parameter or buffer that stayed float32 is enough.",
        cure="Convert that parameter or buffer to the model's type: `model.half()` after it "
        "is registered, or `.to(x.dtype)` where it is read. If the float32 is meant, write it "
        "as such: `(x.float() * self.gain).to(x.dtype)`.",
    ),
    Explanation(
        code=Code.TD602,
        name="leaves-low-range",
        level=Level.WARNING,
        what="A low-precision program makes infinite or nan values that the original does not "
        "have.",
        cause="float16 ends at 65504, and what is below 6e-8 becomes zero. The operator was "
        "low although its values are beyond that on these inputs.",
        cure="Keep it in float32: `--keep-nodes NODE`, or let `--keep-rules range` see the "
        "values. `trtdbg precision MODEL --low TYPE` finds the fewest that have to stay. "
        "bfloat16 has the range of float32.",
    ),
    Explanation(
        code=Code.TD603,
        name="autocast-raised",
        level=Level.ERROR,
        what="Lowering raises with torch_tensorrt's own low precision, and does not without.",
        cause="Its pass casts every tensor operand of every operator that no rule keeps, "
        "integers too, and takes every result for one tensor. The rest of the report is about "
        "the program without it.",
        cure="`--timing late --low TYPE` casts floating values only. With plain "
        "torch_tensorrt, convert the model before its export (`model.half()`) in place of "
        "`enable_autocast`. Excluding the operator or its module does not help: what is "
        "excluded is cast to float32 in the same way.",
    ),
    Explanation(
        code=Code.TD604,
        name="output-dtype-changed",
        level=Level.WARNING,
        what="torch_tensorrt's own low precision changes the dtype of a program output.",
        cause="Its pass does not cast back what the program returns, so a caller gets another "
        "dtype than export promised.",
        cure="Cast the output where it is used, or use `--timing late`, whose outputs stay as "
        "exported.",
    ),
    quantised.ENTRY,
)

_finding = maker(ENTRIES)


def precision(report: Report, evidence: Evidence) -> Iterator[Finding]:
    """Yields what a low precision, or a half model, does."""
    nodes = {node.name: node for node in report.nodes}
    yield from _leaks(report, nodes, evidence.leak_cures or {})
    yield from _range(report, nodes)
    yield from _raised(report, evidence)
    yield from _outputs(report)
    yield from quantised.quantised(report)


def _leaks(
    report: Report, nodes: dict[str, NodeRecord], cures: dict[str, Cure]
) -> Iterator[Finding]:
    told: list[Cure] = []
    for leak in leaks.leaks(report):
        share = f"{leak.widened} of {leak.operators} floating operators"
        message = (
            f"{leak.place} is float32 in a {leak.low} model: {share} compute in float32 "
            f"behind it, the first is {leak.first}{bracketed(nodes.get(leak.first))}"
        )
        if leak.together > leak.widened:
            message += f" ({leak.together} with the other float32 values)"
        if leak.casts:
            message += f", with {count(leak.casts, 'cast')} at its borders"
        found = _finding(Code.TD601, message, nodes.get(leak.node))
        first = nodes.get(leak.first)
        if found.source is None and first is not None and first.source is not None:
            # A constant stands on no line; what reads it does.
            message, source = f"{message} ({first.source})", first.source
            found = msgspec.structs.replace(found, message=message, source=source)
        if leak.node in cures:
            cure = cures[leak.node]
            found = msgspec.structs.replace(found, cures=(cure,))
            if cure not in told:
                # All that leak have one cure.
                told.append(cure)
                message = f"{found.message}; {cure_text(cure)}"
                found = msgspec.structs.replace(found, message=message)
        yield found


def _range(report: Report, nodes: dict[str, NodeRecord]) -> Iterator[Finding]:
    measured = report.numerics
    if measured is None or not report.policy.is_low:
        return
    told: dict[str, list[str]] = defaultdict(list)
    for name, word in ((measured.first_inf, "infinite"), (measured.first_nan, "nan")):
        if name is not None:
            told[name].append(word)
    rows = {row.name: row for row in measured.nodes}
    for name, words in told.items():
        node, row = nodes.get(name), rows.get(name)
        seen = row.range if row is not None else None
        largest = (
            f"; the original holds up to {seen.largest:.4g} there"
            if (seen is not None and seen.largest is not None)
            else ""
        )
        message = (
            f"{name}{bracketed(node)} is the first that becomes {' and '.join(words)} in "
            f"{report.policy.precision.value} on {measured.inputs}{largest}"
        )
        yield _finding(Code.TD602, message, node)


def _raised(report: Report, evidence: Evidence) -> Iterator[Finding]:
    failed = evidence.autocast_failure
    if failed is None:
        return
    node = next((n for n in report.nodes if failed.node in (n.name, n.from_node)), None)
    at = f" on {failed.node}{bracketed(node)}" if failed.node is not None else ""
    behind = f"; caused by {failed.caused_by}" if failed.caused_by else ""
    message = (
        f"with autocast lowering pass {failed.name} raised {failed.error}{at}{behind}; the "
        f"rest of this report is without autocast"
    )
    yield _finding(Code.TD603, message, node)


def _outputs(report: Report) -> Iterator[Finding]:
    if not any(n.low is not None and n.low.rule is LowRule.LOW for n in report.nodes):
        return
    if not report.policy.timing.is_upstream:
        return
    for output in report.model.outputs:
        low = output.bound in ("float16", "bfloat16")
        if low and output.declared == "float32":
            message = f"output {output.name} is {output.bound}, export promised float32"
            yield _finding(Code.TD604, message)
