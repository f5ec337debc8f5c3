"""Each module that has to be light is imported alone, in a fresh interpreter."""

import os
import pkgutil
import subprocess
import sys

import pytest
import trtdbg_ui

import trtdbg

HEAVY = ("torch", "tensorrt", "tensorrt_rtx", "torch_tensorrt")

OWNERS_OF_TORCH = (
    *(f"trtdbg.{room}." for room in ("archive", "compat", "graphs", "session", "stages")),
    # What runs in the process of the script that is recorded.
    *(f"trtdbg.recordings.{n}" for n in ("dynamo_graphs", "hooks", "notebook", "saving")),
)
"""What may import torch; every other module, present or future, must not."""

NAMED = (
    "trtdbg",
    "trtdbg.cli",
    "trtdbg.commands",
    "trtdbg.dtypes",
    "trtdbg.errors",
    "trtdbg.outputs",
    "trtdbg.policy",
    "trtdbg.records",
    "trtdbg.analysis",
    "trtdbg.batch",
    "trtdbg.worker",
    "trtdbg_ui",
)
"""Modules that must exist, so that a search which finds nothing cannot pass."""


def modules(package):
    prefix = f"{package.__name__}."
    yield package.__name__
    for found in pkgutil.walk_packages(package.__path__, prefix):
        if not found.name.startswith(OWNERS_OF_TORCH):
            yield found.name


CORE = sorted(modules(trtdbg))
UI = sorted(modules(trtdbg_ui))


def loaded_by(*names):
    """Returns the top-level names of what a fresh interpreter has loaded after the imports."""
    program = "import sys\n" + "".join(f"import {name}\n" for name in names)
    program += "print(*{name.partition('.')[0] for name in sys.modules})\n"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize("name", NAMED)
def test_the_search_finds_the_modules_that_the_design_names(name):
    assert name in CORE + UI


@pytest.mark.parametrize("name", [*CORE, "trtdbg.session.server"])
def test_a_core_module_loads_neither_torch_nor_textual(name):
    assert not loaded_by(name) & {*HEAVY, "textual"}


@pytest.mark.parametrize("name", UI)
def test_a_ui_module_loads_no_torch(name):
    assert not loaded_by(name) & set(HEAVY)


def test_program_and_user_interface_together_load_no_torch():
    assert not loaded_by("trtdbg", "trtdbg.cli", "trtdbg_ui") & set(HEAVY)


def test_the_search_would_see_a_heavy_import():
    pytest.importorskip("torch")
    assert "torch" in loaded_by("trtdbg.archive.load")
