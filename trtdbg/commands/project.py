"""TOML files that stand for flags, `[tool.trtdbg]` of pyproject.toml among them."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from trtdbg import toml_file
from trtdbg.errors import UsageError
from trtdbg.policy import TruncationPolicy

PROJECT_FILE: Final = "pyproject.toml"
"""Read only from the working directory, as its paths and its policy are meant for there."""

PROJECT_TABLE: Final = f"{PROJECT_FILE} [tool.trtdbg]"
"""How messages call the table."""

PROJECT_KEYS: Final = (
    *("select", "ignore", "fail_on", "build"),
    *TruncationPolicy.__struct_fields__,
    *("probe_seconds", "min_block_size", "partitioner", "torch_executed_ops", "target"),
)
"""The keys of the table, with underscores; named as the flags."""


def read_project() -> dict[str, Any]:
    """Returns `[tool.trtdbg]`, keys with underscores; empty without such a file or table.

    Raises:
        UsageError: the file is no TOML, or the table holds a key that nothing reads.
    """
    if not Path(PROJECT_FILE).is_file():
        return {}
    tool = toml_file.read(PROJECT_FILE).get("tool", {})
    table = tool.get("trtdbg", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise UsageError(f"{PROJECT_FILE}: tool.trtdbg is not a table")
    return _known(table, PROJECT_KEYS, PROJECT_TABLE)


def read_toml(path: str, allowed: tuple[str, ...]) -> dict[str, Any]:
    """Returns the keys of a TOML file, with underscores.

    Raises:
        UsageError: it cannot be read, is no TOML, or holds a key that is not `allowed`.
    """
    return _known(toml_file.read(path), allowed, path)


def _known(values: dict[str, Any], allowed: tuple[str, ...], where: str) -> dict[str, Any]:
    values = {name.replace("-", "_"): value for name, value in values.items()}
    for name in values:
        if name not in allowed:
            near = get_close_matches(name, allowed, 1) or [", ".join(allowed)]
            raise UsageError(
                f"{where}: there is no key {name[:80]!r}", remedy=f"use {near[0]}"
            )
    return values
