"""What asking TensorRT about every node adds to an analysis, on a cold and on a warm cache.

Each round analyses the same program three times, interleaved: without the probe, with an empty
cache, and with the cache that was just filled. Printed are the ratios of the probe's time to
the analysis without it, with their spread over the rounds. Goals: 0.50 cold, 0.05 warm.

    python benchmarks/probe.py [--layers 12] [--rounds 5]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any


def main() -> None:
    """Runs the rounds and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = export_sample(options.layers, Path(folder))
        without: list[float] = []
        cold: list[float] = []
        warm: list[float] = []
        nodes = 0
        for round_number in range(options.rounds + 1):
            os.environ["XDG_CACHE_HOME"] = str(Path(folder) / f"cache{round_number}")
            plain, nodes = analyse(model, 0.0)
            first, _ = analyse(model, 600.0)
            again, _ = analyse(model, 600.0)
            if round_number == 0:
                continue  # imports and lazy registrations happen in the first round
            without.append(plain)
            cold.append((first - plain) / plain)
            warm.append((again - plain) / plain)
    print(
        f"{nodes} nodes, {options.rounds} rounds; analysis without the probe: "
        f"median {statistics.median(without):.2f} s"
    )
    for name, ratios, goal in (("cold", cold, 0.50), ("warm", warm, 0.05)):
        print(
            f"probe, {name} cache: {statistics.median(ratios):.2f} of the analysis "
            f"({min(ratios):.2f} to {max(ratios):.2f}), goal {goal:.2f}"
        )


def export_sample(layers: int, folder: Path) -> Path:
    """Exports the float64-attention sample with a number of layers."""
    import torch

    sample = load_module(Path(__file__).parents[1] / "samples" / "attention_float64.py")
    module, arguments, dynamic_shapes = sample.build(layers=layers)
    program = torch.export.export(module, arguments, dynamic_shapes=dynamic_shapes)
    path = folder / "model.pt2"
    torch.export.save(program, str(path))
    return path


def load_module(path: Path) -> ModuleType:
    """Imports a Python file that is no part of a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def analyse(model: Path, probe_seconds: float) -> tuple[float, int]:
    """Returns the seconds that opening and analysing took, and the number of nodes."""
    from trtdbg.policy import Settings, TruncationPolicy
    from trtdbg.session.session import Session
    from trtdbg.worker.messages import Job

    def ignore(_: Any) -> None:
        return

    start = time.perf_counter()
    job = Job(model=str(model), settings=Settings(), probe_seconds=probe_seconds)
    report = Session(job, ignore).analyze(TruncationPolicy())
    return time.perf_counter() - start, len(report.nodes)


if __name__ == "__main__":
    main()
