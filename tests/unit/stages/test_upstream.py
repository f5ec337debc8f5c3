from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.staging import export, module, quiet, torch
from trtdbg.errors import UnavailableError
from trtdbg.graphs.graph import NODE_MARK
from trtdbg.graphs.splits import CAST
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


def by_metadata(
    parent_graph: Any, submodule: Any, submodule_inputs: Any, submodule_name: str = ""
) -> Any:
    """Repairs one engine as versions after pull request #4630 do: nothing is executed.

    The cast copies the metadata of the value that it reads, and the engine's own metadata says
    what its bindings are.
    """
    from torch_tensorrt._enums import dtype

    graph = parent_graph.graph
    (call,) = [n for n in graph.nodes if n.op == "call_module" and n.target == submodule_name]
    wide = call.args[0]
    with graph.inserting_before(call):
        narrow = graph.call_function(CAST, (wide,), {"dtype": torch.float32})
    narrow.meta = {**wide.meta, "val": wide.meta["val"].to(torch.float32)}
    call.replace_input_with(wide, narrow)
    promised = call.meta["val"]
    call.meta["val"] = promised.to(torch.float32)
    with graph.inserting_after(call):
        back = graph.call_function(CAST, (call,), {"dtype": promised.dtype})
    back.meta = {**call.meta, "val": promised}
    call.replace_all_uses_with(back, delete_user_cb=lambda user: user is not back)
    parent_graph.recompile()
    submodule_inputs[0].dtype = dtype.float32
    return submodule_inputs


def test_a_repair_by_metadata_without_a_device_is_called_as_it_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(truncate_double(), "repair_double_inputs", by_metadata)
    repair = repaired(module(lambda self, x: torch.relu(x) + 1), torch.randn(4, dtype=DOUBLE))
    assert repair.crash is None
    assert [
        (c.value, c.from_dtype, c.to_dtype, c.direction, c.bytes) for c in repair.program.casts
    ] == [
        ("x", "float64", "float32", Direction.INTO_ENGINE, 16),
        ("add", "float32", "float64", Direction.OUT_OF_ENGINE, 32),
    ]
    ((_, specs),) = repair.inputs.items()
    assert [spec.dtype.to(torch.dtype) for spec in specs] == [torch.float32]
    inserted = [n for n in repair.program.module.graph.nodes if n.target is CAST]
    assert not any(NODE_MARK in node.meta for node in inserted)


def test_a_repair_that_asks_for_something_unknown_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def repair(parent_graph: Any, submodule: Any, precision_map: Any) -> None:
        raise AssertionError("was called")

    monkeypatch.setattr(truncate_double(), "repair_double_inputs", repair)
    with pytest.raises(UnavailableError, match=r"asks for 'precision_map'.*use --timing late"):
        repaired(module(lambda self, x: torch.relu(x)), torch.randn(4, dtype=DOUBLE))


def truncate_double() -> Any:
    return importlib.import_module("torch_tensorrt.dynamo.conversion.truncate_double")
