"""The versions of torch and torch_tensorrt that trtdbg was written for."""

from __future__ import annotations

import re
from typing import Final

from trtdbg.records import Environment

READ: Final = ("2.13", "2.14")
"""Minor versions whose sources were read; `docs/versions.md` lists where."""

UNTRIED: Final = (
    "not yet run by its authors: standard TensorRT (trtdbg[tensorrt]), and engines on a GPU "
    "(run times, compiled.pt2, run.py); tests/gpu/run.sh of the source tries all of it"
)


def unread_line(environment: Environment) -> str | None:
    """Returns that a version is another than those that were read; None if none is."""
    found = []
    for name in ("torch", "torch_tensorrt"):
        version = getattr(environment, name)
        minor = re.match(r"\d+\.\d+", version or "")
        if minor is not None and minor[0] not in READ:
            found.append(f"{name} {version}")
    if not found:
        return None
    return (
        f"{' and '.join(found)} is another version than trtdbg was written for "
        f"({', '.join(READ)}): what it follows of torch_tensorrt may have changed; install "
        f"{READ[-1]}, or see `trtdbg doctor`"
    )
