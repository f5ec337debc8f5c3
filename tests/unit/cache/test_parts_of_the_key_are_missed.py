"""Each part of a key is changed, and the cache misses; changed back, it hits again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.cache.test_caching_client import FakeClient, ask
from trtdbg.cache import installed
from trtdbg.policy import (
    Partitioner,
    Precision,
    Settings,
    Timing,
    TruncationPolicy,
    VerdictSource,
)
from trtdbg.worker.messages import Access, Analyze, Job

replace = msgspec.structs.replace
VERSIONS = {
    "torch": "2.13.0",
    "torch_tensorrt": "2.13.0",
    "torch_tensorrt_rtx": "2.13.0",
    "tensorrt": "10.15.1",
    "tensorrt_rtx": "1.3.0",
    "trtdbg": "0.1.0",
    "numpy": "2.3.0",
}


@dataclass
class Place:
    """A machine of its own: what is installed on it, its GPU, a model, a module."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def model(self) -> Path:
        return self.folder / "model.pt2"

    @property
    def module(self) -> Path:
        return self.folder / "ops.py"

    @property
    def request(self) -> Analyze:
        access = Access(imports=(str(self.module),))
        job = Job(model=str(self.model), settings=Settings(), access=access)
        return Analyze(job=job, policy=TruncationPolicy(timing=Timing.UPSTREAM))

    def distribution(self, name: str, version: str) -> Path:
        return self.folder / "site-packages" / f"{name}-{version}.dist-info"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TRTDBG_ANALYSIS_CACHE_MIB", "16")
    monkeypatch.setattr("trtdbg.worker.client.Client", FakeClient)
    monkeypatch.setattr(FakeClient, "made", [], raising=False)
    monkeypatch.setattr(FakeClient, "says", ())
    made = Place(tmp_path, monkeypatch)
    for name, version in VERSIONS.items():
        made.distribution(name, version).mkdir(parents=True)
    for package in installed._PACKAGES:
        _write(tmp_path / "site-packages" / package / "__init__.py", "x = 1\n")
        monkeypatch.delitem(sys.modules, package, raising=False)
    for part in installed._PARTS_OF_TORCH:
        _write(tmp_path / "site-packages" / "torch" / part / "some.py", "x = 1\n")
    _write(tmp_path / "site-packages" / "torch" / "__init__.py", "")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site-packages"), *sys.path])
    information = tmp_path / "driver" / "gpus" / "0000:01:00.0" / "information"
    _write(information, "Model: \t NVIDIA L4\nGPU UUID: GPU-1\n")
    _write(tmp_path / "driver" / "version", "NVRM version: 580.1\n")
    monkeypatch.setattr(installed, "_DRIVER", tmp_path / "driver")
    made.model.write_bytes(b"archive")
    made.module.write_text("x = 1\n")
    return made


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


Change = Callable[[Place, Analyze], Analyze]
"""Changes a machine or what is asked on it; returns what is asked then."""


def policy(**changes: Any) -> Change:
    return lambda _, a: replace(a, policy=replace(a.policy, **changes))


def settings(**changes: Any) -> Change:
    return lambda _, a: replace(a, job=replace(a.job, settings=Settings(**changes)))


def file(name: str, text: str) -> Change:
    def change(place: Place, asked: Analyze) -> Analyze:
        path = place.folder / name
        assert path.is_file()
        path.write_text(text)
        return asked

    return change


def version(name: str) -> Change:
    def change(place: Place, asked: Analyze) -> Analyze:
        place.distribution(name, VERSIONS[name]).rename(place.distribution(name, "99.0"))
        return asked

    return change


def variable(name: str) -> Change:
    def change(place: Place, asked: Analyze) -> Analyze:
        place.monkeypatch.setenv(name, "1")
        return asked

    return change


def python(place: Place, asked: Analyze) -> Analyze:
    place.monkeypatch.setattr(sys, "version", "3.99.0 (another)")
    return asked


CHANGES: dict[str, Change] = {
    "a byte of the archive": file("model.pt2", "Archive"),
    "a module of --import": file("ops.py", "x = 2\n"),
    "no module of --import": lambda _, a: replace(a, job=replace(a.job, access=Access())),
    "settings: block size": settings(min_block_size=3),
    "settings: partitioner": settings(partitioner=Partitioner.FAST),
    "settings: operators": settings(torch_executed_ops=("torch.ops.aten.mul.Tensor",)),
    "settings: truncate_double": settings(truncate_double=False),
    "policy: timing": policy(timing=Timing.OFF),
    "policy: inputs": policy(inputs=("float64", "int64")),
    "policy: constants": policy(constants=()),
    "policy: computed": policy(computed=("int64",)),
    "policy: verdicts": policy(verdicts=VerdictSource.TENSORRT),
    "policy: precision": policy(precision=Precision.FLOAT16),
    "policy: what stays": policy(keep_operators=("aten.exp.default",)),
    "target": lambda _, a: replace(a, job=replace(a.job, target="sm89")),
    "program": lambda _, a: replace(
        a, job=replace(a.job, access=replace(a.job.access, program="encoder"))
    ),
    "GPU": file(
        "driver/gpus/0000:01:00.0/information", "Model: \t NVIDIA H100\nGPU UUID: GPU-1\n"
    ),
    "another of the same GPU": file(
        "driver/gpus/0000:01:00.0/information", "Model: \t NVIDIA L4\nGPU UUID: GPU-2\n"
    ),
    "driver": file("driver/version", "NVRM version: 590.1\n"),
    "GPUs that are seen": variable("CUDA_VISIBLE_DEVICES"),
    "version of Python": python,
    **{f"version of {name}": version(name) for name in VERSIONS},
    **{
        f"a file of {name}": file(f"site-packages/{name}/__init__.py", "x = 22\n")
        for name in installed._PACKAGES
    },
    "a file of torch that lowers": file("site-packages/torch/_decomp/some.py", "x = 22\n"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_a_part_of_the_key_is_asked_anew(name: str, place: Place) -> None:
    first, _, _ = ask(place.request)
    kept, _, questions = ask(place.request)
    assert (kept, questions) == (first, 0)
    changed = CHANGES[name](place, place.request)
    assert ask(changed)[2] == 1, "missed"
    assert ask(changed)[2] == 0, "and kept"


def test_back_again_it_is_known(place: Place) -> None:
    ask(place.request)
    there, away = (place.distribution("torch", each) for each in ("2.13.0", "2.13.1"))
    there.rename(away)
    assert ask(place.request)[2] == 1
    away.rename(there)
    assert ask(place.request)[2] == 0


def test_what_is_of_no_concern_is_no_miss(place: Place) -> None:
    ask(place.request)
    place.monkeypatch.setenv("EDITOR", "vi")
    shutil.copy(place.model, place.folder / "copy.pt2")
    asked = place.request
    copied = replace(asked, job=replace(asked.job, model=str(place.folder / "copy.pt2")))
    assert ask(asked, copied)[2] == 0
