"""Small programs under a low precision, for the tests of it."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trtdbg.archive.load import LoadedProgram  # noqa: E402
from trtdbg.policy import Precision, Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.worker.messages import Job  # noqa: E402

HALF = TruncationPolicy(timing=Timing.LATE, precision=Precision.FLOAT16)
BRAIN = TruncationPolicy(timing=Timing.LATE, precision=Precision.BFLOAT16)


class Applied(torch.nn.Module):
    """A function of its inputs."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def session(
    model: Any,
    *args: Any,
    settings: Settings | None = None,
    emit: Any = None,
    probe: float = 0.0,
    **export: Any,
) -> Any:
    """Returns a session of a module exported with its arguments."""
    from trtdbg.session.session import Session

    with torch.no_grad():
        program = torch.export.export(model.eval(), args, **export)
    loaded = LoadedProgram(
        program=program,
        name="model",
        path="model",
        sha256="",
        bytes=0,
        example_inputs=(args, {}),
    )
    job = Job(model="model", settings=settings or Settings(), probe_seconds=probe)
    return Session(job, emit or (lambda _: None), loaded)


def lows(report: Any) -> dict[str, Any]:
    """Returns what was decided of each node of a report, by name."""
    return {node.name: node.low for node in report.nodes if node.low is not None}


def of_operator(report: Any, name: str) -> Any:
    """Returns the only node whose operator has a name."""
    (node,) = [each for each in report.nodes if each.target.startswith(f"aten.{name}.")]
    return node


def partitioned(session: Any, policy: TruncationPolicy) -> Any:
    """Returns the partitioned and repaired program of an analysis."""
    return session._analysis(policy).analysed.program.module


def casts(module: Any) -> list[Any]:
    """Returns every cast of a split graph, engines included."""
    found = []
    for each in module.modules():
        if isinstance(each, torch.fx.GraphModule):
            found += [
                node
                for node in each.graph.nodes
                if node.target is torch.ops.aten._to_copy.default
            ]
    return found
