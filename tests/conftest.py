"""What is skipped, with a reason: what takes minutes, and what needs torch_tensorrt."""

import os

import pytest

# A test that builds an engine builds it; the tests of the cache give it a folder of their own.
os.environ["TRTDBG_ENGINE_CACHE_MIB"] = "0"


def pytest_collection_modifyitems(config, items):
    if "slow" in (config.option.markexpr or ""):
        return
    skip = pytest.mark.skip(reason="takes minutes; run with `pytest -m slow`")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def torch_tensorrt_ready() -> None:
    """Makes torch_tensorrt importable, as the worker does, or skips."""
    from trtdbg.compat import host
    from trtdbg.errors import UnavailableError

    try:
        host.prepare()
    except UnavailableError as error:
        pytest.skip(str(error))
