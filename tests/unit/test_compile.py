"""`trtdbg.compile` and `build --save`, with and without what only a GPU can do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import trtdbg
from tests import by_version
from trtdbg.errors import StageError, UnavailableError, UsageError
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import BuildStatus, Capability, Gpu, Report
from trtdbg.worker.messages import Job

torch = pytest.importorskip("torch")


pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")


no_gpu = pytest.mark.skipif(
    torch.cuda.is_available(), reason="says what a machine without a CUDA device says"
)


class Mixed(torch.nn.Module):
    """An engine, PyTorch alone (i0) in float64, and an engine again."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4).double()

    def forward(self, x: Any, ids: Any) -> Any:
        a = self.linear(x)
        return torch.special.i0(a) * 2.0 + a, ids + 1


ARGS = (torch.linspace(-1, 1, 8, dtype=torch.float64).reshape(2, 4), torch.arange(3))


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return Mixed().eval()


@pytest.fixture(scope="module")
def program(model: Any) -> Any:
    with torch.no_grad():
        return torch.export.export(model, ARGS)


@pytest.fixture
def file(program: Any, tmp_path: Path) -> str:
    path = tmp_path / "mixed.pt2"
    torch.export.save(program, path)
    return str(path)


def session(path: str, settings: Settings | None = None) -> Any:
    from trtdbg.session.session import Session

    job = Job(model=path, settings=settings or Settings(), probe_seconds=0)
    return Session(job, lambda event: None)


@pytest.fixture
def as_if_engines_ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lets engines be built for another GPU and run by PyTorch in their place.

    What is left is real: lowering, partition, repair, builds and the wiring around engines.
    """
    from trtdbg.session import runnable
    from trtdbg.session.session import Session

    capability = Session._capability
    ran: list[str] = []

    def possible(self: Any, name: str) -> Capability:
        if name == "run and time engines":
            return Capability(name=name, possible=True, reason="as if")
        return capability(self, name)

    def in_pytorch(network: Any, subgraph: Any, serialized: bytes, options: Any) -> Any:
        assert serialized
        subgraph.register_forward_hook(lambda *_: ran.append(network.name))
        return subgraph

    monkeypatch.setattr(Session, "_capability", possible)
    monkeypatch.setattr(runnable, "runs_here", lambda target, environment: True)
    monkeypatch.setattr(runnable, "engine_module", in_pytorch)
    monkeypatch.setattr(runnable, "engine_device", lambda options: torch.device("cpu"))
    return ran


@no_gpu
def test_without_a_gpu_compile_says_what_is_missing_and_what_can_be_had(program: Any) -> None:
    with pytest.raises(UnavailableError, match="no CUDA device") as caught:
        trtdbg.compile(program)
    assert "trtdbg build MODEL --save DIR" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_an_exported_program_can_be_compiled(model: Any) -> None:
    with pytest.raises(UsageError, match="not a Mixed"):
        trtdbg.compile(model)


@pytest.mark.parametrize("timing", [Timing.LATE, Timing.EARLY])
def test_a_compiled_module_returns_what_the_model_returns(
    model: Any, program: Any, timing: Timing, as_if_engines_ran: list[str]
) -> None:
    compiled = trtdbg.compile(program, TruncationPolicy(timing=timing))
    assert isinstance(compiled, torch.nn.Module)
    with torch.no_grad():
        given, wanted = compiled(*ARGS), model(*ARGS)
    assert len(set(as_if_engines_ran)) >= 2
    assert [value.dtype for value in given] == [value.dtype for value in wanted]
    torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-5)
    assert not torch.equal(given[0], wanted[0]), "engines computed in float32"


def test_compile_leaves_the_program_as_it_was(
    model: Any, program: Any, as_if_engines_ran: list[str]
) -> None:
    graph, weights = str(program.graph), dict(program.state_dict)
    copies = {name: tensor.clone() for name, tensor in weights.items()}
    trtdbg.compile(program)
    assert str(program.graph) == graph
    assert all(program.state_dict[name] is tensor for name, tensor in weights.items())
    assert all(torch.equal(weights[name], copy) for name, copy in copies.items())


@by_version.only("bool times bool")
def test_an_engine_that_does_not_build_ends_the_compilation_with_tensorrts_sentence(
    as_if_engines_ran: list[str],
) -> None:
    class Product(torch.nn.Module):
        def forward(self, a: Any, b: Any) -> Any:
            return (a * b) & a

    flags = torch.tensor([True, False])
    program = torch.export.export(Product(), (flags, flags))
    with pytest.raises(StageError, match=r"engine 0 does not build: .* type is Bool"):
        trtdbg.compile(program)


def test_a_crash_of_torch_tensorrts_own_repair_ends_the_compilation(
    as_if_engines_ran: list[str],
) -> None:
    class Sized(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            size = x.shape[0] * 2
            return torch.special.i0(x.new_ones(size)) + (x * 2.0).sum() + size

    rows = torch.export.Dim("rows", min=2, max=16)
    x = torch.randn(4, 3, dtype=torch.float64)
    program = torch.export.export(Sized(), (x,), dynamic_shapes={"x": {0: rows}})
    settings = Settings(torch_executed_ops=("torch.ops.aten.full.default",))
    with pytest.raises(StageError, match="boundary repair raised"):
        trtdbg.compile(program, TruncationPolicy(timing=Timing.UPSTREAM), settings=settings)


def test_a_target_that_is_not_this_gpu_is_refused() -> None:
    from trtdbg.compat import host
    from trtdbg.session.runnable import runs_here

    environment = host.describe()
    gpu = Gpu(name="a GPU", compute_capability="8.6", memory_bytes=1)
    import msgspec

    with_gpu = msgspec.structs.replace(environment, gpu=gpu)
    assert runs_here(None, with_gpu)
    assert runs_here("sm86", with_gpu)
    assert not runs_here("sm89", with_gpu)
    assert not runs_here("sm86", msgspec.structs.replace(environment, gpu=None))


def manifest(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return read


def built(report: Report) -> int:
    return sum(engine.build.status is BuildStatus.BUILT for engine in report.engines)


@no_gpu
def test_without_a_gpu_save_writes_engines_and_the_program_and_says_what_is_missing(
    file: str, tmp_path: Path
) -> None:
    folder = tmp_path / "saved"
    report = session(file).build(TruncationPolicy(), save=str(folder))
    assert built(report) == len(report.engines) >= 2
    assert report.saved is not None
    assert sorted(path.name for path in folder.iterdir()) == sorted(report.saved.files)
    assert "boundary_graph.txt" in report.saved.files
    assert report.saved.runnable is None
    assert "a CUDA device of compute capability sm86" in (report.saved.missing or "")
    read = manifest(folder)
    assert read["missing"] == report.saved.missing
    calls = [call for call in read["graph"]["calls"] if call["kind"] == "engine"]
    assert [call["engine"] for call in calls] == [e.index for e in report.engines]
    for call, engine in zip(calls, report.engines, strict=True):
        assert [p["dtype"] for p in call["inputs"]] == [b.bound for b in engine.inputs]
        assert [p["dtype"] for p in call["outputs"]] == [b.bound for b in engine.outputs]
    casts = [call for call in read["graph"]["calls"] if call["kind"] == "cast"]
    assert len(casts) == len(report.boundary_casts)
    text = (folder / "boundary_graph.txt").read_text()
    assert all(f"= engine {engine.index} (" in text for engine in report.engines)


@no_gpu
def test_engines_left_out_are_named_as_missing(file: str, tmp_path: Path) -> None:
    report = session(file).build(TruncationPolicy(), engines=(0,), save=str(tmp_path / "one"))
    assert report.saved is not None
    assert "engine 1, which was not to be built" in (report.saved.missing or "")


def test_a_later_analysis_does_not_repeat_what_a_build_saved(
    file: str, tmp_path: Path
) -> None:
    made = session(file)
    assert made.build(TruncationPolicy(), save=str(tmp_path / "saved")).saved is not None
    assert made.analyze(TruncationPolicy()).saved is None


def test_where_engines_run_save_writes_a_module_with_torch_tensorrts_own_save(
    file: str, tmp_path: Path, as_if_engines_ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch_tensorrt

    saved_modules: list[Any] = []

    def save(module: Any, path: str, **options: Any) -> None:
        assert options == {"output_format": "exported_program", "retrace": False}
        saved_modules.append(module)
        Path(path).write_bytes(b"a module")

    monkeypatch.setattr(torch_tensorrt, "save", save)
    folder = tmp_path / "saved"
    report = session(file).build(TruncationPolicy(), save=str(folder))
    assert report.saved is not None
    assert (report.saved.runnable, report.saved.missing) == ("compiled.pt2", None)
    assert (folder / "compiled.pt2").read_bytes() == b"a module"
    assert manifest(folder)["runnable"] == "compiled.pt2"
    (module,) = saved_modules
    with torch.no_grad():
        returned, _ = module(*ARGS)
    assert returned.dtype == torch.float64
