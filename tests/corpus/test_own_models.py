"""The project's own small models show every kind that the ones beside the checkout show."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.models import CORPUS, OWN


def manifest(folder: Path) -> dict[str, dict[str, Any]]:
    return tomllib.loads((folder / "manifest.toml").read_text())


@pytest.mark.parametrize("folder", ["cases", "reports"])
def test_every_model_is_in_the_manifest_and_every_entry_has_a_model(folder: str) -> None:
    entries = manifest(OWN if folder == "cases" else OWN / folder)
    assert {path.stem for path in (OWN / folder).glob("*.py")} == set(entries)


def test_each_kind_has_a_model_of_the_projects_own() -> None:
    assert set(manifest(OWN)) >= set(manifest(CORPUS))
    assert set(manifest(OWN / "reports")) >= set(manifest(CORPUS / "reports"))
