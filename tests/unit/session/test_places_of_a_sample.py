"""Lines and modules of a real analysis: attention scores computed in float64, four layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from trtdbg.analysis.by_place import by_line, by_module
from trtdbg.analysis.causes import is_operator
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Report
from trtdbg.worker.messages import Job

SAMPLE = Path(__file__).parents[3] / "samples" / "attention_float64.pt2"

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")


@pytest.fixture(scope="module")
def report() -> Report:
    from trtdbg.session.session import Session

    session = Session(Job(model=str(SAMPLE), settings=Settings()), lambda event: None)
    return session.analyze(TruncationPolicy(timing=Timing.UPSTREAM))


def test_the_line_with_double_comes_first_with_all_its_refusals(report: Report) -> None:
    first, second = by_line(report)[:2]
    assert first.code is not None
    assert ".double()" in first.code
    assert (first.refused, first.torch_ops, first.casts) == (4, 4, 4)
    assert second.refused == 0


def test_rows_add_up_to_the_report(report: Report) -> None:
    for rows in (by_line(report), by_module(report)[:1]):
        assert sum(row.torch_ops for row in rows) == len(report.torch_ops)
        assert sum(row.casts for row in rows) == len(report.boundary_casts)
        assert sum(row.operators for row in rows) == sum(map(is_operator, report.nodes))


def test_the_four_layers_are_one_row(report: Report) -> None:
    rows = {row.path: row for row in by_module(report)}
    assert len(rows["blocks.0.attention"].stands_for) == 4
    assert rows["blocks.0.attention"].refused == 4
    assert "blocks.1.attention" not in rows
