"""Private names of other projects: each stands in the table, and is there."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from trtdbg.compat import private
from trtdbg.compat.patches import PATCHES
from trtdbg.compat.private import (
    OF_TEXTUAL,
    OF_TORCH,
    OF_TORCH_TENSORRT,
    PrivateName,
    absent,
    missing_name,
    object_of,
)
from trtdbg.errors import UnavailableError

ROOT = Path(__file__).parents[3]
FILES = [
    path for folder in ("trtdbg", "ui/trtdbg_ui") for path in (ROOT / folder).rglob("*.py")
]
OTHERS = ("torch", "torch_tensorrt", "tensorrt", "textual", "textual_serve")
TABLE = (*OF_TORCH, *OF_TORCH_TENSORRT, *OF_TEXTUAL)


def is_private(name: str) -> bool:
    # Operators of torch.ops are public, whatever their names begin with.
    parts = name.split(".")
    return parts[:2] != ["torch", "ops"] and any(
        part.startswith("_") and not part.startswith("__") for part in parts
    )


def names_in(path: Path) -> Iterator[str]:
    """Yields the dotted names of other projects that a file imports or reads."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OTHERS:
            called |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            for each in node.names:
                first = each.name.split(".")[0]
                if first in OTHERS:
                    called[each.asname or first] = each.name if each.asname else first

    def dotted(node: ast.expr) -> str | None:
        if isinstance(node, ast.Name):
            return called.get(node.id)
        if isinstance(node, ast.Attribute) and (inner := dotted(node.value)):
            return f"{inner}.{node.attr}"
        return None

    yield from called.values()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := dotted(node)):
            yield name


def used() -> set[str]:
    return {name for path in FILES for name in names_in(path) if is_private(name)}


def test_every_private_name_that_is_used_stands_in_a_table() -> None:
    known = {each.full for each in TABLE} | {f"{p.module}.{p.name}" for p in PATCHES}
    for name in sorted(used()):
        # A module on the way to a name, or a method of one.
        assert any(
            one == name or one.startswith(f"{name}.") or name.startswith(f"{one}.")
            for one in known
        ), f"{name}: write it into trtdbg/compat/private.py"


def test_every_name_in_the_table_is_used() -> None:
    names, texts = used(), [path.read_text(encoding="utf-8") for path in FILES]
    for each in TABLE:
        last = each.name.rsplit(".", 1)[-1]
        inherited = each in OF_TEXTUAL and any(f"self.{last}" in text for text in texts)
        assert inherited or any(
            name == each.full or name.startswith(f"{each.full}.") for name in names
        ), each.full


@pytest.mark.parametrize("name", OF_TEXTUAL, ids=lambda name: name.full)
def test_a_private_name_of_textual_is_there(name: PrivateName) -> None:
    package = importlib.import_module(name.module)
    attribute = name.name.rsplit(".", 1)[-1]
    # `_bindings` and `_process` are set by instances: their class writes them.
    text = "".join(p.read_text() for p in Path(package.__file__ or "").parent.glob("*.py"))
    assert f"{attribute}" in text
    if attribute not in ("_bindings", "_process"):
        assert object_of(name) is not None


@pytest.mark.parametrize("name", [*OF_TORCH, *OF_TORCH_TENSORRT], ids=lambda name: name.full)
def test_a_private_name_is_there_in_the_installed_version(
    name: PrivateName, torch_tensorrt_ready: None
) -> None:
    assert object_of(name) is not None


def test_a_name_that_is_gone_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, torch_tensorrt_ready: None
) -> None:
    gone = PrivateName("torch.fx.passes.shape_prop", "_no_such_name", "a test")
    assert absent((gone,)) == ["torch.fx.passes.shape_prop._no_such_name"]
    monkeypatch.setattr(private, "absent", lambda: absent((gone, gone)))
    made = missing_name(ImportError("cannot import name"))
    assert isinstance(made, UnavailableError)
    assert str(made) == (
        "the installed torch or torch_tensorrt has no "
        "torch.fx.passes.shape_prop._no_such_name and 1 more, which trtdbg reads; "
        "install torch_tensorrt 2.13, 2.14"
    )


def test_another_error_of_an_import_is_left_as_it_is(torch_tensorrt_ready: None) -> None:
    error = ImportError("libnvinfer.so is gone")
    assert missing_name(error) is error
