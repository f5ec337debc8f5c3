"""Brings what an analysis made and the inputs together for the stage that compares values."""

from __future__ import annotations

import msgspec

from trtdbg.analysis.codes import Code
from trtdbg.graphs.deviations import Tolerance
from trtdbg.graphs.graph import Emit
from trtdbg.graphs.replay import ProgramInputs
from trtdbg.policy import Timing
from trtdbg.records import Agreement, NodeError, Numerics, Report
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
    nothing_truncated = report.policy.timing is Timing.OFF
    if nothing_truncated and not coerced:
        return msgspec.structs.replace(
            blank, note="nothing is truncated", outputs=_without_error(report)
        )
    assert analysed.captured.module is not None
    assert analysed.program is not None
    truncated = Truncated(
        module=analysed.program.module,
        nodes=tuple(node.name for node in report.nodes if node.op != "output"),
        same_node=same_nodes(original.inferred.module, analysed.captured.module),
        float64_in_engines=nothing_truncated,
        engine_typing=analysed.truncated if report.policy.timing.is_upstream else None,
        coerced=frozenset(name for name in coerced if name is not None),
    )
    return measure_programs(
        original.inferred.module,
        truncated,
        given,
        tuple(output.name for output in report.model.outputs),
        tolerance=tolerance,
        emit=emit,
    )


def _without_error(report: Report) -> tuple[NodeError, ...]:
    return tuple(
        NodeError(
            name=output.name,
            agreement=Agreement.WITHIN,
            original=output.declared,
            computed=output.declared,
            max_abs_error=0.0,
            max_rel_error=0.0,
        )
        for output in report.model.outputs
    )
