"""What is skipped, with a reason: what takes minutes, and what needs torch_tensorrt."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
NEEDS_TORCH = (
    "import torch",
    'importorskip("torch',
    "torch_tensorrt_ready",
    "tests.applied",
    "tests.planting",
    "tests.relabelled",
    "tests.staging",
    "from torch_tensorrt",
)
"""What a test file that needs torch says; `--quick` reads this and imports nothing."""
NEEDS_TIME = (
    "run_test(",
    "import Stage",
    "subprocess",
    "snap_compare",
    "tests.breaking",
    "playwright",
    "textual_serve",
)
"""What a test file says that drives the UI, or starts processes."""

# A test that builds an engine builds it; the tests of the cache give it a folder of their own.
os.environ["TRTDBG_ENGINE_CACHE_MIB"] = "0"
os.environ["TRTDBG_ANALYSIS_CACHE_MIB"] = "0"


def pytest_addoption(parser):
    parser.addoption(
        "--quick",
        action="store_true",
        help="only tests that need no torch, drive no UI and start no process",
    )


def pytest_ignore_collect(collection_path, config):
    if not config.getoption("--quick") or collection_path.suffix != ".py":
        return None
    if not collection_path.name.startswith("test_"):
        return None
    place = collection_path.relative_to(ROOT).parts[0]
    if place not in ("unit", "ui"):
        return True
    text = collection_path.read_text(encoding="utf-8")
    return True if any(word in text for word in (*NEEDS_TORCH, *NEEDS_TIME)) else None


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
