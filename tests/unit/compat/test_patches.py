"""The names that trtdbg replaces in torch and torch_tensorrt: there, and put back."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from trtdbg.compat import patches
from trtdbg.compat.patches import PATCHES, Absent, Patch, absent_patches
from trtdbg.compat.private import object_of

PRODUCT = Path(patches.__file__).parents[1]

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: f"{patch.module}.{patch.name}")
def test_a_patched_name_is_there_in_the_installed_version(patch: Patch) -> None:
    assert object_of(patch) is not None


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: f"{patch.module}.{patch.name}")
def test_the_place_that_patches_it_names_it(patch: Patch) -> None:
    for place in patch.where.split(", "):
        text = (PRODUCT / place.split(" ")[0]).read_text(encoding="utf-8")
        # torch_tensorrt has some names twice, in one place with this prefix.
        assert patch.name.rsplit(".", 1)[-1].removeprefix("dynamo_") in text
        assert " " not in place or f"def {place.split(' ')[1]}" in text


def test_every_patch_is_undone_also_after_an_exception() -> None:
    from trtdbg.archive.symbols import patched_sympify
    from trtdbg.compat.composites import patched_annotations, patched_operator_fetch
    from trtdbg.compat.dependencies import patched_dependency_viewer
    from trtdbg.compat.devices import patched_device_lookup
    from trtdbg.compat.host import patched_default_device
    from trtdbg.compat.registry import patched_registry_check

    def now() -> list[Any]:
        kept = [object_of(patch) for patch in PATCHES]
        # The registry of loaders is a list that is appended to.
        return [list(each) if isinstance(each, list) else each for each in kept]

    before = now()
    for patching in (
        patched_sympify,
        patched_dependency_viewer,
        patched_device_lookup,
        patched_default_device,
        patched_registry_check,
        patched_operator_fetch,
        patched_annotations,
    ):
        with contextlib.suppress(RuntimeError), patching():
            raise RuntimeError
        assert now() == before, patching.__name__


def test_a_name_that_is_gone_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Patch("torch.cuda", "no_such_name", "compat/host.py", "a test", Absent.NOTHING)
    monkeypatch.setattr(patches, "PATCHES", (gone, *PATCHES))
    (line,) = absent_patches()
    assert line == (
        "torch.cuda has no no_such_name here: nothing is replaced: the patch only saves time"
    )
