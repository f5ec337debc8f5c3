from __future__ import annotations

from typing import Any

import pytest

from tests.staging import export, late, lower, module, options, torch
from trtdbg.policy import Partitioner, Settings
from trtdbg.stages.boundary import leave_unrepaired
from trtdbg.stages.infer import infer
from trtdbg.stages.partition import partition
from trtdbg.stages.settle import settle

DOUBLE = torch.float64


def in_two_parts(self: Any, x: Any) -> Any:
    h = torch.special.i0(torch.relu(x))
    return torch.sigmoid(h), h


def unrepaired(model: Any, *args: Any, settings: Settings | None = None) -> Any:
    gm = infer(lower(export(model, *args))).module
    split = partition(gm, options(settings), tolerant=True)
    return split, leave_unrepaired(split.module)


def test_without_bindings_the_declared_dtypes_flow() -> None:
    _, program = unrepaired(module(in_two_parts), torch.randn(4))
    settled = settle(program, {})
    assert settled.outputs == ("float32", "float32")
    assert settled.refused == {}
    assert settled.narrowed_readers == {}


def test_an_engine_that_declares_float64_returns_float32_whether_it_is_defined_or_not() -> (
    None
):
    _, program = unrepaired(module(in_two_parts), torch.randn(4, dtype=DOUBLE))
    settled = settle(program, {})
    assert settled.outputs == ("float32", "float32")
    assert list(settled.narrowed_readers) == ["i0"]


@pytest.mark.parametrize("partitioner", list(Partitioner))
def test_a_narrow_binding_flows_through_the_pytorch_part(partitioner: Partitioner) -> None:
    split, program = unrepaired(
        module(in_two_parts),
        torch.randn(4, dtype=DOUBLE),
        settings=Settings(partitioner=partitioner),
    )
    first, second = split.engine_names
    settled = settle(program, {first: ("float32",), second: ("float64",)})
    assert settled.outputs == ("float64", "float32")
    assert list(settled.narrowed_readers) == ["i0"]
    assert settled.narrowed_readers["i0"][1:] == ("float64", "float32")


def test_an_operator_that_refuses_what_it_is_given_is_named_with_its_sentence() -> None:
    def forward(self: Any, x: Any, y: Any) -> Any:
        return torch.bmm(torch.special.i0(torch.relu(x)), y)

    args = (torch.randn(2, 3, 4, dtype=DOUBLE), torch.randn(2, 4, 3, dtype=DOUBLE))
    excluded = Settings(torch_executed_ops=("torch.ops.aten.bmm.default",))
    split, program = unrepaired(module(forward), *args, settings=excluded)
    settled = settle(program, {split.engine_names[0]: ("float32",)})
    assert "i0" not in settled.refused
    ((name, sentence),) = settled.refused.items()
    assert "bmm" in name
    assert "expected scalar type" in sentence


def test_casts_of_the_repair_restore_what_was_promised() -> None:
    repaired = late(export(module(in_two_parts), torch.randn(4, dtype=DOUBLE)))
    narrow = dict.fromkeys(repaired.split.engine_names, ("float32",))
    settled = settle(repaired.program, narrow)
    assert settled.outputs == ("float64", "float64")
    assert settled.refused == {}
    assert settled.narrowed_readers == {}


def test_a_number_has_no_dtype() -> None:
    batch = torch.export.Dim("batch", min=2, max=16)
    model = module(lambda self, x: (torch.relu(x), x.shape[0] * 2))
    program = export(model, torch.randn(4, 3), dynamic_shapes=({0: batch},))
    assert settle(late(program).program, {}).outputs == ("float32", None)
