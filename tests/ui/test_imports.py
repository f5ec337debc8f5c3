"""What importing the UI costs."""

from __future__ import annotations

import subprocess
import sys

import pytest


def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_importing_the_package_alone_is_cheap() -> None:
    assert not modules_after("import trtdbg_ui") & {"textual", "rich", "msgspec", "torch"}


@pytest.mark.parametrize("name", ["torch", "torch_tensorrt", "tensorrt", "numpy"])
def test_the_app_needs_no_torch(name: str) -> None:
    assert name not in modules_after("import trtdbg_ui.app, trtdbg.worker.client")
