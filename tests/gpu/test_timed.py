"""What only a CUDA device can show: real run times, side by side, and TensorRT's profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Report
from trtdbg.worker.messages import Job

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def built(sample: str, timing: Timing = Timing.LATE) -> Report:
    from trtdbg.session.session import Session

    job = Job(model=str(SAMPLES / f"{sample}.pt2"), settings=Settings())
    return Session(job, lambda event: None).build(TruncationPolicy(timing=timing), runs=20)


@pytest.mark.parametrize(
    "sample", ["attention_float64", "ids_float64_island", "boundary_mixed"]
)
def test_a_sample_is_timed_in_three_ways_and_every_engine_too(sample: str) -> None:
    report = built(sample)
    found = report.execution
    assert found is not None, [engine.timing_unavailable for engine in report.engines]
    assert found.device == torch.cuda.get_device_name(0)
    rows = {row.name: row for row in found.contenders}
    assert set(rows) == {"engines", "eager", "torch_tensorrt"}
    for name in ("engines", "eager"):
        timing = rows[name].timing
        assert timing is not None, rows[name].error
        assert 0 < timing.p10_ms <= timing.median_ms <= timing.p90_ms
        assert timing.runs == 20
    # TF32 and TensorRT's own kernels are coarser than float64 in PyTorch.
    assert rows["engines"].max_abs_error is not None
    assert rows["engines"].max_abs_error < 1e-1
    # torch_tensorrt's own compile may refuse a program, but then it says so.
    upstream = rows["torch_tensorrt"]
    assert (upstream.timing is None) == (upstream.error is not None)
    assert {each.against for each in found.comparisons} >= {"eager"}
    for engine in report.engines:
        assert engine.timing is not None, engine.timing_unavailable
        assert engine.profile or engine.profile_unavailable
        assert all(layer.name for layer in engine.profile)


def test_more_engines_are_timed_one_by_one() -> None:
    report = built("attention_float64", Timing.UPSTREAM)
    assert len(report.engines) > 1
    assert all(engine.timing is not None for engine in report.engines)
    assert report.execution is not None
