"""The files that stand beside a program and say how it was recorded, by their names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

INDEX: Final = "recording.toml"
"""The file that makes a folder a recording; it is written last."""

MODEL_SUFFIX: Final = ".pt2"
SETTINGS_SUFFIX: Final = ".settings.toml"


def digest(model: str | Path) -> str:
    """Returns a digest of what stands beside a model; "" where it is of no recording."""
    file = Path(model)
    name = file.name.removesuffix(MODEL_SUFFIX)
    found = hashlib.sha256()
    try:
        for other in (INDEX, f"{name}{SETTINGS_SUFFIX}"):
            with open(file.with_name(other), "rb") as opened:
                found.update(hashlib.file_digest(opened, "sha256").digest())
    except (OSError, ValueError):
        return ""
    return found.hexdigest()
