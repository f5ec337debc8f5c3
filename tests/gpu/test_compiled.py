"""What only a CUDA device can show: compiled modules run, and run again once saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trtdbg
from trtdbg.policy import Partitioner, Settings, Timing, TruncationPolicy
from trtdbg.records import BuildStatus
from trtdbg.worker.messages import Job

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


class Mixed(torch.nn.Module):
    """An engine, PyTorch alone (i0) in float64, and an engine again."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4).double()
        self.register_buffer("shift", torch.ones(4, dtype=torch.float64))

    def forward(self, x: Any, ids: Any) -> Any:
        a = self.linear(x)
        return torch.special.i0(a) * 2.0 + torch.special.i0(self.shift), ids + 1


class Sized(torch.nn.Module):
    """A symbolic size that an engine computes and PyTorch alone reads."""

    def forward(self, x: Any) -> Any:
        size = x.shape[0] * 2
        return x.flatten().new_full((size,), 1.0) + size, x * 2.0


def on_gpu(values: Any) -> Any:
    return torch.utils._pytree.tree_map_only(torch.Tensor, lambda t: t.cuda(), values)


def assert_like(given: Any, wanted: Any) -> None:
    leaves, others = map(torch.utils._pytree.tree_leaves, (given, wanted))
    assert [leaf.dtype for leaf in leaves] == [leaf.dtype for leaf in others]
    # TF32 and TensorRT's own kernels are coarser than float32 on a CPU.
    torch.testing.assert_close(on_gpu(leaves), on_gpu(others), rtol=1e-2, atol=1e-2)


def mixed() -> tuple[Any, tuple[Any, ...], Any]:
    args = (torch.linspace(-1, 1, 8, dtype=torch.float64).reshape(2, 4), torch.arange(3))
    return Mixed().eval(), args, None


def sized() -> tuple[Any, tuple[Any, ...], Any]:
    rows = torch.export.Dim("rows", min=2, max=16)
    return Sized().eval(), (torch.randn(4, 3, dtype=torch.float64),), {"x": {0: rows}}


Make = Callable[[], tuple[Any, tuple[Any, ...], Any]]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("partitioner", list(Partitioner))
@pytest.mark.parametrize("timing", [Timing.LATE, Timing.EARLY])
@pytest.mark.parametrize("make", [mixed, sized])
def test_a_compiled_module_returns_what_the_model_returns(
    make: Make, timing: Timing, partitioner: Partitioner, device: str
) -> None:
    model, args, shapes = make()
    args = tuple(arg.to(device) for arg in args)
    with torch.no_grad():
        program = torch.export.export(model.to(device), args, dynamic_shapes=shapes)
        settings = Settings(partitioner=partitioner, torch_executed_ops=EXECUTED)
        compiled = trtdbg.compile(program, TruncationPolicy(timing=timing), settings=settings)
        assert_like(compiled(*on_gpu(args)), model(*args))


EXECUTED = ("torch.ops.aten.full.default",)


@pytest.mark.parametrize("sample", sorted(path.stem for path in SAMPLES.glob("*.pt2")))
def test_a_sample_compiles_and_runs(sample: str) -> None:
    program = torch.export.load(str(SAMPLES / f"{sample}.pt2"))
    args, kwargs = program.example_inputs
    with torch.no_grad():
        wanted = program.module()(*args, **kwargs)
        given = trtdbg.compile(program)(*on_gpu(args), **on_gpu(kwargs))
    assert_like(given, wanted)


@pytest.mark.parametrize("make", [mixed, sized])
def test_a_saved_build_loads_and_runs(make: Make, tmp_path: Path) -> None:
    import torch_tensorrt

    from trtdbg.session.session import Session

    model, args, shapes = make()
    with torch.no_grad():
        program = torch.export.export(model, args, dynamic_shapes=shapes)
    path = tmp_path / "model.pt2"
    torch.export.save(program, path)
    job = Job(model=str(path), settings=Settings(torch_executed_ops=EXECUTED))
    folder = tmp_path / "saved"
    report = Session(job, lambda event: None).build(TruncationPolicy(), save=str(folder))
    assert {engine.build.status for engine in report.engines} == {BuildStatus.BUILT}
    assert report.saved is not None
    assert (report.saved.runnable, report.saved.missing) == ("compiled.pt2", None)
    assert json.loads((folder / "manifest.json").read_text())["runnable"] == "compiled.pt2"
    loaded = torch_tensorrt.load(str(folder / "compiled.pt2")).module()
    with torch.no_grad():
        assert_like(loaded(*on_gpu(args)), model(*args))
