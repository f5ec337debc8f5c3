"""The rules of the house, in the same run as the tests."""

from __future__ import annotations

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


@pytest.mark.parametrize("name", CHECKS)
def test_house_rule(name: str) -> None:
    program, *arguments = CHECKS[name]
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
