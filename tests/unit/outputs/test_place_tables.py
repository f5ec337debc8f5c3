"""Lines and modules in the terminal, in Markdown and on the page, and source that moved."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from tests import canned
from trtdbg.analysis.by_place import by_line, by_module
from trtdbg.outputs import local_source, pages
from trtdbg.outputs.report_pages import markdown, page
from trtdbg.records import LineRow, Report


def report() -> Report:
    lines, modules = by_line(canned.UPSTREAM), by_module(canned.UPSTREAM)
    return msgspec.structs.replace(canned.UPSTREAM, lines=lines, modules=modules)


def text(shown: Report, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(pages.report(shown))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_shows_lines_and_modules_in_place_of_the_tables(width: int) -> None:
    shown = text(report(), width)
    assert "island.py:41" in shown
    assert "y = x.double()" in shown
    assert "(model)" in shown
    assert "Boundary casts" not in shown
    assert max(map(len, shown.splitlines())) <= width


def test_pages_have_both_tables_before_the_causes() -> None:
    assert "### Lines" in markdown([report()])
    assert markdown([report()]).index("### Modules") < markdown([report()]).index(
        "### Findings"
    )
    assert "<h2>Lines" in page([report()])
    assert "Lines" not in page([canned.UPSTREAM])


def test_source_that_is_not_here_is_told() -> None:
    assert "models/island.py is not on this machine" in " ".join(text(report()).split())


def test_source_that_changed_since_the_export_is_told(tmp_path: Path) -> None:
    row = LineRow(file="/elsewhere/model.py", line=2, code="y = x.double()")
    (tmp_path / "model.py").write_text("import torch\n  y =  x.double()\n")
    assert local_source.remarks([row], tmp_path) == []
    (tmp_path / "model.py").write_text("import torch\ny = x.float()\n")
    assert local_source.remarks([row], tmp_path) == [
        "/elsewhere/model.py has changed since the export: line 2"
    ]
    (tmp_path / "model.py").write_text("")
    assert "line 2" in local_source.remarks([row], tmp_path)[0]


def test_a_librarys_file_is_found_where_the_library_is_installed() -> None:
    import click

    inside = "/opt/other/lib/python3.9/site-packages/click/core.py"
    assert local_source.find(inside) == Path(click.__file__).with_name("core.py")


def test_no_file_but_python_source_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("password")
    assert local_source.find(str(secret)) is None
    assert local_source.find("/dev/zero") is None
