"""Lines and modules of a real analysis: attention scores computed in float64, four layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trtdbg.analysis.by_place import by_line, by_module
from trtdbg.analysis.summary import is_operator
from trtdbg.outputs import local_source
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


def analysed(module: Any, inputs: tuple[Any, ...], place: Path) -> Report:
    """Returns the report of a module as torch.export exports it."""
    import torch

    from trtdbg.session.session import Session

    path = place / "model.pt2"
    torch.export.save(torch.export.export(module.eval(), inputs), path)
    session = Session(Job(model=str(path), settings=Settings()), lambda event: None)
    return session.analyze(TruncationPolicy(timing=Timing.UPSTREAM))


@pytest.mark.slow
def test_of_24_layers_the_line_with_double_is_first_with_its_48_refusals(
    tmp_path: Path,
) -> None:
    import torch

    class Attention(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query = torch.nn.Linear(8, 8)
            self.key = torch.nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            query, key = self.query(x), self.key(x)
            scores = query.double() @ key.double().transpose(-1, -2)
            return x + scores.softmax(-1).float() @ x

    layers = torch.nn.Sequential(*(Attention() for _ in range(24)))
    report = analysed(layers, (torch.ones(1, 4, 8),), tmp_path)
    first, second = by_line(report)[:2]
    assert first.code == "scores = query.double() @ key.double().transpose(-1, -2)"
    assert first.refused == 48
    assert second.refused == 0
    assert sum(row.refused for row in by_line(report)) == by_module(report)[0].refused == 48
    assert len(by_module(report)[1].stands_for) == 24


@pytest.mark.slow
def test_of_an_architecture_of_transformers_the_librarys_own_lines_are_shown(
    tmp_path: Path,
) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: its own lines cannot be shown"
    )
    import torch

    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    ids = torch.ones(1, 4, dtype=torch.int64)
    report = analysed(transformers.BertModel(config), (ids,), tmp_path)
    files = {row.file for row in by_line(report) if row.file is not None}
    own = [file for file in files if "/transformers/models/bert/" in file]
    assert own
    assert all(local_source.find(file) is not None for file in own)
