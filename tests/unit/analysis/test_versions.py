"""Another version of torch than was read gets one clear line."""

from __future__ import annotations

import msgspec
import pytest

from tests import canned
from trtdbg.analysis.versions import unread_line


@pytest.mark.parametrize("version", ["2.13.0+cpu", "2.14.1", None])
def test_versions_that_were_read_get_none(version: str | None) -> None:
    here = msgspec.structs.replace(canned.ENVIRONMENT, torch=version, torch_tensorrt=version)
    assert unread_line(here) is None


@pytest.mark.parametrize("version", ["2.15.0", "2.12.1", "3.0.0a0"])
def test_another_is_named_with_what_to_do(version: str) -> None:
    here = msgspec.structs.replace(canned.ENVIRONMENT, torch=version)
    line = unread_line(here)
    assert line is not None
    assert line.startswith(f"torch {version} is another version than trtdbg was written for")
    assert len(line) <= 380
    assert "\n" not in line
