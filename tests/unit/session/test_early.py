"""Timing early on whole programs: what narrowing before lowering resolved is still said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trtdbg.policy import Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import Level, Report  # noqa: E402
from trtdbg.worker.messages import Job, Log, Progress  # noqa: E402

CAST = "aten._to_copy.default"


def ignore(_: Progress | Log) -> None:
    return


def analyse(
    folder: Path,
    model: Any,
    *args: Any,
    timing: Timing,
    computed: tuple[str, ...] = ("float64", "int64"),
    in_pytorch: tuple[str, ...] = (),
) -> Report:
    from trtdbg.session.session import Session

    path = folder / "model.pt2"
    torch.export.save(torch.export.export(model.eval(), args), str(path))
    settings = Settings(torch_executed_ops=in_pytorch)
    job = Job(model=str(path), settings=settings, probe_seconds=0.0)
    return Session(job, ignore).analyze(TruncationPolicy(timing=timing, computed=computed))


class Island(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x - x.double().mean(-1, keepdim=True).float()


def test_a_refusal_that_early_narrowing_removed_is_a_note_with_its_source(
    tmp_path: Path,
) -> None:
    report = analyse(tmp_path, Island(), torch.ones(2, 4), timing=Timing.EARLY)
    assert len(report.engines) == 1
    assert not report.torch_ops
    (finding,) = report.findings
    assert (finding.code, finding.level) == ("TD101", Level.NOTE)
    assert "early resolves it" in finding.message
    assert finding.source is not None
    assert finding.source.file is not None
    assert finding.source.file.endswith("test_early.py")


def test_a_node_of_the_same_name_does_not_inherit_anothers_verdict(tmp_path: Path) -> None:
    class Two(torch.nn.Module):
        def forward(self, x: Any, h: Any) -> Any:
            # Narrowed, the first cast does nothing and is removed: the second takes its name.
            return x.double().sum(-1) + h.float().sum(-1)

    args = (torch.ones(2, 4), torch.ones(2, 4).half())
    report = analyse(tmp_path, Two(), *args, timing=Timing.EARLY)
    casts = [node for node in report.nodes if node.target == "aten._to_copy.default"]
    assert {node.original for node in casts} == {"float32"}
    assert {node.inferred for node in casts} == {"float32"}


class Widening(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.sqrt(x), x.to(torch.float64) * 2


@pytest.mark.parametrize("computed", [("int64",), ("float64", "int64")])
def test_a_cast_of_the_model_that_stays_in_pytorch_undoes_no_cast_of_early(
    tmp_path: Path, computed: tuple[str, ...]
) -> None:
    x = torch.rand(2, 4, dtype=torch.float64)
    casts = ("torch.ops.aten._to_copy.default", "torch.ops.aten.mul.Tensor")
    report = analyse(
        tmp_path, Widening(), x, timing=Timing.EARLY, computed=computed, in_pytorch=casts
    )
    last = [report.graph_nodes[i] for i in report.passes[-1].graph]
    made = {node.name: node for node in last}
    chained = [
        (made[node.operands[0]], node)
        for node in last
        if node.target == CAST and made[node.operands[0]].target == CAST
    ]
    for first, second in chained:
        assert made[first.operands[0]].dtype != second.dtype, f"{first} and {second} cancel"
    assert [output.bound for output in report.model.outputs] == ["float64", "float64"]


def test_a_number_too_large_for_the_narrow_dtype_is_a_finding(tmp_path: Path) -> None:
    class Huge(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.clamp(torch.argmax(x, -1) + 2**40, 0, 4)

    in_pytorch = ("torch.ops.aten.add.Tensor",)
    report = analyse(
        tmp_path, Huge(), torch.rand(2, 4), timing=Timing.EARLY, in_pytorch=in_pytorch
    )
    lost = [finding for finding in report.findings if finding.code == "TD401"]
    assert lost
    assert "does not fit int32" in lost[0].message
    assert lost[0].source is not None
