"""Each numbered rule of `repair_late`, on programs that are really run, engines in PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.staging import (
    BOTH,
    assert_runs_like,
    export,
    late,
    lower,
    module,
    options,
    torch,
    typed,
)
from trtdbg.graphs.graph import engine_nodes
from trtdbg.graphs.splits import Program
from trtdbg.graphs.tensors import Narrowings
from trtdbg.policy import Partitioner, Settings, Timing, TruncationPolicy
from trtdbg.records import Direction
from trtdbg.stages.boundary import leave_unrepaired, repair_late, repair_program
from trtdbg.stages.capture import copy_program
from trtdbg.stages.early import narrow_program
from trtdbg.stages.infer import infer
from trtdbg.stages.partition import partition
from trtdbg.stages.settle import settle

DOUBLE = torch.float64


def wide(*shape: int) -> Any:
    return torch.randn(*shape, dtype=DOUBLE)


def in_two_parts(self: Any, x: Any) -> Any:
    h = torch.special.i0(torch.relu(x) + 1)
    return torch.sigmoid(h) * h


def test_a_float64_input_is_cast_once_and_each_crossing_once() -> None:
    model, x = module(in_two_parts), wide(4)
    repaired = late(export(model, x))
    assert repaired.casts() == [
        ("x", "float64", "float32"),
        ("i0", "float64", "float32"),
        ("add", "float32", "float64"),
        ("mul", "float32", "float64"),
    ]
    directions = [cast.direction for cast in repaired.program.casts]
    assert directions == [Direction.INTO_ENGINE] * 2 + [Direction.OUT_OF_ENGINE] * 2
    assert [cast.bytes for cast in repaired.program.casts] == [16, 16, 32, 32]
    assert_runs_like(model, repaired.program, x)


def test_nothing_is_cast_in_a_program_without_wide_dtypes() -> None:
    model, x = module(in_two_parts), torch.randn(4)
    repaired = late(export(model, x))
    assert repaired.casts() == []
    assert_runs_like(model, repaired.program, x)


def test_rule_1_the_pytorch_part_gets_its_dtype_arguments_back() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.special.i0(torch.relu(x).double()) + 1

    model, x = module(forward), torch.randn(4)
    settings = Settings(torch_executed_ops=("torch.ops.aten._to_copy.default",))
    repaired = late(export(model, x), settings=settings)
    (own,) = [n for n in repaired.program.module.graph.nodes if n.name == "_to_copy"]
    assert own.kwargs["dtype"] == DOUBLE
    assert own.meta["val"].dtype == own.meta["tensor_meta"].dtype == DOUBLE
    assert_runs_like(model, repaired.program, x)


@pytest.mark.parametrize("partitioner", list(Partitioner))
def test_rule_1_holds_inside_pytorch_submodules_too(partitioner: Partitioner) -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.sigmoid(torch.special.i0(torch.relu(x).double()) * self.scale)

    model, x = module(forward, scale=torch.rand(4, dtype=DOUBLE)), torch.randn(4)
    excluded = ("torch.ops.aten._to_copy.default", "torch.ops.aten.mul.Tensor")
    settings = Settings(partitioner=partitioner, torch_executed_ops=excluded)
    repaired = late(export(model, x), settings=settings)
    assert "aten.mul.Tensor" in repaired.split.torch_ops
    assert_runs_like(model, repaired.program, x)


def test_rule_2_engines_share_the_cast_of_an_input() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.sigmoid(x) * torch.special.i0(torch.relu(x))

    model, x = module(forward), wide(4)
    repaired = late(export(model, x))
    assert len(repaired.split.engine_names) == 2
    (cast,) = [cast for cast in repaired.program.casts if cast.value == "x"]
    assert sorted(cast.asked_by) == sorted(repaired.split.engine_names)
    assert_runs_like(model, repaired.program, x)


def test_rule_3_nothing_is_cast_between_two_engines() -> None:
    def forward(self: Any, x: Any) -> Any:
        h = torch.relu(x)
        return h + torch.special.i0(h)

    model, x = module(forward), wide(4)
    repaired = late(export(model, x))
    first, second = repaired.split.engine_names
    calls = {n.target: n for n in repaired.program.module.graph.nodes if n.op == "call_module"}
    assert calls[first] in calls[second].args, "the second engine reads the narrow value"
    outward = [c for c in repaired.program.casts if c.value == "relu"]
    assert [cast.asked_by for cast in outward] == [("i0 (aten.i0.default)",)]
    assert_runs_like(model, repaired.program, x)


def test_rule_3_readers_in_pytorch_and_outputs_share_the_cast_back() -> None:
    def forward(self: Any, x: Any) -> Any:
        h = torch.relu(x)
        return h, torch.special.i0(h)

    model, x = module(forward), wide(4)
    repaired = late(export(model, x))
    (cast,) = [cast for cast in repaired.program.casts if cast.value == "relu"]
    assert cast.asked_by == ("i0 (aten.i0.default)", "program output")
    assert_runs_like(model, repaired.program, x)


def test_rule_4_pytorch_reads_the_original_of_a_constant_that_an_engine_holds() -> None:
    def forward(self: Any, x: Any) -> Any:
        return x + self.scale, torch.special.zeta(torch.abs(x) + 2, self.scale)

    scale = torch.rand(4, dtype=DOUBLE) + 1
    model, x = module(forward, scale=scale), wide(4)
    repaired = late(export(model, x))
    (zeta,) = [n for n in repaired.program.module.graph.nodes if "zeta" in n.name]
    constant = zeta.args[1]
    assert constant.op == "get_attr"
    assert getattr(repaired.program.module, constant.target) is not None
    torch.testing.assert_close(
        getattr(repaired.program.module, constant.target), scale, rtol=0, atol=0
    )
    assert "scale" not in {cast.value for cast in repaired.program.casts}
    assert_runs_like(model, repaired.program, x)


def test_rule_4_a_constant_that_an_engine_reads_from_pytorch_is_converted_once() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.sigmoid(x * self.scale)

    scale = torch.rand(4, dtype=DOUBLE) + 1
    model, x = module(forward, scale=scale), wide(4).abs()
    both = typed(export(model, x), TruncationPolicy())
    split = partition(both.truncated.module, options(), tolerant=True).module
    hand_out_constant(split, "scale")
    program = repair_late(split, both.inferred, both.truncated, Narrowings())
    (engine,) = [call for call, _ in engine_nodes(split)]
    (constant,) = [node for node in engine.args if node.op == "get_attr"]
    assert getattr(split, constant.target).dtype == torch.float32
    assert "scale" not in {cast.value for cast in program.casts}
    assert_runs_like(model, program, x)


def hand_out_constant(split: Any, name: str) -> None:
    """Moves a constant out of the only engine, which then reads it as an input."""
    ((call, engine),) = engine_nodes(split)
    inside = next(n for n in engine.graph.nodes if n.op == "get_attr")
    with engine.graph.inserting_before(next(iter(engine.graph.nodes))):
        placeholder = engine.graph.placeholder(f"{name}_in")
    placeholder.meta.update(inside.meta)
    inside.replace_all_uses_with(placeholder)
    engine.graph.erase_node(inside)
    engine.recompile()
    with split.graph.inserting_before(call):
        outside = split.graph.get_attr(name)
    outside.meta.update(inside.meta)
    call.args = (outside, *call.args)
    split.recompile()


def test_rule_5_sizes_are_not_cast_and_a_value_returned_twice_is_cast_once() -> None:
    def forward(self: Any, x: Any) -> Any:
        h = torch.relu(x)
        return h, h, x.shape[0] * 2

    batch = torch.export.Dim("batch", min=2, max=16)
    model, x = module(forward), wide(4, 3)
    repaired = late(export(model, x, dynamic_shapes=({0: batch},)))
    assert repaired.casts() == [("x", "float64", "float32"), ("relu", "float32", "float64")]
    assert repaired.program.casts[1].asked_by == ("program output",)
    assert_runs_like(model, repaired.program, x)


def test_rule_5_several_results_are_cast_each_by_itself() -> None:
    model, x = module(lambda self, x: torch.topk(x, 2)), wide(3, 4)
    repaired = late(export(model, x), TruncationPolicy(computed=BOTH))
    assert [(c, f, t) for c, f, t in repaired.casts() if c != "x"] == [
        ("getitem", "float32", "float64"),
        ("getitem_1", "int32", "int64"),
    ]
    assert_runs_like(model, repaired.program, x)


def test_rule_5_bytes_of_a_symbolic_size_are_those_of_the_example() -> None:
    batch = torch.export.Dim("batch", min=2, max=16)
    model, x = module(lambda self, x: torch.relu(torch.cat([x, x]))), wide(4, 3)
    repaired = late(export(model, x, dynamic_shapes=({0: batch},)))
    assert [cast.bytes for cast in repaired.program.casts] == [4 * 3 * 4, 8 * 3 * 8]


NO_CASTS = Settings(torch_executed_ops=("torch.ops.aten._to_copy.default",))


def test_rule_6_a_cast_of_the_pytorch_part_reads_the_narrow_value() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.special.i0(torch.relu(x).to(torch.float32))

    model, x = module(forward), wide(4)
    repaired = late(export(model, x), settings=NO_CASTS)
    assert repaired.casts() == [("x", "float64", "float32")]
    assert_runs_like(model, repaired.program, x)


def test_rule_6_an_engine_reads_what_a_cast_of_the_pytorch_part_widened() -> None:
    def forward(self: Any, x: Any) -> Any:
        h = torch.relu(x).double()
        return torch.sigmoid(h), torch.special.i0(h)

    model, x = module(forward), torch.randn(4)
    repaired = late(export(model, x), settings=NO_CASTS)
    assert repaired.casts() == [("sigmoid", "float32", "float64")]
    assert_runs_like(model, repaired.program, x)


NOTHING = TruncationPolicy(inputs=(), constants=(), computed=())


def test_rule_7_a_float64_that_the_policy_keeps_crosses_as_float32() -> None:
    model, x = module(in_two_parts), wide(4)
    repaired = late(export(model, x), NOTHING)
    assert repaired.casts() == late(export(model, x)).casts()
    (relu,) = [n for n in repaired.engine(0).graph.nodes if n.name == "relu"]
    assert relu.meta["val"].dtype == DOUBLE, "the engine still declares what the policy says"
    assert_runs_like(model, repaired.program, x)


def test_rule_7_an_int64_that_the_policy_keeps_is_not_cast() -> None:
    model, ids = module(lambda self, ids: ids * 2), torch.arange(4)
    repaired = late(export(model, ids), NOTHING)
    assert repaired.casts() == []
    assert_runs_like(model, repaired.program, ids)


def test_what_the_fast_partitioner_leaves_undescribed_is_described() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.special.i0(torch.relu(x)), self.scale

    model, x = module(forward, scale=torch.rand(4, dtype=DOUBLE)), torch.randn(4)
    settings = Settings(partitioner=Partitioner.FAST)
    both = typed(export(model, x), TruncationPolicy(timing=Timing.OFF))
    split = partition(both.inferred.module, options(settings), tolerant=True)
    program = leave_unrepaired(split.module)
    values = [n.meta["val"].dtype for n in program.module.graph.output_node().args[0]]
    assert values == [torch.float32, DOUBLE]
    assert settle(program, {}).outputs == ("float32", "float64")


def test_a_float64_constant_alone_needs_one_cast_at_the_output() -> None:
    model = module(lambda self, x: x * self.scale, scale=torch.rand(4, dtype=DOUBLE))
    x = torch.randn(4)
    repaired = late(export(model, x))
    assert repaired.casts() == [("mul", "float32", "float64")]
    assert_runs_like(model, repaired.program, x)


def test_an_input_that_is_returned_untouched_is_not_cast() -> None:
    model, x = module(lambda self, x: (x, torch.relu(x))), wide(4)
    repaired = late(export(model, x))
    assert [cast.value for cast in repaired.program.casts] == ["x", "relu"]
    returned = repaired.program.module(x)[0]
    torch.testing.assert_close(returned, x, rtol=0, atol=0)


@pytest.mark.parametrize("partitioner", list(Partitioner))
@pytest.mark.parametrize("inputs", [(), ("float64",), ("int64",), BOTH])
@pytest.mark.parametrize("constants", [(), BOTH])
@pytest.mark.parametrize("computed", [(), BOTH])
def test_outputs_keep_their_dtypes_under_every_policy(
    partitioner: Partitioner,
    inputs: tuple[str, ...],
    constants: tuple[str, ...],
    computed: tuple[str, ...],
) -> None:
    def forward(self: Any, x: Any, ids: Any, y: Any) -> Any:
        h = torch.tanh(x) + self.scale
        table = self.offsets + ids
        wide_again = torch.special.i0(h).double() * y
        return wide_again, h.argmax(-1) + table, (ids > 2).sum(), y.double(), h.topk(2)[1]

    scale, offsets = torch.rand(4, dtype=DOUBLE), torch.arange(4)
    model = module(forward, scale=scale, offsets=offsets)
    args = (wide(4, 4), torch.arange(4), torch.randn(4))
    policy = TruncationPolicy(Timing.LATE, inputs, constants, computed)
    repaired = late(export(model, *args), policy, Settings(partitioner=partitioner))
    assert_runs_like(model, repaired.program, *args)


def test_a_complex_input_and_output_are_restored() -> None:
    model = module(lambda self, z: z * self.phase, phase=torch.randn(4, dtype=torch.complex64))
    z = torch.randn(4, dtype=torch.complex64)
    repaired = late(export(model, z))
    assert repaired.casts() == []
    assert_runs_like(model, repaired.program, z)


def early(model: Any, policy: TruncationPolicy, *args: Any) -> Program:
    """Runs the stages of timing `early` up to the repair."""
    program = export(model, *args)
    narrowed = narrow_program(copy_program(program), policy, Narrowings())
    split = partition(infer(lower(narrowed.program)).module, options(), tolerant=True)
    return repair_program(split.module, narrowed.promised_inputs, narrowed.promised_outputs)


EARLY = TruncationPolicy(timing=Timing.EARLY)


def test_early_casts_at_the_programs_inputs_and_outputs_alone() -> None:
    model, x = module(in_two_parts), wide(4)
    program = early(model, EARLY, x)
    assert [(c.value, c.direction) for c in program.casts] == [
        ("x", Direction.PROGRAM_INPUT),
        ("mul", Direction.PROGRAM_OUTPUT),
    ]
    assert all(cast.engine is None for cast in program.casts)
    assert_runs_like(model, program, x)


def test_early_returns_an_input_as_it_came() -> None:
    model, x = module(lambda self, x: (x, torch.relu(x))), wide(4)
    program = early(model, EARLY, x)
    assert [cast.asked_by for cast in program.casts] == [
        ("_run_on_acc_0",),
        ("program output",),
    ]
    torch.testing.assert_close(program.module(x)[0], x, rtol=0, atol=0)


def test_early_casts_an_output_that_is_returned_twice_once() -> None:
    def forward(self: Any, x: Any) -> Any:
        h = torch.relu(x)
        return h, h

    model, x = module(forward), wide(4)
    program = early(model, EARLY, x)
    assert [cast.value for cast in program.casts] == ["x", "relu"]
    assert_runs_like(model, program, x)


def test_early_gives_each_output_its_own_dtype_though_one_value_stands_for_both() -> None:
    def forward(self: Any, ids: Any) -> Any:
        return ids, ids.to(torch.int32)

    policy = TruncationPolicy(Timing.EARLY, inputs=("int64",))
    model, ids = module(forward), torch.arange(4)
    program = early(model, policy, ids)
    assert_runs_like(model, program, ids)


def test_early_lets_a_float64_that_the_policy_keeps_cross_as_float32() -> None:
    model, x = module(in_two_parts), wide(4)
    policy = TruncationPolicy(Timing.EARLY, inputs=(), constants=(), computed=())
    program = early(model, policy, x)
    assert [(c.value, c.from_dtype, c.to_dtype) for c in program.casts] == [
        ("x", "float64", "float32"),
        ("i0", "float64", "float32"),
        ("add", "float32", "float64"),
        ("mul", "float32", "float64"),
    ]
    assert_runs_like(model, program, x)


def test_off_adds_no_cast() -> None:
    model, x = module(in_two_parts), wide(4)
    both = typed(export(model, x), TruncationPolicy(timing=Timing.OFF))
    split = partition(both.inferred.module, options(), tolerant=True)
    program = leave_unrepaired(split.module)
    assert program.casts == ()
    assert_runs_like(model, program, x)
