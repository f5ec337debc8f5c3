"""What is generated of the documentation is up to date, and the site has no broken link."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def maker(name: str) -> Any:
    """Returns a script of docs/ as a module; it must not write when it is imported."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_reference_is_what_the_program_says() -> None:
    for path, text in maker("make_reference").pages().items():
        assert path.read_text(encoding="utf-8") == text, "run docs/make_reference.py"


@pytest.mark.parametrize(
    ("name", "run", "rows"),
    [("make_records", "make_schema", 200), ("make_versions", "make_versions", 15)],
)
def test_pages_that_are_made_from_the_source_are_up_to_date(
    name: str, run: str, rows: int
) -> None:
    made = maker(name)
    page = made.page()
    assert page == made.PAGE.read_text(encoding="utf-8"), f"run docs/{run}.py"
    assert page.count("| `") > rows


def test_site_builds_and_every_link_and_page_is_found(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--site-dir",
            str(tmp_path / "site"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "reference" / "findings" / "index.html").is_file()
