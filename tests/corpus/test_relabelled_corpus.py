"""A program exported on a GPU gives the report of its copy exported on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from corpus_bench import read_manifest

from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.worker.messages import Job

CASES = sorted(read_manifest())


def analysed(path: Path) -> dict[str, Any]:
    """Returns what an analysis found, without what two analyses of one model differ in."""
    from trtdbg.session.session import Session

    job = Job(model=str(path), settings=Settings(), probe_seconds=0)
    report: dict[str, Any] = msgspec.to_builtins(
        Session(job, lambda event: None).analyze(TruncationPolicy())
    )
    for place in (*report["passes"], *(engine["build"] for engine in report["engines"])):
        place.update(seconds=0, network_seconds=0)
    report["model"].update(path="", sha256="", bytes=0)
    return report


@pytest.mark.parametrize("case", CASES)
def test_the_report_of_a_cuda_export_is_that_of_the_cpu_export(
    case: str, corpus_model: Callable[[str], Path], tmp_path: Path, torch_tensorrt_ready: None
) -> None:
    from tests.relabelled import on_device
    from trtdbg.compat.devices import is_present

    if is_present("cuda", 0):
        pytest.skip("this machine has cuda:0")
    original = corpus_model(case)
    moved = analysed(on_device(original, tmp_path / original.name, "cuda", 0))
    assert moved["model"].pop("moved_from") in (("cuda:0",), ["cuda:0"])
    expected = analysed(original)
    assert expected["model"].pop("moved_from") in ((), [])
    assert moved == expected
