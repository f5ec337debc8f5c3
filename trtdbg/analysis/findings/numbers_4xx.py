"""TD4xx: numbers that narrowing or a converter changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from trtdbg.analysis.codes import Code, Explanation
from trtdbg.analysis.findings.evidence import Evidence
from trtdbg.analysis.findings.making import (
    ExportedRows,
    bracketed,
    fractional_scalar,
    maker,
)
from trtdbg.analysis.needed import detours
from trtdbg.analysis.numerics import damages, not_finite_words, what_depends
from trtdbg.analysis.summary import graph_after
from trtdbg.dtypes import family
from trtdbg.records import (
    Finding,
    Level,
    NodeRecord,
    PassRecord,
    Phase,
    Report,
)

ENTRIES = (
    Explanation(
        code=Code.TD401,
        name="integer-overflow",
        level=Level.ERROR,
        what="An integer that is narrowed to int32 does not fit.",
        cause="A constant, a scalar or a value seen in a run lies outside -2147483648 to "
        "2147483647. Narrowed, it wraps around and becomes a different number without an "
        "error.",
        cure="Keep int64 where this value lives: leave int64 out of `--constants`, "
        "`--inputs` or `--computed`. TensorRT 10 and later compute INT64. If the value is "
        "only a marker such as -2**63 for 'nothing', use one that fits.",
    ),
    Explanation(
        code=Code.TD402,
        name="precision-loss",
        level=Level.WARNING,
        what="A float that is narrowed becomes infinite, becomes zero, or changes by more "
        "than the tolerance.",
        cause="float32 ends at about 3.4e38, loses what is smaller than about 1e-38, and "
        "keeps 7 decimal digits where float64 keeps 16. Masks filled with -1e300 or "
        "`torch.finfo(torch.float64).min` become -inf, and -inf minus -inf is nan.",
        cure="Write the constant so that float32 can hold it "
        "(`torch.finfo(torch.float32).min`), or keep the operators that need float64 in "
        "PyTorch by name (`--torch-executed-ops`), all of them up to where the value fits "
        "float32 again. No list of the policy does it: an engine has no float64.",
    ),
    Explanation(
        code=Code.TD403,
        name="scalar-coerced",
        level=Level.WARNING,
        what="A Python number changes its value when a converter casts it to a tensor's "
        "dtype.",
        cause="PyTorch promotes `int_tensor * 0.5` to float. A converter that first makes "
        "the scalar an integer, because the tensor is one, multiplies by 0 instead.",
        cure="Make the promotion explicit in the model: `int_tensor.float() * 0.5`, or keep "
        "the operator in PyTorch with `--torch-executed-ops`.",
    ),
    Explanation(
        code=Code.TD404,
        name="original-not-finite",
        level=Level.WARNING,
        what="The original program, with nothing truncated, makes nan or infinite values of "
        "finite ones.",
        cause="A value leaves the range of its own dtype (float16 ends at 65504), a zero is "
        "divided by, or a logarithm or root is taken of what has none. Truncation has no part "
        "in it, and that the truncated program agrees afterwards says nothing. It is a note "
        "where a later operator, such as `where`, leaves the values out again.",
        cure="Change the model at the source line shown, or the inputs: compute that part in "
        "float32 (`x.float()` before it, as layer norms do), scale before squaring, or clamp "
        "the operand of the division or logarithm. No policy of truncation helps.",
    ),
    Explanation(
        code=Code.TD405,
        name="float64-needed",
        level=Level.WARNING,
        what="Integers are computed in float64 and made integers again, and part of it would "
        "be computed in float32.",
        cause="float64 holds every integer up to 2**53, float32 only up to 2**24: beyond "
        "that, and near whole numbers before it, a `floor` or a cast in float32 gives another "
        "integer. TensorRT has no float64, so an engine computes float32 here under every "
        "policy.",
        cure="Compute with integers: `ids // n` for `floor(ids.double() / n)`, `ids % n`, "
        "`torch.div(ids, n, rounding_mode='floor')`; TensorRT has INT64. Or keep all "
        "operators named in the message in PyTorch, together, with `--torch-executed-ops`; "
        "one of them alone is not enough.",
    ),
    Explanation(
        code=Code.TD406,
        name="write-lost",
        level=Level.WARNING,
        what="The program writes to a buffer or to one of its inputs, and the lowered graph "
        "does not.",
        cause="Export keeps such a write as a `copy_` that nobody reads. A lowering pass of "
        "torch_tensorrt folds it or removes it as unused, so every run starts from the values "
        "that were exported. A single run shows no difference, and the second one is wrong: a "
        "counter stands still, a cache stays empty.",
        cure="Take the state as an input and return the new one: `def forward(self, x, "
        "cache): ...; return y, new_cache`. The caller hands it to the next run.",
    ),
)

_finding = maker(ENTRIES)


def constants(report: Report, nodes: dict[str, NodeRecord]) -> Iterator[Finding]:
    """Yields constants whose values do not survive narrowing."""
    held = {node.constant: node for node in report.nodes if node.constant is not None}
    for constant in report.constants:
        node = held.get(constant.name)
        reader = next((nodes[u] for u in node.users if u in nodes), None) if node else None
        if node is not None and node.source is None and reader is not None:
            node = msgspec.structs.replace(node, source=reader.source)
        read = f", read by {reader.name}{bracketed(reader)}," if reader is not None else ""
        if constant.overflowed and family(constant.original) == "int":
            yield _finding(
                Code.TD401,
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
                Code.TD402,
                f"constant {constant.name} ({constant.original}){read} loses values as "
                f"{constant.truncated}: {' and '.join(lost)}",
                node,
            )


def scalars(report: Report, evidence: Evidence, exported: ExportedRows) -> Iterator[Finding]:
    """Yields numbers that do not survive: too large, or cast to an integer tensor's dtype."""
    for name, lost in evidence.exported_scalars.items():
        yield _lost_scalar(exported.row(name), name, *lost)
    for node in report.nodes:
        if node.name in evidence.scalars and node.engine is not None:
            yield _lost_scalar(node, node.name, *evidence.scalars[node.name])
        if not isinstance(node.tensorrt, str) or not isinstance(node.truncated, str):
            continue
        scalar = fractional_scalar(node.args)
        if scalar is None or family(node.truncated) != "float":
            continue
        if node.tensorrt in ("INT32", "INT64", "INT8"):
            yield _finding(
                Code.TD403,
                f"{node.name} ({node.target}) computes {node.truncated} from the scalar "
                f"{scalar}, but the converter casts the scalar to {node.tensorrt}, which "
                f"makes it {int(float(scalar))}",
                node,
            )


def _lost_scalar(node: NodeRecord | None, name: str, value: float, dtype: str) -> Finding:
    integral = family(dtype) == "int"
    becomes = "0" if abs(value) < 1 else "inf" if value > 0 else "-inf"
    return _finding(
        Code.TD401 if integral else Code.TD402,
        f"{name}{bracketed(node)} uses the number {value:g}, which "
        f"{'does not fit' if integral else f'becomes {becomes} in'} {dtype}",
        node,
    )


def float64_needed(report: Report) -> Iterator[Finding]:
    """Yields where integers pass through float64 that an engine computes in float32."""
    for detour in detours(report):
        first, last = detour.enters, detour.rounds
        said = ", ".join(detour.nodes)
        yield _finding(
            Code.TD405,
            f"{last.name} ({last.target}): integers become float64 in {first.name} and "
            f"integers again in {detour.back.name}: exact up to 2**53 in float64, in float32 "
            f"up to 2**24 only; computed in float64: {said}",
            last,
        )


def lost_writes(report: Report, nodes: dict[str, NodeRecord]) -> Iterator[Finding]:
    """Yields writes to buffers and inputs that lowering takes out of the graph."""
    done = [made for made in report.passes if made.error is None]
    decomposed = [made for made in done if made.phase is Phase.DECOMPOSITION]
    if not decomposed:
        return
    after = [made for made in done if made.phase is Phase.POST_LOWERING]
    # The write is put in where parameters are unlifted, which is the last of these.
    first = {node.name: node for node in graph_after(report, decomposed[-1])}
    for name, write in first.items():
        if write.target != "aten.copy_.default" or len(write.operands) < 2:
            continue
        gone = next((p for p in after if not _holds(report, p, name)), None)
        target = first.get(write.operands[0])
        if gone is None or target is None:
            continue
        value = first.get(write.operands[1])
        what = f"buffer {target.target}" if target.op == "get_attr" else f"input {target.name}"
        row = nodes.get(write.operands[1]) or nodes.get(target.name)
        source = value.source if value is not None else None
        if row is not None and row.source is None and source is not None:
            row = msgspec.structs.replace(row, source=source)
        place = f" ({source})" if row is None and str(source or "") else ""
        yield _finding(
            Code.TD406,
            f"what the program writes to its {what} is lost: pass {gone.index} {gone.name} "
            f"takes the write out, and every run starts from the exported values{place}",
            row,
        )


def _holds(report: Report, made: PassRecord, name: str) -> bool:
    return any(node.name == name for node in graph_after(report, made))


def not_finite(report: Report) -> Iterator[Finding]:
    """Yields where a run showed that the original goes wrong by itself."""
    wrong = report.numerics.not_finite if report.numerics is not None else None
    if report.numerics is None or wrong is None:
        return
    node = next((n for n in report.nodes if n.name == wrong.node), None)
    yield _finding(
        Code.TD404,
        f"{wrong.node}{bracketed(node)}: the original program itself, untruncated, makes "
        f"{not_finite_words(wrong)} of finite ones, seen on {report.numerics.inputs}; "
        f"{what_depends(wrong)}",
        node,
        level=None if wrong.outputs else Level.NOTE,
    )


def measured(report: Report, found: Iterable[Finding]) -> Iterator[Finding]:
    """Yields what a run with numbers showed, where no other finding says it already.

    Args:
        report: with its measured numerics.
        found: the findings so far.
    """
    nodes = {node.name: node for node in report.nodes}
    said = {(finding.code, finding.node) for finding in found}
    for damage in damages(report):
        # What truncation alone tells, or a converter's coercion explains, is not said twice.
        if not said & {(damage.code, damage.node), (Code.TD403, damage.node)}:
            yield _finding(damage.code, damage.message, nodes.get(damage.node))
