"""Stages need torch and torch_tensorrt; where they are missing their tests are skipped."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _ready(torch_tensorrt_ready: None) -> None:
    """Skips all tests of this folder where torch_tensorrt is missing."""
