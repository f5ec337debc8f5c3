"""Brings what an analysis made and the inputs together for the stage that compares values."""

from __future__ import annotations

import msgspec
from torch.fx import GraphModule, Node

from trtdbg.analysis.codes import Code
from trtdbg.analysis.layers import is_other_kind
from trtdbg.dtypes import from_tensorrt
from trtdbg.graphs.deviations import Tolerance
from trtdbg.graphs.graph import Emit, output_values
from trtdbg.graphs.low_arithmetic import LowArithmetic
from trtdbg.graphs.replay import ProgramInputs
from trtdbg.records import BuildStatus, LowRule, Numerics, Report, dtype_text
from trtdbg.session.analysed import Analysed
from trtdbg.session.lowered import FailedLowering, Lowered
from trtdbg.session.runnable import obstacle
from trtdbg.stages.numerics import Truncated, measure_programs, same_nodes


def measure(
    original: Lowered | FailedLowering,
    analysed: Analysed,
    report: Report,
    given: ProgramInputs,
    tolerance: Tolerance,
    emit: Emit,
    *,
    accumulate_low: bool = False,
) -> Numerics:
    """Returns what the truncation of a report does to the numbers on the inputs given.

    Where there is no truncated program to run, or nothing that it changes, the note says so.
    """
    blank = Numerics(
        inputs=given.origin, seed=given.seed, atol=tolerance.atol, rtol=tolerance.rtol
    )
    why = obstacle(analysed)
    if isinstance(original, FailedLowering):
        return msgspec.structs.replace(blank, note=f"not measured: {original.error()}")
    if why is not None:
        return msgspec.structs.replace(blank, note=f"not measured: {why}")
    coerced = {f.node for f in report.findings if f.code == Code.TD403}
    assert analysed.captured.module is not None
    assert analysed.program is not None
    truncated = Truncated(
        module=analysed.program.module,
        nodes=tuple(node.name for node in report.nodes if node.op != "output"),
        same_node=same_nodes(original.inferred.module, analysed.captured.module),
        engine_typing=analysed.truncated if report.policy.timing.is_upstream else None,
        coerced=frozenset(name for name in coerced if name is not None),
        other_kinds={} if coerced else _other_kinds(report),
        low=_low_nodes(report),
        arithmetic=_arithmetic(report, accumulate_low),
    )
    measured = measure_programs(
        original.inferred.module,
        truncated,
        given,
        _output_names(analysed.captured.module, report),
        tolerance=tolerance,
        emit=emit,
    )
    return msgspec.structs.replace(measured, note=_note(report))


def _other_kinds(report: Report) -> dict[str, str]:
    """Returns the nodes that TensorRT computes in another kind of number, with its dtype."""
    return {
        node.name: real
        for node in report.nodes
        if is_other_kind(node)
        and isinstance(node.tensorrt, str)
        and (real := from_tensorrt(node.tensorrt)) is not None
    }


def _arithmetic(report: Report, accumulate_low: bool) -> LowArithmetic | None:
    policy = report.policy
    if not policy.is_low:
        return None
    return LowArithmetic(policy.precision.value, accumulate_low)


def _low_nodes(report: Report) -> frozenset[str]:
    return frozenset(
        node.name
        for node in report.nodes
        if node.low is not None and node.low.rule is LowRule.LOW
    )


def _output_names(lowered: GraphModule, report: Report) -> tuple[str, ...]:
    """Returns the outputs' names in the lowered graph; a number has its exported name."""
    returned = output_values(lowered.graph)
    named = report.model.outputs
    return tuple(
        value.name if isinstance(value, Node) else named[i].name if i < len(named) else "-"
        for i, value in enumerate(returned)
    )


def _note(report: Report) -> str | None:
    """Returns what is left of float64, which TensorRT does not have, if none is truncated."""
    off = not report.policy.timing.narrows_engines
    if not off and not (
        report.policy.timing.is_upstream and not report.settings.truncate_double
    ):
        return None
    inside = [node for node in report.nodes if node.engine is not None]
    if any("float64" in dtype_text(node.inferred) for node in inside):
        failed = [str(e.index) for e in report.engines if e.build.status is BuildStatus.FAILED]
        noun = "engine" if len(failed) == 1 else "engines"
        verb = "does" if len(failed) == 1 else "do"
        tail = f"; {noun} {', '.join(failed)} {verb} not build" if failed else ""
        return f"the policy truncates nothing, but engines compute float64 as float32{tail}"
    return "nothing is truncated"
