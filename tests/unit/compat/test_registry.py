from __future__ import annotations

from typing import Any

import pytest

from trtdbg.compat.registry import patched_registry_check


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns torch_tensorrt's registry, whose checks of itself are counted."""
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import (
        DYNAMO_CONVERTERS,
        ConverterRegistry,
    )

    check = ConverterRegistry.validate_invariants
    DYNAMO_CONVERTERS.checks = 0

    def counted(self: Any) -> None:
        self.checks += 1
        check(self)

    monkeypatch.setattr(ConverterRegistry, "validate_invariants", counted)
    yield DYNAMO_CONVERTERS
    del DYNAMO_CONVERTERS.checks


def test_the_entries_are_checked_once_for_all_questions_inside(registry: Any) -> None:
    with patched_registry_check():
        assert registry.checks == 0
        for target in ("a", "b"):
            assert target not in registry
        with patched_registry_check():
            assert "c" not in registry
        assert "d" not in registry
    assert registry.checks == 1
    assert "e" not in registry
    assert registry.checks == 2, "outside, the registry checks itself as it always does"


def test_a_broken_entry_is_told_at_each_question(registry: Any) -> None:
    registry.registries.append({"broken": 1})
    try:
        with patched_registry_check():
            for _ in range(2):
                with pytest.raises(AssertionError):
                    _ = "a" in registry
    finally:
        registry.registries.pop()
    assert registry.checks == 2
