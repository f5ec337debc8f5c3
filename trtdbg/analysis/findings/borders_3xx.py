"""TD3xx: values that cross between engines and PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

from trtdbg.analysis.codes import Code, Explanation
from trtdbg.analysis.findings.evidence import Evidence
from trtdbg.analysis.findings.making import ExportedRows, bracketed, maker
from trtdbg.records import (
    Finding,
    Level,
    NodeRecord,
    Report,
)

ENTRIES = (
    Explanation(
        code=Code.TD301,
        name="missing-restoring-cast",
        level=Level.ERROR,
        what="A value leaves an engine narrower than the exported program promised, and "
        "nothing casts it back.",
        cause="Truncation made the engine compute float32 for what export promised as "
        "float64, and the repair after partitioning looked only at some of the values that "
        "cross.",
        cure="Use `--timing late`, which restores every promised dtype. With plain "
        "torch_tensorrt, cast the output yourself: `out = compiled(x).double()`.",
    ),
    Explanation(
        code=Code.TD302,
        name="repair-crashed",
        level=Level.ERROR,
        what="torch_tensorrt's own repair of the engine boundaries raised an exception.",
        cause="With `truncate_double=True` torch_tensorrt 2.13 and 2.14 run every engine's "
        "subgraph once in PyTorch to learn its output dtypes. That fails for outputs that "
        "are plain numbers, symbolic sizes for instance.",
        cure="Use `--timing late`, which reads dtypes from inference and runs nothing. With "
        "plain torch_tensorrt, turn `truncate_double` off and remove float64 from the model.",
    ),
    Explanation(
        code=Code.TD303,
        name="invalid-cast-in-pytorch",
        level=Level.ERROR,
        what="Truncation hands an operator that stays in PyTorch a dtype that it refuses.",
        cause="Some operators demand int64: `take`, `index_fill`, `one_hot`, the targets of a "
        "cross entropy, and in older versions of PyTorch every index. Others, such as "
        "`linear`, demand one dtype for all floats. `--timing early` narrows the PyTorch part "
        "too; what it may not narrow it leaves wide, and casts, which costs time and is a "
        "warning. Without a cast, as under `off` and `upstream`, the program raises when it "
        "runs.",
        cure="Use `--timing late`, which leaves the PyTorch part as it was, or do not narrow "
        "the dtype on that path: leave int64 out of `--inputs`, `--constants` or "
        "`--computed`.",
    ),
    Explanation(
        code=Code.TD304,
        name="weights-are-inputs",
        level=Level.NOTE,
        what="Parameters or buffers of the model are inputs of an engine and no constants in "
        "it.",
        cause="`torch.compile` hands its backend a graph whose parameters are inputs. "
        "torch_tensorrt's backend keeps them as such: constant folding does not see them, "
        "TensorRT cannot choose kernels by their values, converters that want a constant "
        "weight refuse, and each run binds them anew.",
        cure="Export the model and use `torch_tensorrt.compile` or "
        "`torch_tensorrt.dynamo.compile`, where parameters are constants.",
    ),
)

_finding = maker(ENTRIES)


def borders(
    report: Report, evidence: Evidence, nodes: dict[str, NodeRecord], exported: ExportedRows
) -> Iterator[Finding]:
    """Yields what crosses a border and should not, or not with that dtype."""
    yield from _weights(report)
    if evidence.repair_crash is not None:
        index = _engine_index(report, evidence.crashed_engine)
        place = f" at the borders of engine {index}" if index is not None else ""
        yield _finding(
            Code.TD302,
            f"torch_tensorrt's boundary repair raised {evidence.repair_crash}{place}; "
            f"compilation ends there",
            engine=index,
        )
        return
    for output in report.model.outputs:
        if output.bound is None or output.declared in (None, output.bound):
            continue
        node = nodes.get(output.name) or exported.row(output.name)
        # As the tables call it: lowering numbers what it replaces.
        name = output.name if node is None else node.name
        yield _finding(
            Code.TD301,
            f"program output {name}{bracketed(node)} was exported as {output.declared} "
            f"and is returned as {output.bound}: nothing casts it back",
            node,
        )
    for reader, (value, promised, given) in evidence.narrowed_readers.items():
        node = nodes.get(reader)
        if node is not None and reader not in evidence.refused:
            yield _finding(
                Code.TD301,
                f"{reader} ({node.target}) reads {value} as {given}, exported as {promised}: "
                f"nothing casts it back",
                node,
            )
    for name, sentence in evidence.refused.items():
        node = nodes.get(name)
        value, promised, given = evidence.narrowed_readers.get(name, ("an operand", "", ""))
        reads = f" {value} as {given}, exported as {promised}" if given else f" {value}"
        yield _finding(
            Code.TD303,
            f"{name}{bracketed(node)} reads{reads}, and refuses it: {sentence}",
            node,
        )
    yield from _widened(evidence, exported)


def _widened(evidence: Evidence, exported: ExportedRows) -> Iterator[Finding]:
    """Yields operators that timing early could not narrow; no harm inside an engine."""
    for name, sentence in evidence.widened.items():
        node = exported.row(name)
        inside = node is not None and node.engine is not None
        tail = f", inside engine {node.engine}" if node is not None and inside else ""
        yield _finding(
            Code.TD303,
            f"{name}{bracketed(node)} refuses narrow operands: {sentence}; it reads them "
            f"wide, by a cast where they are narrow already{tail}",
            node,
            level=Level.NOTE if inside else Level.WARNING,
        )


def _engine_index(report: Report, name: str | None) -> int | None:
    return next((engine.index for engine in report.engines if engine.name == name), None)


_NAMED = 3


def _weights(report: Report) -> Iterator[Finding]:
    """Yields the engines that are handed parameters of a dynamo graph as inputs."""
    recorded = report.model.recorded
    if recorded is None:
        return
    paths = dict(each.partition(" ")[::2] for each in recorded.weights)
    for engine in report.engines:
        handed = [
            paths[each.name] or each.name for each in engine.inputs if each.name in paths
        ]
        if not handed:
            continue
        more = f" and {len(handed) - _NAMED} more" if len(handed) > _NAMED else ""
        one = len(handed) == 1
        number = "1 parameter is an input" if one else f"{len(handed)} parameters are inputs"
        constants = "constant" if one else "constants"
        yield _finding(
            Code.TD304,
            f"{number} of engine {engine.index} and no {constants} in it: "
            f"{', '.join(handed[:_NAMED])}{more}",
            engine=engine.index,
        )
