from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.staging import torch
from trtdbg.compat.composites import patched_annotations, patched_operator_fetch


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Returns a list that grows each time that torch fetches all its composite operators."""
    from torch._export import utils

    real: Callable[[], None] = utils._materialize_cpp_cia_ops
    made: list[None] = []
    monkeypatch.setattr(utils, "_materialize_cpp_cia_ops", lambda: made.append(real()))
    return made


def collected() -> set[Any]:
    from torch._export.utils import _collect_all_valid_cia_ops

    return set(_collect_all_valid_cia_ops())


def test_the_same_operators_are_collected_with_one_fetch(fetches: list[None]) -> None:
    expected = collected()
    assert len(expected) > 500
    assert len(fetches) > 10, "torch fetches them for each namespace"
    fetches.clear()
    with patched_operator_fetch():
        assert collected() == expected
    assert len(fetches) == 1


def test_an_operator_that_is_registered_between_two_programs_is_collected(
    fetches: list[None],
) -> None:
    with patched_operator_fetch():
        before = collected()
    library = torch.library.Library("trtdbg_composites", "DEF")
    try:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: x + x, "CompositeImplicitAutograd")
        with patched_operator_fetch():
            new = collected() - before
        assert [op.name() for op in new] == ["trtdbg_composites::twice"]
    finally:
        library._destroy()
    assert len(fetches) == 2


def test_an_implementation_is_registered_the_same_with_its_type_unspelled() -> None:
    library = torch.library.Library("trtdbg_composites", "DEF")
    try:
        library.define("thrice(Tensor x) -> Tensor")
        operator = torch.ops.trtdbg_composites.thrice.default
        with patched_annotations():
            assert isinstance(collected, torch._ops.Callable)
            assert not isinstance(3, torch._ops.Callable)
            made = operator.py_impl(torch._C.DispatchKey.CPU)(lambda x: 3 * x)
            with pytest.raises(RuntimeError, match="override"):
                operator.py_impl(torch._C.DispatchKey.CPU)(lambda x: x)
        assert operator.py_kernels[torch._C.DispatchKey.CPU] is made
        assert torch._ops.Callable is Callable
    finally:
        library._destroy()
