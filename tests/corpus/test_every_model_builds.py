"""Under late, with TensorRT asked, every model builds, or one line says why none could."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from architectures import ARCHITECTURES as OF_TRANSFORMERS
from architectures import export
from corpus_bench import SAMPLES, not_built, read_manifest
from rich.console import Console

from trtdbg.outputs import pages
from trtdbg.policy import Settings, Timing, TruncationPolicy, VerdictSource
from trtdbg.records import Report
from trtdbg.worker.messages import Job

torch = pytest.importorskip("torch")

from plain_architectures import ARCHITECTURES, exported  # noqa: E402

ASKED = TruncationPolicy(timing=Timing.LATE, verdicts=VerdictSource.TENSORRT)
SAMPLE_NAMES = sorted(path.stem for path in SAMPLES.glob("*.pt2"))

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("torch_tensorrt_ready")]


def built(model: Path) -> Report:
    from trtdbg.session.session import Session

    job = Job(model=str(model), settings=Settings(), probe_seconds=300)
    report: Report = Session(job, lambda event: None).build(ASKED)
    return report


def check(model: Path) -> None:
    report = built(model)
    assert [p.name for p in report.passes if p.error] == []
    failed = not_built(report)
    if failed:
        assert f"engine {report.engines[0].index}" in why_none(report)


def why_none(report: Report) -> str:
    """Returns the line that says that no partition builds, and why."""
    out = io.StringIO()
    Console(file=out, width=2000).print(pages.report(report))
    (line,) = [
        text for text in out.getvalue().splitlines() if re.search("does not build", text)
    ]
    return line


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_samples(name: str) -> None:
    check(SAMPLES / f"{name}.pt2")


@pytest.mark.parametrize("case", sorted(read_manifest()))
def test_the_corpus(case: str, corpus_model: Callable[[str], Path]) -> None:
    check(corpus_model(case))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures(name: str, tmp_path: Path) -> None:
    model = tmp_path / "model.pt2"
    torch.export.save(exported(name), model)
    check(model)


@pytest.mark.parametrize("name", OF_TRANSFORMERS)
def test_architectures_of_transformers(name: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    check(export(name, tmp_path))
