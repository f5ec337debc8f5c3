"""The rules of the house, in the same run as the tests."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CHECKS = {
    "every_file_is_free_of_lint": ("ruff", "check", "--quiet", "--output-format=concise"),
    "every_file_is_formatted": ("ruff", "format", "--check", "--quiet"),
    "every_type_is_right": ("mypy", "--no-error-summary"),
    "imports_point_one_way": ("lint-imports", "--no-cache"),
}
OF_FILES = ("ruff",)
"""Programs that are given the files of the repository, not whatever else lies in its tree."""


def tracked_python() -> list[str]:
    """Returns the Python files that git tracks and that are there; `.` outside a clone."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.py", "*.pyi"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return names if listed.returncode == 0 and names else ["."]


@pytest.mark.parametrize("name", CHECKS)
def test_house_rule(name: str) -> None:
    program, *arguments = CHECKS[name]
    if program in OF_FILES:
        arguments += tracked_python()
    # Beside the interpreter, so that an environment that is not activated works too.
    path = Path(sys.executable).parent / program
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")])}
    done = subprocess.run(
        [str(path), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"


def test_no_two_test_files_share_the_name_that_pytest_imports_them_by() -> None:
    """A file in a folder without `__init__.py` is imported by its bare name."""
    homes: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if not (path.parent / "__init__.py").exists():
            homes.setdefault(path.name, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_no_class_name_means_two_things() -> None:
    homes: dict[str, list[str]] = {}
    for folder in ("trtdbg", "ui/trtdbg_ui"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    homes.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}
