from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import by_version
from tests.staging import export, late, module, options, torch
from trtdbg.compat import host
from trtdbg.errors import OutputError
from trtdbg.records import BuildRecord, BuildStatus, EngineRecord, Saved
from trtdbg.records.boundary_graph import BoundaryGraph, Call, CallKind
from trtdbg.stages.engine import Provenance, build_engine, save_engines
from trtdbg.stages.network import define_network


def build(function: Any, *args: Any, **buffers: Any) -> tuple[BuildRecord, bytes | None]:
    environment = host.describe()
    if not next(c for c in environment.capabilities if c.name == "build engines").possible:
        pytest.skip("this TensorRT cannot build without a GPU")
    repaired = late(export(module(function, **buffers), *args))
    network = define_network(
        repaired.engine(0), repaired.split.engine_names[0], options(), truncate_double=True
    )
    return build_engine(network, host.resolve_target(None, environment))


def test_a_float64_convolution_and_batch_norm_builds() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2)).double()
    repaired = late(export(model.eval(), torch.randn(1, 1, 8, 8, dtype=torch.float64)))
    name = repaired.split.engine_names[0]
    network = define_network(repaired.engine(0), name, options(), truncate_double=True)
    record, serialized = build_engine(network, host.resolve_target(None, host.describe()))
    assert record.status is BuildStatus.BUILT, record.error
    assert serialized is not None
    assert record.bytes == len(serialized) > 0
    assert record.stage == "build"
    assert record.seconds is not None
    assert record.network_seconds is not None
    assert record.error is None


@by_version.only("bool times bool")
def test_a_network_with_an_error_is_failed_and_not_built() -> None:
    flags = torch.tensor([True, False])
    record, serialized = build(lambda self, a, b: (a * b) & a, flags, flags)
    assert serialized is None
    assert (record.status, record.stage, record.node) == (BuildStatus.FAILED, "network", "mul")
    assert record.seconds is None
    assert record.error
    assert "__len__" not in record.error


def test_a_failing_build_carries_tensorrts_sentence() -> None:
    record, serialized = build(lambda self, x: torch.sqrt(x), torch.tensor([1, 4, 9]))
    assert serialized is None
    assert record.status is BuildStatus.FAILED
    assert record.error
    assert "__len__" not in record.error
    assert "int64" in record.error.lower()
    assert any(record.error in " ".join(line.split()) for line in record.log)


PROVENANCE = Provenance(model_sha256="abc", tensorrt="1.5", flavour="rtx", target="sm86")

GRAPH = BoundaryGraph(
    calls=(Call(kind=CallKind.INPUT, name="x", dtype="float64", shape=(2,)),), outputs=("x",)
)


def read_manifest(saved: Saved) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(Path(saved.folder, "manifest.json").read_text())
    return manifest


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_saved_engines_come_with_a_manifest(tmp_path: Path) -> None:
    record = EngineRecord(index=3, name="_run_on_acc_3", nodes=("relu",))
    saved = save_engines(tmp_path / "new", [(record, b"engine")], PROVENANCE)
    manifest = read_manifest(saved)
    (entry,) = manifest["engines"]
    assert (manifest["model_sha256"], manifest["target"]) == ("abc", "sm86")
    assert (tmp_path / "new" / entry["file"]).read_bytes() == b"engine"
    assert entry["sha256"] == hashlib.sha256(b"engine").hexdigest()
    assert entry["engine"]["name"] == "_run_on_acc_3"
    assert saved.files == (entry["file"], "manifest.json")
    assert files_in(tmp_path / "new") == sorted(saved.files)


def test_the_program_around_the_engines_and_what_is_missing_stand_in_the_manifest(
    tmp_path: Path,
) -> None:
    saved = save_engines(tmp_path, [], PROVENANCE, GRAPH, missing="a CUDA device")
    manifest = read_manifest(saved)
    assert msgspec.convert(manifest["graph"], BoundaryGraph) == GRAPH
    assert (manifest["runnable"], manifest["missing"]) == (None, "a CUDA device")
    assert saved.missing == "a CUDA device"
    assert "input x" in (tmp_path / "boundary_graph.txt").read_text()


def test_a_module_that_runs_is_written_beside_the_engines(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"a module")

    saved = save_engines(tmp_path, [], PROVENANCE, GRAPH, write)
    assert (tmp_path / "compiled.pt2").read_bytes() == b"a module"
    assert (saved.runnable, saved.missing) == ("compiled.pt2", None)
    assert read_manifest(saved)["runnable"] == "compiled.pt2"
    assert files_in(tmp_path) == sorted(saved.files)


def test_an_exporter_that_fails_half_way_leaves_nothing_but_its_sentence(
    tmp_path: Path,
) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"half a mod")
        raise KeyError("k")

    saved = save_engines(tmp_path, [], PROVENANCE, GRAPH, write)
    assert saved.runnable is None
    assert saved.missing == "torch_tensorrt.save raised KeyError: 'k'"
    assert files_in(tmp_path) == ["boundary_graph.txt", "manifest.json"]


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError, match="cannot save engines"):
        save_engines(blocked, [], PROVENANCE)
