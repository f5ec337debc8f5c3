"""A recorded program becomes the engines that torch_tensorrt's own path makes of it."""

from __future__ import annotations

import contextlib
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trtdbg
from trtdbg.policy import Timing, TruncationPolicy
from trtdbg.recordings import folder

SCRIPTS = Path(__file__).parents[2] / "recorded_scripts"

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

Partition = tuple[list[list[str]], list[str]]
"""Operators of each engine, and those left to PyTorch, both sorted."""


class EnoughError(AssertionError):
    """Ends a compilation, as a refusal of torch_tensorrt does."""


@pytest.fixture
def partitions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Partition]]:
    """Lets torch_tensorrt partition, but convert nothing; takes what it makes."""
    import torch
    from torch_tensorrt.dynamo import _compiler, _tracer
    from torch_tensorrt.dynamo.backend import backends

    from trtdbg.compat import host

    made: list[Partition] = []
    whole = _compiler.compile_module

    def compile_module(gm: Any, *args: Any, **kwargs: Any) -> Any:
        split = whole(gm, *args, **kwargs)
        made.append(partition_of(split))
        raise EnoughError

    monkeypatch.setattr(_compiler, "compile_module", compile_module)
    monkeypatch.setattr(backends, "compile_module", compile_module)
    monkeypatch.setattr(_compiler, "convert_module", lambda module, *_, **__: module)
    monkeypatch.setattr(torch.fx.GraphModule, "set_output_tensors_as_unowned", none, False)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2, 2))
    monkeypatch.setattr(_tracer, "to_torch_device", lambda _: torch.device("cpu"))
    monkeypatch.setattr(_compiler, "to_torch_device", lambda _: torch.device("cpu"))
    with host.patched_cuda_queries(torch):
        yield made


def none(*_: Any) -> None:
    """Does nothing."""


def partition_of(split: Any) -> Partition:
    import torch

    engines, left = [], []
    for node in split.graph.nodes:
        inside = node.op == "call_module" and getattr(split, str(node.target))
        if inside and "_run_on_acc" in str(node.target):
            engines.append(operators(inside.graph))
        elif inside:
            left += operators(inside.graph)
        elif node.op == "call_function":
            left += operators([node])
    assert isinstance(split, torch.fx.GraphModule)
    return sorted(engines), sorted(left)


def operators(nodes: Any) -> list[str]:
    nodes = getattr(nodes, "nodes", nodes)
    called = (str(node.target) for node in nodes if node.op == "call_function")
    return sorted(target for target in called if is_operator(target))


def is_operator(target: str) -> bool:
    """Returns whether a target computes; a size is read where dynamo has an input for it."""
    return target.startswith("aten") and not target.startswith("aten.sym_size")


def run(script: str) -> None:
    import torch._dynamo

    torch._dynamo.reset()
    # Where torch_tensorrt does not catch what the fixture raises.
    with contextlib.suppress(EnoughError):
        runpy.run_path(str(SCRIPTS / script), run_name="__main__")


def reported(path: Path) -> list[Partition]:
    """Returns what trtdbg says of each program of a recording."""
    from trtdbg.session.session import Session
    from trtdbg.worker.messages import Job

    found = []
    for program in folder.read(path).programs:
        job = Job(model=program.path, settings=program.settings, probe_seconds=0)
        report = Session(job, none).analyze(TruncationPolicy(timing=Timing.UPSTREAM))
        assert report.model.recorded is not None
        assert not report.model.recorded.overridden
        assert report.settings == program.settings
        targets = {node.name: node.target for node in report.nodes}
        engines = [
            sorted(t for n in each.nodes if is_operator(t := targets[n]))
            for each in report.engines
        ]
        left = sorted(filter(is_operator, report.torch_ops))
        found.append((sorted(engines), left))
    return found


@pytest.mark.parametrize(
    "script",
    [
        "compiled.py",
        "dynamo_compiled.py",
        "dynamic_input.py",
        "nested.py",
        "dynamo_graphs.py",
        "dynamo_dynamic.py",
        "dynamo_sizes.py",
    ],
)
def test_the_engines_are_those_of_torch_tensorrt_itself(
    tmp_path: Path, script: str, partitions: list[Partition]
) -> None:
    with trtdbg.recording(tmp_path / "made"):
        run(script)
    recorded = reported(tmp_path / "made")
    assert not partitions
    run(script)
    assert recorded == partitions
    assert any(engines for engines, _ in recorded)


def test_with_compile_torch_tensorrt_goes_on_after_it_was_recorded(
    tmp_path: Path, partitions: list[Partition]
) -> None:
    with trtdbg.recording(tmp_path / "made", compile=True):
        run("compiled.py")
        run("dynamo_graphs.py")
    assert len(partitions) == len(folder.read(tmp_path / "made").programs) == 4
