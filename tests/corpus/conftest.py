"""The corpus and the samples, exported once, and their analyses and builds, made once each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from corpus_bench import CORPUS, SAMPLES, Bench, import_file


@pytest.fixture(scope="session")
def corpus_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the exported program of a corpus case; all are exported at the first request.

    A case that registers a custom operator is imported, once: its program cannot load
    otherwise.
    """
    registered: set[str] = set()
    folder = tmp_path_factory.mktemp("corpus")
    subprocess.run(
        [sys.executable, str(CORPUS / "export.py"), str(folder)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )

    def model(case: str) -> Path:
        script = CORPUS / "cases" / f"{case}.py"
        if case not in registered and "custom_op" in script.read_text():
            registered.add(case)
            import_file(script)
        return folder / f"{case}.pt2"

    return model


@pytest.fixture(scope="session")
def sample_exporter() -> ModuleType:
    """Returns samples/export.py as a module."""
    return import_file(SAMPLES / "export.py")


@pytest.fixture(scope="session")
def attention_12(
    tmp_path_factory: pytest.TempPathFactory, sample_exporter: ModuleType
) -> Path:
    """Returns the 12-layer version of the float64-attention sample, exported anew."""
    import torch

    path = tmp_path_factory.mktemp("samples") / "attention_float64_12.pt2"
    torch.export.save(sample_exporter.export("attention_float64", layers=12), path)
    return path


@pytest.fixture(scope="session")
def bench(torch_tensorrt_ready: None) -> Bench:
    """Returns the shared analyses and builds."""
    return Bench()
