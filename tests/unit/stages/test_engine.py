from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from staging import export, late, module, options, torch

from trtdbg.errors import OutputError
from trtdbg.records import BuildRecord, BuildStatus, EngineRecord
from trtdbg.stages import host
from trtdbg.stages.engine import build_engine, save_engines
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


def test_saved_engines_come_with_a_manifest(tmp_path: Path) -> None:
    record = EngineRecord(index=3, name="_run_on_acc_3", nodes=("relu",))
    path = save_engines(
        tmp_path / "new",
        [(record, b"engine")],
        model_sha256="abc",
        tensorrt="1.5",
        flavour="rtx",
        target="sm86",
    )
    manifest = json.loads(path.read_text())
    (entry,) = manifest["engines"]
    assert (manifest["model_sha256"], manifest["target"]) == ("abc", "sm86")
    assert (path.parent / entry["file"]).read_bytes() == b"engine"
    assert entry["sha256"] == hashlib.sha256(b"engine").hexdigest()
    assert entry["engine"]["name"] == "_run_on_acc_3"
    assert sorted(p.name for p in path.parent.iterdir()) == [entry["file"], "manifest.json"]


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError, match="cannot save engines"):
        save_engines(blocked, [], model_sha256="", tensorrt=None, flavour=None, target=None)
