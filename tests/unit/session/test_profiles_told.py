"""Profiles of dynamic programs as a report tells them, and what is found of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from trtdbg.outputs import pages, report_pages
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Report
from trtdbg.worker.messages import Job

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

LATE = TruncationPolicy(timing=Timing.LATE)


def doubled(folder: Path, **bounds: int) -> Report:
    """Returns the report of a program with an input twice as long as another."""
    from trtdbg.session.session import Session

    class Model(torch.nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            return torch.cat([x, x], 0) + y

    n = torch.export.Dim("n", **bounds)
    program = torch.export.export(
        Model(), (torch.randn(5, 4), torch.randn(10, 4)), dynamic_shapes=({0: n}, {0: 2 * n})
    )
    torch.export.save(program, folder / "model.pt2")
    job = Job(model=str(folder / "model.pt2"), settings=Settings(), probe_seconds=0)
    return Session(job, lambda event: None).analyze(LATE)


def codes(report: Report) -> set[str]:
    return {f.code for f in report.findings if f.code.startswith("TD7")}


def test_a_lower_bound_of_two_makes_minima_that_do_not_fit(tmp_path: Path) -> None:
    assert codes(doubled(tmp_path, min=2, max=9)) == {"TD704"}


@pytest.mark.parametrize("low", [3, 4])
def test_the_cure_of_td704_is_another_lower_bound(low: int, tmp_path: Path) -> None:
    assert codes(doubled(tmp_path, min=low, max=9)) == set()


@pytest.mark.parametrize("bounds", [{}, {"min": 3}, {"max": 9}])
def test_the_cure_of_td701_td702_and_td703_is_both_bounds(
    bounds: dict[str, int], tmp_path: Path
) -> None:
    before = codes(doubled(tmp_path, **bounds))
    assert before == {(): {"TD703"}, ("min",): {"TD702"}, ("max",): set()}[tuple(bounds)]
    assert codes(doubled(tmp_path, **{"min": 3, "max": 9, **bounds})) == set()


def test_the_shapes_that_an_engine_is_built_for_stand_beside_it(tmp_path: Path) -> None:
    report = doubled(tmp_path, min=3, max=9)
    out = io.StringIO()
    Console(file=out, width=200).print(pages.report(report))
    assert "min (3, 4), opt (5, 4), max (9, 4)" in out.getvalue()
    assert "min (6, 4), opt (10, 4), max (18, 4)" in out.getvalue()
    assert "min (6, 4), opt (10, 4), max (18, 4)" in report_pages.page([report])
