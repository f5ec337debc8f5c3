#!/usr/bin/env python3
"""Exports the samples with torch.export to DIR/NAME.pt2, on the CPU and the same every time.

usage: export.py [NAME ...] [--out DIR] [--layers N]
"""

from __future__ import annotations

import argparse
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.export import ExportedProgram

SAMPLES = Path(__file__).resolve().parent
NAMES = tuple(
    sorted(path.stem for path in SAMPLES.glob("*.py") if path.stem != Path(__file__).stem)
)


def load_sample(name: str) -> ModuleType:
    """Imports samples/`name`.py under its own name, without a change of `sys.path`."""
    path = SAMPLES / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def portable_trace(trace: str) -> str:
    """Returns a stack trace whose paths say nothing about this machine.

    Files of this checkout become `samples/NAME.py`, files of installed packages
    `PACKAGE/...`.

    Raises:
        ValueError: a path is of neither kind.
    """

    def portable(match: re.Match[str]) -> str:
        path = Path(match[1])
        if path.is_relative_to(SAMPLES):
            return f'File "{path.relative_to(SAMPLES.parent).as_posix()}"'
        if "site-packages" in path.parts:
            start = len(path.parts) - path.parts[::-1].index("site-packages")
            return f'File "{"/".join(path.parts[start:])}"'
        if path.is_absolute():
            raise ValueError(f"neither a sample nor an installed package: {path}")
        return match[0]

    return re.sub(r'File "([^"]+)"', portable, trace)


def export(name: str, **options: Any) -> ExportedProgram:
    """Returns the exported program of sample `name`; `options` go to its `build`."""
    import torch

    model, args, dynamic_shapes = load_sample(name).build(**options)
    with torch.no_grad():
        program = torch.export.export(model, args, dynamic_shapes=dynamic_shapes)
    for module in program.graph_module.modules():
        if not isinstance(module, torch.fx.GraphModule):
            continue
        for node in module.graph.nodes:
            if node.meta.get("stack_trace"):
                node.meta["stack_trace"] = portable_trace(node.meta["stack_trace"])
    return program


def main() -> None:
    """Exports the samples named on the command line, all of them if none is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--out", type=Path, default=SAMPLES, metavar="DIR")
    parser.add_argument("--layers", type=int, metavar="N", help="for attention_float64 alone")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(NAMES))
    if unknown:
        parser.error(f"no sample {unknown[0]!r}: choose from {', '.join(NAMES)}")
    if arguments.layers is not None and arguments.names != ["attention_float64"]:
        parser.error("--layers goes with attention_float64 alone")
    options = {} if arguments.layers is None else {"layers": arguments.layers}

    import torch

    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or NAMES:
        path = arguments.out / f"{name}.pt2"
        torch.export.save(export(name, **options), path)
        print(path)


if __name__ == "__main__":
    main()
