from __future__ import annotations

import math
from typing import Any

import pytest
from staging import assert_runs_like, export, late, module, torch, typed

from trtdbg.policy import TruncationPolicy
from trtdbg.records import ConstantRecord
from trtdbg.stages.narrow import constant_records

DOUBLE = torch.float64
INTEGERS = TruncationPolicy(constants=("int64",), computed=("int64",))


def constants(policy: TruncationPolicy, **buffers: Any) -> dict[str, ConstantRecord]:
    """Returns the constant records of a program that adds an input to each buffer."""

    def forward(self: Any, x: Any) -> Any:
        return tuple(x + getattr(self, name) for name in buffers)

    both = typed(export(module(forward, **buffers), torch.ones(1)), policy)
    return {r.name: r for r in constant_records(both.inferred, both.truncated)}


def test_constants_inside_engines_are_really_converted() -> None:
    scale = torch.rand(4, dtype=DOUBLE)
    model, x = module(lambda self, x: x * self.scale, scale=scale), torch.randn(4)
    repaired = late(export(model, x))
    engine = repaired.engine(0)
    (constant,) = [node for node in engine.graph.nodes if node.op == "get_attr"]
    tensor = getattr(engine, constant.target)
    assert tensor.dtype == constant.meta["val"].dtype == torch.float32
    torch.testing.assert_close(tensor, scale.float(), rtol=0, atol=0)
    assert repaired.typing.inferred.module.scale.dtype == DOUBLE
    assert model.scale.dtype == DOUBLE


def test_a_constant_that_is_not_in_the_policy_stays_wide_inside_the_engine() -> None:
    model = module(lambda self, x: x * self.scale, scale=torch.rand(4, dtype=DOUBLE))
    repaired = late(export(model, torch.randn(4)), TruncationPolicy(constants=()))
    engine = repaired.engine(0)
    (constant,) = [node for node in engine.graph.nodes if node.op == "get_attr"]
    assert getattr(engine, constant.target).dtype == DOUBLE


@pytest.mark.parametrize("name", ["argmax", "topk"])
def test_an_index_that_is_typed_narrow_is_cast_inside_the_engine(name: str) -> None:
    def forward(self: Any, x: Any) -> Any:
        return x.argmax(-1) + 1 if name == "argmax" else x.topk(2)[1] + 1

    model, x = module(forward), torch.randn(3, 4)
    repaired = late(export(model, x), INTEGERS)
    (cast,) = [n for n in repaired.engine(0).graph.nodes if "_to_copy" in str(n.target)]
    assert cast.kwargs["dtype"] == torch.int32
    (add,) = cast.users
    assert add.meta["val"].dtype == torch.int32
    assert_runs_like(model, repaired.program, x)


def test_values_that_are_not_narrowed_get_no_cast() -> None:
    model, x = module(lambda self, x: x.topk(2)), torch.randn(3, 4, dtype=DOUBLE)
    computed = TruncationPolicy(computed=("float64", "int64"))
    repaired = late(export(model, x), computed)
    casts = [n for n in repaired.engine(0).graph.nodes if "_to_copy" in str(n.target)]
    assert [cast.kwargs["dtype"] for cast in casts] == [torch.int32]
    assert_runs_like(model, repaired.program, x)


def test_the_damage_of_narrowing_floats_is_measured() -> None:
    values = torch.tensor([1.0, 0.1, 1e300, -1e300, 1e-300, 0.0, math.inf], dtype=DOUBLE)
    row = constants(TruncationPolicy(), values=values)["values"]
    assert (row.original, row.truncated, row.elements) == ("float64", "float32", 7)
    assert (row.overflowed, row.underflowed) == (2, 1)
    # 1e-300 becomes zero, so its relative error is the whole of it.
    assert row.max_rel_error == 1.0
    assert row.max_abs_error == pytest.approx(abs(0.1 - float(torch.tensor(0.1))))


def test_the_damage_of_narrowing_integers_is_measured() -> None:
    rows = constants(
        INTEGERS,
        small=torch.tensor([0, -(2**31), 2**31 - 1]),
        large=torch.tensor([2**31, -(2**31) - 1, 5]),
    )
    assert (rows["small"].overflowed, rows["small"].max_abs_error) == (0, 0.0)
    assert rows["large"].truncated == "int32"
    assert (rows["large"].overflowed, rows["large"].max_abs_error) == (2, float(2**32))


def test_a_constant_that_is_kept_has_no_errors_to_show() -> None:
    row = constants(TruncationPolicy(constants=()), kept=torch.rand(3, dtype=DOUBLE))["kept"]
    assert row.original == row.truncated == "float64"
    assert row.max_abs_error is row.max_rel_error is None


def test_complex_constants_are_measured_by_their_parts() -> None:
    from trtdbg.stages.narrow import _constant_record

    real, imaginary = torch.tensor([[1.0], [1e300]], dtype=DOUBLE)
    row = _constant_record("phase", torch.complex(real, imaginary), "complex64")
    assert row.truncated == "complex64"
    assert row.elements == 1
    assert row.overflowed == 1
