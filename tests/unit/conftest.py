"""Tests of the rooms that own torch are skipped where torch_tensorrt is missing."""

from __future__ import annotations

import pytest

TORCH_ROOMS = frozenset({"archive", "compat", "graphs", "stages"})


@pytest.fixture(autouse=True)
def _torch_tensorrt_where_it_is_needed(request: pytest.FixtureRequest) -> None:
    if request.path.parent.name in TORCH_ROOMS:
        request.getfixturevalue("torch_tensorrt_ready")
