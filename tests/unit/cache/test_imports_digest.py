"""What `--import` runs: its files and those it imports, or nothing that can be known."""

from __future__ import annotations

from pathlib import Path

import pytest

from trtdbg.cache.imports import digest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_nothing_imported_is_always_the_same(folder: Path) -> None:
    assert digest(()) == digest(()) is not None


def test_a_changed_file_has_another_digest(folder: Path) -> None:
    write(folder, ops="x = 1\n")
    first = digest(("ops.py",))
    assert digest(("ops.py",)) == first
    write(folder, ops="x = 2\n")
    assert digest(("ops.py",)) not in (first, None)


def test_what_a_file_imports_from_beside_it_counts(folder: Path) -> None:
    write(folder, ops="import helper_of_ops\n", helper_of_ops="x = 1\n")
    first = digest(("ops.py",))
    write(folder, helper_of_ops="x = 2\n")
    assert digest(("ops.py",)) not in (first, None)


def test_every_file_of_a_package_counts(folder: Path) -> None:
    write(folder, mine____init__="", mine__deep="import sys\n")
    (folder / "mine").mkdir(exist_ok=True)
    (folder / "mine" / "__init__.py").write_text("")
    (folder / "mine" / "table.bin").write_bytes(b"1")
    first = digest(("mine.deep",))
    (folder / "mine" / "table.bin").write_bytes(b"2")
    assert digest(("mine.deep",)) not in (first, None)


def test_what_is_installed_is_known_by_its_files(folder: Path) -> None:
    assert digest(("msgspec",)) == digest(("msgspec",)) is not None
    assert digest(("msgspec",)) != digest(("click",))


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch.ops.load_library('ops.so')\n",
        "import os\nif os.environ.get('FAST'): pass\n",
        "open('table.txt').read()\n",
        "exec(text)\n",
        "this is no Python",
    ],
)
def test_what_cannot_be_known_has_no_digest(folder: Path, text: str) -> None:
    write(folder, ops=text)
    assert digest(("ops.py",)) is None


def test_a_module_that_is_not_there_has_no_digest(folder: Path) -> None:
    assert digest(("no_such_module_here",)) is None
    assert digest(("missing.py",)) is None
