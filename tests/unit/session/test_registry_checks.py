"""The registry of converters checks itself once in an analysis, networks and questions too."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from trtdbg.policy import Settings, TruncationPolicy  # noqa: E402
from trtdbg.worker.messages import Job  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")
SAMPLE = Path(__file__).parents[3] / "samples" / "boundary_mixed.pt2"


def test_no_converter_that_runs_makes_it_check_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import ConverterRegistry

    from trtdbg.session.session import Session

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    real, calls = ConverterRegistry.validate_invariants, []

    def counted(registry: object) -> object:
        calls.append(registry)
        return real(registry)

    monkeypatch.setattr(ConverterRegistry, "validate_invariants", counted)
    session = Session(Job(model=str(SAMPLE), settings=Settings()), lambda _: None)
    report = session.analyze(TruncationPolicy())
    assert len(report.nodes) > 20
    before = len(calls)
    assert before < 12
    session._analyses.clear()
    session.analyze(TruncationPolicy())
    assert len(calls) - before == 1, "steps behind lowering check once"
