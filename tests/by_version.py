"""What tests expect of one version of torch_tensorrt and not of another, in one table.

A test says by name what it looks up, by the version of torch. `tests/versions.sh`
runs the tests on another version than the pinned one.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any, Final

import pytest

ONLY: Final[dict[str, tuple[str, str]]] = {
    "digests of reports": ("2.13", "every name and place of a lowered graph is in them"),
    "budgets of an analysis": ("2.13", "dispatches are counted inside of torch"),
    "a validator that raises": ("2.13", "the validator of sort no longer raises in 2.14"),
    "bool times bool": ("2.13", "TensorRT-RTX 1.6, which comes with 2.14, multiplies bools"),
}
"""What was written down with one version, and why it cannot be told of another."""


def installed() -> str:
    """Returns the version of torch that is installed, like `2.13`; empty without one."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""
    return ".".join(version.split(".")[:2])


def only(name: str) -> pytest.MarkDecorator:
    """Returns the mark of a test whose expectation was written down with one version."""
    version, why = ONLY[name]
    return pytest.mark.skipif(
        installed() != version, reason=f"written down with torch {version}: {why}"
    )


EXPECTED: Final[dict[str, dict[str, Any]]] = {
    # 2.14 decomposes complex operators before the pass that asks for the setting.
    "complex128 is lowered by truncate_double": {"2.13": True, "2.14": False},
}
"""What is expected by version, by the name of what is looked at."""


def expected(name: str) -> Any:
    """Returns what is expected of the installed version, or skips where nobody looked."""
    known = EXPECTED[name]
    if installed() not in known:
        pytest.skip(f"nobody looked at {name} with torch {installed()}")
    return known[installed()]
