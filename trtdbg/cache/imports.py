"""What `--import` brings in: a digest of the files that run, where they can be known.

The files of a module and of everything that it imports from outside of what is installed.
Where a module loads what no import statement names, there is no digest, and no answer is kept.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_MOST_FILES: Final = 2000
_OPAQUE: Final = (
    *("load_library", "load_inline", "cpp_extension", "CDLL", "ctypes", "cffi"),
    *("import_module", "__import__", "spec_from_file_location", "exec(", "eval("),
    *("open(", "read_text", "read_bytes", "environ", "getenv", "subprocess"),
)
"""Words of a source that may read or run what its imports do not name."""


class _UnknowableError(Exception):
    """What a module runs cannot be told without running it."""


def digest(modules: Sequence[str]) -> str | None:
    """Returns a digest of the files that modules run; None if they cannot be known.

    Args:
        modules: names of modules, or paths of .py files, as `--import` takes them.
    """
    found: dict[str, bytes] = {}
    try:
        for module in modules:
            if module.endswith(".py"):
                _take(Path(module), found)
            else:
                _take_module(module.partition(".")[0], os.getcwd(), found, wanted=True)
    except (_UnknowableError, OSError, ValueError, SyntaxError, RecursionError):
        return None
    made = hashlib.sha256()
    for path, content in sorted(found.items()):
        made.update(os.fsencode(path) + b"\0" + content)
    return made.hexdigest()


def _take(path: Path, found: dict[str, bytes]) -> None:
    """Takes a file, and what it imports."""
    name = str(path.resolve())
    if name in found:
        return
    if len(found) >= _MOST_FILES:
        raise _UnknowableError
    data = path.read_bytes()
    found[name] = hashlib.sha256(data).digest()
    if path.suffix != ".py":
        return
    text = data.decode("utf-8")
    if any(word in text for word in _OPAQUE):
        raise _UnknowableError
    for top in sorted(_imported(ast.parse(text))):
        _take_module(top, str(path.parent), found, wanted=False)


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _take_module(top: str, folder: str, found: dict[str, bytes], *, wanted: bool) -> None:
    """Takes a module by its name, with all files of its package.

    Args:
        top: its name, without what stands in it.
        folder: that may hold it, besides `sys.path`.
        found: takes the files.
        wanted: whether it has to be there, and counts if it is installed too.
    """
    if top in sys.stdlib_module_names:
        return
    spec = importlib.util.find_spec(top)
    if spec is None:
        spec = importlib.machinery.PathFinder.find_spec(top, [folder, os.getcwd()])
    if spec is None:
        if wanted:
            raise _UnknowableError
        return
    places = list(spec.submodule_search_locations or ())
    origin = spec.origin or ""
    if _is_installed(places[0] if places else origin):
        if wanted:
            _stamp_all(places or [origin], found)
        return
    if not places:
        _take(Path(origin), found)
    for place in places:
        for path in sorted(Path(place).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                _take(path, found)


def _is_installed(path: str) -> bool:
    return any(part in ("site-packages", "dist-packages") for part in Path(path).parts)


def _stamp_all(places: Sequence[str], found: dict[str, bytes]) -> None:
    """Takes sizes and times of what is installed; its version is in the key anyway."""
    for place in places:
        files = [Path(place)] if os.path.isfile(place) else sorted(Path(place).rglob("*"))
        for path in files:
            if path.is_file():
                status = path.stat()
                text = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
                found[str(path)] = text.encode()
