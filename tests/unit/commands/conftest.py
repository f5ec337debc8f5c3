from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A file that is there; the fake worker does not look into it."""
    path = tmp_path / "island.pt2"
    path.write_bytes(b"PK")
    return str(path)


@pytest.fixture
def other(tmp_path: Path) -> str:
    path = tmp_path / "other.pt2"
    path.write_bytes(b"PK")
    return str(path)
