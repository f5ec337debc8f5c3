from __future__ import annotations

import gc

from tests.staging import torch
from trtdbg.graphs.tensors import Narrowings

DOUBLE = torch.float64


def test_tensors_that_share_storage_share_their_narrow_copy() -> None:
    narrowings, wide = Narrowings(), torch.rand(4, 3, dtype=DOUBLE)
    first = narrowings.narrowed(wide, torch.float32)
    assert narrowings.narrowed(wide.view(4, 3), torch.float32) is first
    assert narrowings.narrowed(wide.T, torch.float32) is not first
    torch.testing.assert_close(first, wide.float(), rtol=0, atol=0)
    assert wide.dtype == DOUBLE


def test_a_copy_that_nobody_uses_is_freed() -> None:
    narrowings, wide = Narrowings(), torch.rand(4, dtype=DOUBLE)
    copy = narrowings.narrowed(wide, torch.float32)
    assert len(narrowings._copies) == 1
    del copy
    gc.collect()
    assert len(narrowings._copies) == 0


def test_a_tensor_that_was_written_to_is_converted_again() -> None:
    narrowings, wide = Narrowings(), torch.zeros(4, dtype=DOUBLE)
    before = narrowings.narrowed(wide, torch.float32)
    wide.add_(1)
    assert narrowings.narrowed(wide, torch.float32).tolist() == [1.0] * 4
    assert before.tolist() == [0.0] * 4


def test_a_parameter_stays_a_parameter_without_gradient() -> None:
    wide = torch.nn.Parameter(torch.rand(4, dtype=DOUBLE))
    narrow = Narrowings().narrowed(wide, torch.float32)
    assert isinstance(narrow, torch.nn.Parameter)
    assert not narrow.requires_grad
