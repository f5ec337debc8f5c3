"""A lowering pass that raises in a decomposition: which operator, which line, and where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from trtdbg.analysis.cause_lines import lines
from trtdbg.analysis.causes import operators_outside, why
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import CauseKind, Report

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")


def session() -> Any:
    """Returns the session of a program that torch_tensorrt's decomposition refuses."""
    import torch

    from trtdbg.archive.load import LoadedProgram
    from trtdbg.session.session import Session
    from trtdbg.worker.messages import Job

    class Scatter(torch.nn.Module):
        def forward(self, x: Any, index: Any) -> Any:
            y = torch.relu(x)
            return torch.zeros_like(y).scatter_reduce(0, index, y, "sum", include_self=False)

    args = (torch.randn(4, 3), torch.zeros(4, 3, dtype=torch.int64))
    program = torch.export.export(Scatter().eval(), args)
    loaded = LoadedProgram(program, "model", "m.pt2", "", 0, None)
    job = Job(model="m.pt2", settings=Settings())
    return Session(job, lambda _: None, loaded)


def report(timing: Timing = Timing.UPSTREAM) -> Report:
    made: Report = session().analyze(TruncationPolicy(timing=timing))
    return made


@pytest.mark.parametrize("timing", [Timing.UPSTREAM, Timing.LATE])
def test_one_cause_names_the_operator_the_line_and_the_decomposition(timing: Timing) -> None:
    made = report(timing)
    (cause,) = made.causes
    assert (cause.kind, cause.code) == (CauseKind.LOWERING_FAILED, "TD501")
    assert str(cause.target).endswith("aten.scatter_reduce.two")
    (source,) = cause.sources
    assert "scatter_reduce(0, index" in str(source.code)
    assert f"on aten.scatter_reduce.two ({source})" in cause.reason
    place = r"\(raised in torch_tensorrt/dynamo/lowering/_decompositions\.py:\d+\)"
    assert re.search(place, cause.reason)
    assert "include_self False" in cause.reason
    assert lines(made)[0].startswith(f"aten.scatter_reduce.two ({source}): lowering pass")


def test_the_sentence_is_the_same_for_each_operator_that_was_not_analysed() -> None:
    made = report()
    outside = operators_outside(made)
    assert len(outside) >= 3
    assert {why(made, node) for node in outside} == {made.causes[0].reason}
    assert set(made.causes[0].nodes) == {node.name for node in outside}


def test_a_part_of_the_program_is_lowered_alone_and_saved(tmp_path: Path) -> None:
    import torch

    from trtdbg.worker.messages import PROGRAM, Attempt, Job

    opened, saved = session(), tmp_path / "part.pt2"
    job = Job(model="m.pt2", settings=Settings())
    whole = Attempt(job=job, policy=TruncationPolicy(), engine=PROGRAM)
    failed = opened.attempt(whole)
    assert failed.operators == (
        "aten.relu.default",
        "aten.zeros_like.default",
        "aten.scatter_reduce.two",
    )
    assert failed.build.stage == "run_decompositions"
    assert "include_self False" in str(failed.build.error)
    alone = opened.attempt(replace(whole, kept=(2,), save=str(saved)))
    assert alone.build.error == failed.build.error
    assert alone.operators == ("aten.scatter_reduce.two",)
    assert len(torch.export.load(saved).graph_signature.user_inputs) == 3
    good = opened.attempt(replace(whole, kept=(0, 1)))
    assert good.build.error is None
    assert "trtdbg repro MODEL -o DIR --code TD501" in " ".join(lines(report()))
