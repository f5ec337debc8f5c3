"""Exports the cases of a folder beside this file to OUTDIR/CASE.pt2.

Usage: `export.py OUTDIR [CASE ...]`. `CASES` in the environment names another folder.
"""

import importlib.util
import os
import sys
from pathlib import Path

CASES = Path(__file__).parent / os.environ.get("CASES", "cases")


def made(path: Path):
    """Returns the model, example inputs and dynamic sizes that a case makes."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make()


def main(folder: str, *names: str) -> None:
    """Exports some cases, or all."""
    import torch

    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    for name in names or sorted(path.stem for path in CASES.glob("*.py")):
        model, args, shapes = made(CASES / f"{name}.py")
        with torch.no_grad():
            program = torch.export.export(model, args, dynamic_shapes=shapes)
        torch.export.save(program, out / f"{name}.pt2")


if __name__ == "__main__":
    main(*sys.argv[1:])
