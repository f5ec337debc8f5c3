from __future__ import annotations

from typing import Any

import pytest
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.staging import torch
from trtdbg.graphs.kernels import refusal

DOUBLE = torch.float64
aten = torch.ops.aten


def fake(*shape: int, dtype: Any = torch.float32) -> Any:
    with FakeTensorMode():
        return torch.empty(*shape, dtype=dtype)


X, WIDE_X = fake(300, 400), fake(300, 400, dtype=DOUBLE)
IDS, WIDE_IDS = fake(20, dtype=torch.int32), fake(20, dtype=torch.int64)


@pytest.mark.parametrize(
    ("target", "given", "before", "says"),
    [
        (aten.index_fill.int_Scalar, (X, 1, IDS, 0.0), (X, 1, WIDE_IDS, 0.0), "int64"),
        (aten.index_copy.default, (X, 1, IDS, X), (X, 1, WIDE_IDS, X), "long"),
        (aten.linear.default, (X, WIDE_X), (WIDE_X, WIDE_X), "same dtype"),
        (aten.native_layer_norm.default, (X, [400], WIDE_X[0], None, 1e-5), None, "mixed"),
    ],
)
def test_a_kernel_that_refuses_what_its_meta_kernel_takes_is_heard(
    target: Any, given: Any, before: Any, says: str
) -> None:
    before = before or tuple(WIDE_X if value is X else value for value in given)
    sentence = refusal(target, (given, {}), (before, {}))
    assert sentence is not None
    assert says in sentence


@pytest.mark.parametrize(
    ("target", "given", "before"),
    [
        (aten.relu.default, (X,), (WIDE_X,)),
        (aten.embedding.default, (X, IDS), (X, WIDE_IDS)),
        (aten.add.Tensor, (X, WIDE_X), (WIDE_X, WIDE_X)),
    ],
)
def test_a_kernel_that_takes_the_dtypes_refuses_nothing(
    target: Any, given: Any, before: Any
) -> None:
    assert refusal(target, (given, {}), (before, {})) is None


def test_a_kernel_is_asked_and_not_its_decomposition_while_shapes_are_inferred() -> None:
    with enable_python_dispatcher():
        sentence = refusal(aten.one_hot.default, ((IDS, 9), {}), ((WIDE_IDS, 9), {}))
    assert sentence is not None
    assert "LongTensor" in sentence


def test_what_cannot_run_when_small_is_no_refusal_of_dtypes() -> None:
    given, before = (X, [60, 2000]), (WIDE_X, [60, 2000])
    assert refusal(aten.view.default, (given, {}), (before, {})) is None


def test_other_operators_than_pytorchs_own_are_not_run() -> None:
    def explode(*args: Any) -> Any:
        raise AssertionError("was run")

    assert refusal(explode, ((X,), {}), ((WIDE_X,), {})) is None
