"""Each part of a key: what changes an answer changes the key, and what does not, does not."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trtdbg.cache import installed, keys
from trtdbg.cache.keys import Key, key_of
from trtdbg.policy import (
    Partitioner,
    Settings,
    Timing,
    TruncationPolicy,
    VerdictSource,
)
from trtdbg.worker.messages import Access, Analyze, Build, Describe, Job, Weigh

replace = msgspec.structs.replace


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt2"
    path.write_bytes(b"archive")
    return path


def request(model: Path, **changes: Any) -> Analyze:
    return Analyze(
        job=Job(model=str(model), settings=Settings(), **changes), policy=TruncationPolicy()
    )


def key(asked: Any) -> Key:
    made = key_of(asked)
    assert made is not None
    return made


def with_policy(asked: Analyze, **changes: Any) -> Analyze:
    return replace(asked, policy=replace(asked.policy, **changes))


def with_settings(asked: Analyze, **changes: Any) -> Analyze:
    return replace(asked, job=replace(asked.job, settings=Settings(**changes)))


ASKED: dict[str, Callable[[Analyze], Any]] = {
    "timing": lambda a: with_policy(a, timing=Timing.OFF),
    "inputs": lambda a: with_policy(a, inputs=("float64", "int64")),
    "constants": lambda a: with_policy(a, constants=()),
    "computed": lambda a: with_policy(a, computed=()),
    "verdicts": lambda a: with_policy(a, verdicts=VerdictSource.TENSORRT),
    "min block size": lambda a: with_settings(a, min_block_size=5),
    "partitioner": lambda a: with_settings(a, partitioner=Partitioner.FAST),
    "operators kept out": lambda a: with_settings(
        a, torch_executed_ops=("torch.ops.aten.mul.Tensor",)
    ),
    "target": lambda a: replace(a, job=replace(a.job, target="sm89")),
    "whether TensorRT is asked": lambda a: replace(a, job=replace(a.job, probe_seconds=0.0)),
    "program": lambda a: replace(a, job=replace(a.job, access=Access(program="encoder"))),
    "what is asked": lambda a: Weigh(job=a.job, policy=a.policy),
    "what is weighed": lambda a: Weigh(job=a.job, policy=a.policy, suggestion=True),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked_is_in_the_key(model: Path, name: str) -> None:
    asked = request(model)
    assert key(ASKED[name](asked)).rest != key(asked).rest


def test_all_settings_and_all_of_a_policy_are_in_the_key(model: Path) -> None:
    # A field that is added is in it without a word here.
    found = keys.parts(request(model))
    assert found is not None
    assert set(found["job"]["settings"]) == set(Settings.__struct_fields__)
    assert set(found["asked"]["policy"]) == set(TruncationPolicy.__struct_fields__)
    assert set(found["job"]) == {*Job.__struct_fields__, "type"} - {"model"}
    limits = {"imports", "memory_limit", "time_limit", "load_limit"}
    assert set(found["job"]["access"]) == {*Access.__struct_fields__, "type"} - limits


@pytest.mark.parametrize(
    "change",
    [
        lambda a: replace(a, anew=True),
        lambda a: replace(a, job=replace(a.job, probe_seconds=7.0)),
        lambda a: replace(a, job=replace(a.job, access=Access(memory_limit=1 << 30))),
        lambda a: replace(a, job=replace(a.job, access=Access(time_limit=9.0))),
    ],
)
def test_when_to_give_up_is_not_in_the_key(model: Path, change: Any) -> None:
    asked = request(model)
    assert key(change(asked)) == key(asked)


def test_the_content_of_an_imported_module_is_in_the_key(model: Path) -> None:
    ops = model.with_name("ops.py")
    ops.write_text("x = 1\n")
    asked = request(model, access=Access(imports=(str(ops),)))
    first = key(asked)
    assert first.rest != key(request(model)).rest
    ops.write_text("x = 2\n")
    assert key(asked).rest != first.rest
    assert key(asked).imports != first.imports


def test_another_state_of_the_file_is_another_key(model: Path) -> None:
    first = key(request(model))
    model.write_bytes(b"ARCHIVE")
    assert key(request(model)) != first
    assert key(request(model)).rest == first.rest


def test_a_copy_elsewhere_has_the_same_rest(model: Path) -> None:
    copy = model.with_name("copy.pt2")
    copy.write_bytes(model.read_bytes())
    assert key(request(copy)).rest == key(request(model)).rest


@pytest.mark.parametrize("part", installed.digests())
def test_each_part_of_what_is_installed_is_in_the_key(
    model: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = key(request(model))
    real = installed.digests()
    monkeypatch.setattr(installed, "digests", lambda: {**real, part: "another"})
    assert key(request(model)).rest != first.rest
    assert key(request(model)).installed != first.installed


def test_what_is_not_kept_has_no_key(model: Path) -> None:
    asked = request(model)
    assert key_of(replace(asked, job=replace(asked.job, access=Access(trust=True)))) is None
    assert key_of(Build(job=asked.job, policy=asked.policy)) is None
    assert key_of(Describe()) is None
    assert key_of(request(model.with_name("missing.pt2"))) is None


@pytest.mark.parametrize(
    "name", ["TRTDBG_SOMETHING", "TORCH_LOGS", "CUDA_VISIBLE_DEVICES", "LD_PRELOAD"]
)
def test_variables_that_the_libraries_read_are_in_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    first = installed.digests()
    monkeypatch.setenv(name, "1")
    changed = {part for part, digest in installed.digests().items() if first[part] != digest}
    assert changed == {"variables"}


def test_bounds_of_the_caches_are_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    first = installed.digests()
    monkeypatch.setenv("TRTDBG_ANALYSIS_CACHE_MIB", "7")
    monkeypatch.setenv("TRTDBG_ENGINE_CACHE_MIB", "7")
    assert installed.digests() == first


def test_an_edited_file_of_a_package_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "torch_tensorrt"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "converters.py").write_text("accepts = False\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "torch_tensorrt", raising=False)
    first = installed.digests()
    status = os.stat(package / "converters.py")
    (package / "converters.py").write_text("accepts = True \n")
    os.utime(package / "converters.py", ns=(status.st_atime_ns, status.st_mtime_ns))
    changed = {part for part, digest in installed.digests().items() if first[part] != digest}
    assert changed == {"torch_tensorrt"}


def test_another_version_of_anything_installed_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    (site / "torch-2.13.0.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    first = installed.digests()
    (site / "torch-2.13.0.dist-info").rename(site / "torch-2.14.0.dist-info")
    changed = {part for part, digest in installed.digests().items() if first[part] != digest}
    assert changed == {"packages"}


def test_what_the_driver_says_of_the_gpu_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = tmp_path / "gpus" / "0000:01:00.0"
    gpu.mkdir(parents=True)
    (gpu / "information").write_text("Model: \t NVIDIA L4\nIRQ: 31\nGPU UUID: GPU-1\n")
    (tmp_path / "version").write_text("NVRM version: 580.1\n")
    monkeypatch.setattr(installed, "_DRIVER", tmp_path)
    first = installed.digests()["gpu"]
    (gpu / "information").write_text("Model: \t NVIDIA L4\nIRQ: 99\nGPU UUID: GPU-1\n")
    assert installed.digests()["gpu"] == first
    (gpu / "information").write_text("Model: \t NVIDIA H100\nIRQ: 99\nGPU UUID: GPU-1\n")
    second = installed.digests()["gpu"]
    (tmp_path / "version").write_text("NVRM version: 590.1\n")
    assert len({first, second, installed.digests()["gpu"]}) == 3
