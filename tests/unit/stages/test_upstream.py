from __future__ import annotations

from typing import Any

from staging import export, module, quiet, torch

from trtdbg.policy import Settings
from trtdbg.records import Direction
from trtdbg.stages.capture import capture, compilation_settings
from trtdbg.stages.partition import partition
from trtdbg.stages.upstream import UpstreamRepair, repair_upstream

DOUBLE = torch.float64


def repaired(model: Any, *args: Any, dynamic_shapes: Any = None) -> UpstreamRepair:
    program = export(model, *args, dynamic_shapes=dynamic_shapes)
    captured = capture(program, Settings(), truncate_double=True, emit=quiet)
    chosen = compilation_settings(Settings(), truncate_double=True)
    split = partition(captured.module, chosen, tolerant=False)
    return repair_upstream(split.module, captured.module, chosen)


def test_float64_in_and_out_of_one_engine_takes_two_casts() -> None:
    repair = repaired(module(lambda self, x: torch.relu(x) + 1), torch.randn(4, dtype=DOUBLE))
    assert repair.crash is None
    assert [
        (c.value, c.from_dtype, c.to_dtype, c.direction) for c in repair.program.casts
    ] == [
        ("x", "float64", "float32", Direction.INTO_ENGINE),
        ("add", "float32", "float64", Direction.OUT_OF_ENGINE),
    ]


def test_the_repair_casts_between_engines_where_late_does_not() -> None:
    def forward(self: Any, x: Any) -> Any:
        h = torch.relu(x)
        return h + torch.special.i0(h)

    casts = repaired(module(forward), torch.randn(4, dtype=DOUBLE)).program.casts
    assert [cast.value for cast in casts].count("relu") == 2


def test_inputs_are_declared_as_the_repair_leaves_them() -> None:
    repair = repaired(module(lambda self, x: torch.relu(x)), torch.randn(4, dtype=DOUBLE))
    ((_, specs),) = repair.inputs.items()
    assert [spec.dtype.to(torch.dtype) for spec in specs] == [torch.float32]


def test_a_float64_that_only_a_constant_brings_in_is_not_restored() -> None:
    model = module(lambda self, x: x * self.scale, scale=torch.rand(4, dtype=DOUBLE))
    assert repaired(model, torch.randn(4)).program.casts == ()


def test_a_repair_that_raises_is_told_with_its_place() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.special.i0(torch.relu(x)) + 1, x.shape[0] * 2

    batch = torch.export.Dim("batch", min=2, max=16)
    model, x = module(forward), torch.randn(4, 3, dtype=DOUBLE)
    repair = repaired(model, x, dynamic_shapes=({0: batch},))
    assert repair.crash is not None
    assert "'int' object has no attribute 'dtype'" in repair.crash
    assert "truncate_double.py:" in repair.crash
    assert repair.crashed_engine is not None
    assert repair.crashed_engine not in repair.inputs
