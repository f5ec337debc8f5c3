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


ONE_SUBJECT = {
    "activity": "what the worker does now",
    "advice": "the weighing of refused operators and the suggested policy",
    "causes": "why operators are not in engines",
    "changes": "what changed between two analyses",
    "client": "answers the requests of commands and the UI",
    "cures": "what helps against a cause",
    "dtypes": "dtypes by name",
    "early": "the timing early",
    "engines": "engines of a partition",
    "files": "files of the user",
    "graph": "a graph and its nodes",
    "low": "low precision",
    "low_search": "the search for what keeps float32",
    "matrix": "policies side by side",
    "numerics": "what truncation does to numbers",
    "pages": "pages: files of HTML, and full screens of the UI",
    "picture": "the picture of dtypes",
    "places": "lines and modules of the model's source",
    "policy": "truncation policies",
    "precision": "the search for a low precision",
    "process": "a process of its own: a worker, a script that is recorded",
    "reduction": "reduction to the smallest part that fails",
    "report": "reports",
    "serve": "the UI in a browser",
    "shell": "the frame around what a command, or the UI, does",
    "strip": "engines and gaps in graph order",
    "switched": "what a switch of policy changed",
    "tables": "tables: in a terminal, and on the screen",
    "tensors": "tensors and their storage",
    "upstream": "the timing upstream",
    "verdicts": "verdicts of validators",
    "view": "what the user chose about the node table",
}
"""Names of modules that stand in several rooms, and what all of a name are about."""


def test_modules_of_one_name_are_about_one_subject() -> None:
    homes: dict[str, list[str]] = {}
    for folder in ("trtdbg", "ui/trtdbg_ui"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            homes.setdefault(path.stem, []).append(str(path.relative_to(ROOT)))
    several = {name: paths for name, paths in homes.items() if len(paths) > 1}
    unknown = {n: paths for n, paths in several.items() if n not in {*ONE_SUBJECT, "__init__"}}
    assert unknown == {}, "give a module another name, or say what both are about"


def test_lines_of_markdown_are_short_enough_to_read() -> None:
    long = []
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        in_code = False
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            in_code ^= line.startswith("```")
            if len(line) > 120 and not in_code and not line.startswith("|"):
                long.append(f"{path.relative_to(ROOT)}:{number}")
    assert long == []
