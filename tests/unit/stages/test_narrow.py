from __future__ import annotations

import math
from typing import Any

import pytest

from tests.staging import assert_runs_like, export, late, module, torch, typed
from trtdbg.policy import Partitioner, Settings, TruncationPolicy
from trtdbg.records import ConstantRecord
from trtdbg.stages import narrow
from trtdbg.stages.narrow import constant_records, held_constants

DOUBLE = torch.float64
INTEGERS = TruncationPolicy(constants=("int64",), computed=("int64",))


def test_a_constant_of_two_engines_has_one_narrow_copy() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.special.i0(x * self.scale) * self.scale

    model, x = module(forward, scale=torch.rand(4, dtype=DOUBLE)), torch.randn(4)
    repaired = late(export(model, x), settings=Settings(partitioner=Partitioner.FAST))
    held = [
        getattr(repaired.engine(i), node.target)
        for i in range(2)
        for node in repaired.engine(i).graph.nodes
        if node.op == "get_attr"
    ]
    assert len(held) == 2
    assert held[0] is held[1]
    assert_runs_like(model, repaired.program, x)


def test_constants_whose_paths_differ_in_a_dot_do_not_collide() -> None:
    class Nested(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = torch.nn.Module()
            self.part.register_buffer("scale", torch.full((4,), 2.0, dtype=DOUBLE))
            self.register_buffer("part_scale", torch.full((4,), 3.0, dtype=DOUBLE))

        def forward(self, x: Any) -> Any:
            return x * self.part.scale + self.part_scale

    model, x = Nested().eval(), torch.randn(4)
    repaired = late(export(model, x))
    assert_runs_like(model, repaired.program, x)


def test_constants_that_the_pytorch_part_alone_reads_are_not_reported_as_narrowed() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.special.zeta(x * self.inside + 2, self.outside)

    buffers = {"inside": torch.rand(4, dtype=DOUBLE), "outside": torch.rand(4).double() + 1}
    model = module(forward, **buffers)
    repaired = late(export(model, torch.rand(4)))
    held = held_constants(repaired.program.module)
    assert held == {"inside"}
    both = repaired.typing
    rows = {r.name: r for r in constant_records(both.inferred, both.truncated, held)}
    assert (rows["inside"].truncated, rows["outside"].truncated) == ("float32", "float64")
    assert rows["outside"].max_abs_error is None


def test_a_constant_that_an_engine_hands_to_another_is_held() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.special.i0(x * self.scale) * self.scale

    model = module(forward, scale=torch.rand(4, dtype=DOUBLE))
    repaired = late(export(model, torch.randn(4)))
    assert held_constants(repaired.program.module) == {"scale"}


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


@pytest.mark.parametrize("transposed", [False, True])
def test_the_damage_is_the_same_chunk_by_chunk(
    transposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = torch.tensor([[1e300, 0.1, 1.0], [1e-300, 3e8 + 0.3, 0.0]], dtype=DOUBLE)
    values = values.T if transposed else values
    whole = constants(TruncationPolicy(), values=values)["values"]
    monkeypatch.setattr(narrow, "CHUNK_ELEMENTS", 2)
    assert constants(TruncationPolicy(), values=values)["values"] == whole
    assert (whole.overflowed, whole.underflowed) == (1, 1)
    assert whole.max_abs_error == pytest.approx(0.3, rel=1e-6)


def test_a_chunk_without_a_finite_value_says_nothing_about_errors() -> None:
    values = torch.tensor([1e300, math.inf, math.nan], dtype=DOUBLE)
    row = constants(TruncationPolicy(), values=values)["values"]
    assert (row.max_abs_error, row.max_rel_error, row.overflowed) == (None, None, 1)


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
