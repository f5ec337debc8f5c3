"""Tests of the rooms that own torch are skipped where torch_tensorrt is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
TORCH_ROOMS = frozenset({"archive", "compat", "graphs", "stages"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and item.path.parent.name in TORCH_ROOMS:
            item.add_marker(pytest.mark.usefixtures("torch_tensorrt_ready"))
