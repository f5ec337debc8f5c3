"""What is skipped, with a reason: what takes minutes, and what needs torch_tensorrt."""

import os

import pytest

# A test that builds an engine builds it; the tests of the cache give it a folder of their own.
os.environ["TRTDBG_ENGINE_CACHE_MIB"] = "0"


def pytest_collection_modifyitems(config, items):
    chosen = config.option.markexpr or ""
    for mark in ("slow", "deep"):
        if mark in chosen:
            continue
        skip = pytest.mark.skip(reason=f"takes minutes; run with `pytest -m {mark}`")
        for item in items:
            if mark in item.keywords:
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
