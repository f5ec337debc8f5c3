"""Changes the analysis one operator at a time, and lists the changes that no test notices.

`make mutants`, or `python tests/mutants.py trtdbg/analysis/findings [--most N]`. It works in a
copy of the repository, runs the tests of tests/unit/analysis against each change, and is not a
part of CI: a folder takes minutes to hours.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = "tests/unit/analysis"
OPPOSITE: dict[type[ast.AST], type[ast.AST]] = {
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def places(tree: ast.AST) -> Iterator[ast.Compare | ast.BoolOp]:
    """Yields the comparisons and the `and`s and `or`s of a module, in a fixed order."""
    for node in ast.walk(tree):
        compares = isinstance(node, ast.Compare) and type(node.ops[0]) in OPPOSITE
        if compares or isinstance(node, ast.BoolOp):
            yield node


def changed(source: str, place: int) -> tuple[str, int, str]:
    """Returns a module with one operator turned, its line, and what stands there now."""
    tree = ast.parse(source)
    node = list(places(tree))[place]
    if isinstance(node, ast.BoolOp):
        node.op = OPPOSITE[type(node.op)]()  # type: ignore[assignment]
    else:
        node.ops[0] = OPPOSITE[type(node.ops[0])]()  # type: ignore[assignment]
    return ast.unparse(tree), node.lineno, ast.unparse(node)


def survives(copy: Path) -> bool:
    """Returns whether all tests pass in a copy of the repository."""
    environment = os.environ | {"PYTHONPATH": f"{copy}{os.pathsep}{copy / 'ui'}"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-qx",
        "--quick",
        "-p",
        "no:cacheprovider",
        TESTS,
    ]
    done = subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, timeout=300, check=False
    )
    return done.returncode == 0


def main() -> int:
    """Runs the mutants of a file or folder; 1 if one survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--most", type=int, help="try this many, chosen by a fixed seed")
    wanted = parser.parse_args()
    files = sorted(wanted.path.rglob("*.py")) if wanted.path.is_dir() else [wanted.path]
    sources = {file: file.read_text(encoding="utf-8") for file in files}
    mutants = [
        (file, place)
        for file, source in sources.items()
        for place, _ in enumerate(places(ast.parse(source)))
    ]
    if wanted.most is not None and wanted.most < len(mutants):
        mutants = random.Random(0).sample(mutants, wanted.most)
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "repository"
        ignored = shutil.ignore_patterns(".git", ".venv", "__snapshots__", "*.pt2")
        shutil.copytree(ROOT, copy, ignore=ignored)
        for file, place in mutants:
            text, line, now = changed(sources[file], place)
            target = copy / file.resolve().relative_to(ROOT)
            target.write_text(text, encoding="utf-8")
            if survives(copy):
                alive += 1
                sys.stdout.write(f"{file}:{line}: survived as `{now}`\n")
                sys.stdout.flush()
            target.write_text(sources[file], encoding="utf-8")
    sys.stdout.write(f"{alive} of {len(mutants)} survived\n")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
