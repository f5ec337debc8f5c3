"""Property tests need torch_tensorrt and hypothesis; where one is missing they are skipped."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def torch_tensorrt_ready() -> None:
    """Makes torch_tensorrt importable, as the worker does, or skips."""
    from trtdbg.errors import UnavailableError
    from trtdbg.stages import host

    try:
        host.prepare()
    except UnavailableError as error:
        pytest.skip(str(error))
