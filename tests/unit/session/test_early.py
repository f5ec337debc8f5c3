"""Timing early on whole programs: what narrowing before lowering resolved is still said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trtdbg.policy import Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import Level, Report  # noqa: E402
from trtdbg.session.messages import Job, Log, Progress  # noqa: E402


def ignore(_: Progress | Log) -> None:
    return


def analyse(folder: Path, model: Any, *args: Any, timing: Timing) -> Report:
    from trtdbg.session.session import Session

    path = folder / "model.pt2"
    torch.export.save(torch.export.export(model.eval(), args), str(path))
    job = Job(model=str(path), settings=Settings(), probe_seconds=0.0)
    return Session(job, ignore).analyze(TruncationPolicy(timing=timing))


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
