from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from tests.staging import BOTH, export, late, lower, module, options, quiet  # noqa: E402
from trtdbg.graphs.deviations import Tolerance  # noqa: E402
from trtdbg.graphs.replay import ProgramInputs  # noqa: E402
from trtdbg.policy import TruncationPolicy  # noqa: E402
from trtdbg.records import Agreement, NodeError, Numerics  # noqa: E402
from trtdbg.stages import infer  # noqa: E402
from trtdbg.stages.boundary import leave_unrepaired  # noqa: E402
from trtdbg.stages.numerics import Truncated, measure_programs, same_nodes  # noqa: E402
from trtdbg.stages.partition import partition  # noqa: E402

EVERYTHING = TruncationPolicy(inputs=BOTH, constants=BOTH, computed=BOTH)
TOLERANCE = Tolerance(atol=1e-5, rtol=1e-4)


def run(original: Any, truncated: Truncated, *args: Any, seed: int = 0) -> Numerics:
    outputs = len(original.graph.output_node().args[0])
    return measure_programs(
        original,
        truncated,
        ProgramInputs(args, "these inputs", seed),
        [f"output{i}" for i in range(outputs)],
        tolerance=TOLERANCE,
        emit=quiet,
    )


def names(graph_module: Any) -> tuple[str, ...]:
    return tuple(node.name for node in graph_module.graph.nodes if node.op != "output")


def measure(
    model: Any, *args: Any, policy: TruncationPolicy = EVERYTHING, **more: Any
) -> Numerics:
    """Runs a model with the stages of timing late against its own lowered graph."""
    stages = late(export(model, *args), policy)
    original = stages.typing.inferred.module
    nodes = names(original)
    truncated = Truncated(stages.program.module, nodes, {n: n for n in nodes}, **more)
    return run(original, truncated, *args)


def row(measured: Numerics, name: str) -> NodeError:
    return next(row for row in measured.nodes if row.name == name)


def only_output(measured: Numerics) -> NodeError:
    (output,) = measured.outputs
    return output


def test_a_float64_program_differs_by_what_float32_loses() -> None:
    x = torch.full((4,), 0.7, dtype=torch.float64)
    measured = measure(module(lambda self, x: x * 3.0), x)
    lost = abs(float(x[0].float().double() - x[0]))
    assert row(measured, "x").max_abs_error == pytest.approx(lost)
    assert row(measured, "x").computed == "float32"
    output = only_output(measured)
    assert (output.original, output.computed) == ("float64", "float64")
    assert 0 < output.max_abs_error < 1e-6
    assert output.agreement is Agreement.WITHIN
    assert measured.first_beyond is None


def test_the_first_node_in_graph_order_beyond_the_tolerance_is_named() -> None:
    def cancel(self: Any, x: Any) -> Any:
        return ((x + 1e9) - 1e9) * 2.0

    x = torch.arange(1, 5, dtype=torch.float64)
    measured = measure(module(cancel), x)
    assert row(measured, "add").agreement is Agreement.WITHIN
    assert measured.first_beyond == "sub"
    assert row(measured, "sub").beyond == 4
    assert only_output(measured).agreement is Agreement.BEYOND


def test_an_overflow_is_told_from_other_errors() -> None:
    x = torch.tensor([1.0, 1e300], dtype=torch.float64)
    measured = measure(module(lambda self, x: x * 2.0), x)
    output = only_output(measured)
    assert (output.overflowed, output.inf_mismatches, output.beyond) == (1, 1, 1)
    assert output.max_abs_error == 0.0, "of the element that is finite in both"


def test_integers_that_do_not_fit_are_counted_where_they_are_narrowed() -> None:
    ids = torch.tensor([1, 2**40, -(2**33)])
    measured = measure(module(lambda self, ids: ids + 1), ids)
    assert row(measured, "ids").wrapped == 2
    assert row(measured, "ids").computed == "int32"
    output = only_output(measured)
    assert (output.beyond, output.wrapped, output.computed) == (2, 0, "int64")


def test_integers_agree_exactly_or_not_at_all() -> None:
    scores = torch.tensor([[1.0, 1.0 + 1e-12]], dtype=torch.float64)
    measured = measure(module(lambda self, scores: scores.argmax(-1)), scores)
    assert measured.first_beyond == "argmax", "in float32 both are equal and the first wins"
    assert row(measured, "argmax").max_abs_error == 1.0


def test_an_operator_that_refuses_what_it_is_given_is_run_on_wide_operands_and_noted() -> None:
    x, index = torch.randn(4, dtype=torch.float64), torch.tensor([0, 2])
    stages = late(export(module(lambda self, x, i: x.take(i + 1)), x, index), EVERYTHING)
    split = stages.program.module
    (take,) = (n for n in split.graph.nodes if "take" in n.name)
    # A repair that forgot the cast back: take wants int64 and is given int32.
    (restoring,) = (n for n in take.all_input_nodes if "_to_copy" in n.name)
    take.replace_input_with(restoring, restoring.args[0])
    original = stages.typing.inferred.module
    nodes = names(original)
    truncated = Truncated(split, nodes, {n: n for n in nodes})
    measured = run(original, truncated, x, index)
    assert row(measured, "take").agreement is Agreement.WITHIN
    assert "run on int64" in row(measured, "take").note
    assert "but got Int" in row(measured, "take").note, "PyTorch's own sentence"


def test_float64_that_the_policy_keeps_is_float32_in_an_engine_all_the_same() -> None:
    x = torch.full((4,), 0.7, dtype=torch.float64)
    kept = TruncationPolicy(inputs=(), constants=(), computed=())
    measured = measure(module(lambda self, x: x * 3.0), x, policy=kept)
    assert row(measured, "mul").computed == "float32"
    assert only_output(measured).computed == "float64"
    assert only_output(measured).max_abs_error > 0


def test_a_random_operator_is_drawn_once_for_both_programs() -> None:
    def noisy(self: Any, x: Any) -> Any:
        return x + torch.rand(3, dtype=torch.float64)

    x = torch.zeros(3, dtype=torch.float64)
    state = torch.get_rng_state()
    measured = measure(module(noisy), x)
    assert torch.equal(torch.get_rng_state(), state), "the caller's generator is untouched"
    assert row(measured, "rand").note is not None
    output = only_output(measured)
    assert output.agreement is Agreement.WITHIN
    assert output.max_abs_error > 0, "the draw is narrowed, not taken over whole"


def test_attention_without_dropout_is_computed_by_both_programs() -> None:
    def attend(self: Any, q: Any, k: Any, v: Any) -> Any:
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)

    qkv = [torch.randn(1, 2, 4, 8, dtype=torch.float64) for _ in range(3)]
    measured = measure(module(attend), *qkv)
    attention = next(row for row in measured.nodes if "attention" in row.name)
    assert attention.note is None
    assert attention.max_abs_error > 0


def test_what_cannot_run_leaves_its_readers_uncompared_and_says_why() -> None:
    def look_up(self: Any, x: Any, ids: Any) -> Any:
        return self.table[ids] + x, x * 2.0

    model = module(look_up, table=torch.randn(4, 3, dtype=torch.float64))
    x, ids = torch.randn(2, 3, dtype=torch.float64), torch.tensor([0, 1])
    stages = late(export(model, x, ids), EVERYTHING)
    original = stages.typing.inferred.module
    nodes = names(original)
    truncated = Truncated(stages.program.module, nodes, {n: n for n in nodes})
    measured = run(original, truncated, x, torch.tensor([0, 9]))
    broken, fine = measured.outputs
    assert broken.agreement is Agreement.NOT_COMPARED
    assert "IndexError" in broken.note
    assert broken.max_abs_error is None
    assert fine.agreement is Agreement.WITHIN
    assert row(measured, "add").agreement is Agreement.NOT_COMPARED


def test_a_scalar_that_a_converter_makes_an_integer_is_lost_here_too() -> None:
    ids = torch.arange(4)
    model = module(lambda self, ids: ids * 0.5)
    plain = measure(model, ids, policy=TruncationPolicy())
    assert only_output(plain).agreement is Agreement.WITHIN
    coerced = measure(model, ids, policy=TruncationPolicy(), coerced=frozenset({"mul"}))
    assert coerced.first_beyond == "mul"
    assert row(coerced, "mul").max_abs_error == 1.5
    assert row(coerced, "mul").computed == "float32"


def test_upstream_engines_compute_in_the_typing_given_and_hand_out_narrow_values() -> None:
    x = torch.full((4,), 0.7, dtype=torch.float64)
    stages = late(export(module(lambda self, x: x * 3.0), x))
    original = stages.typing.inferred.module
    nodes = names(original)
    unrepaired = leave_unrepaired(partition(original, options(), tolerant=True).module)
    same = {n: n for n in nodes}
    truncated = Truncated(unrepaired.module, nodes, same, stages.typing.truncated)
    output = only_output(run(original, truncated, x))
    assert output.computed == "float32", "nothing casts it back, and that is shown"
    assert output.max_abs_error > 0


def test_symbolic_sizes_and_several_outputs_are_compared() -> None:
    def parts(self: Any, x: Any) -> Any:
        return torch.topk(x, 2).values, x.reshape(x.shape[0] * 2, -1)

    x = torch.randn(4, 6, dtype=torch.float64)
    rows = torch.export.Dim("rows", min=2, max=16)
    program = export(module(parts), x, dynamic_shapes={"x": {0: rows}})
    stages = late(program, EVERYTHING)
    original = stages.typing.inferred.module
    nodes = names(original)
    truncated = Truncated(stages.program.module, nodes, {n: n for n in nodes})
    measured = run(original, truncated, torch.randn(7, 6, dtype=torch.float64))
    assert [o.agreement for o in measured.outputs] == [Agreement.WITHIN] * 2
    assert [o.elements for o in measured.outputs] == [14, 42]
    assert all(r.agreement is Agreement.WITHIN for r in measured.nodes), measured.nodes


def test_neither_program_nor_inputs_are_changed_even_by_a_program_that_writes() -> None:
    class Counter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(3, dtype=torch.float64))

        def forward(self, x: Any) -> Any:
            self.seen.add_(x)
            return self.seen * 2.0

    x = torch.ones(3, dtype=torch.float64)
    program = export(Counter().eval(), x)
    stages = late(program, EVERYTHING)
    original = stages.typing.inferred.module
    nodes = names(original)
    before = {
        id(t): (t, t.clone())
        for gm in (original, stages.program.module)
        for t in tree_leaves([dict(gm.named_buffers()), dict(gm.named_parameters())])
    }
    truncated = Truncated(stages.program.module, nodes, {n: n for n in nodes})
    measured = run(original, truncated, x)
    assert only_output(measured).agreement is Agreement.WITHIN
    assert torch.equal(x, torch.ones_like(x))
    assert before
    assert all(torch.equal(tensor, copy) for tensor, copy in before.values())


class _LiveTensors(TorchDispatchMode):
    """Counts the large tensors that operators made and that are still alive."""

    def __init__(self, elements: int) -> None:
        super().__init__()
        self.elements = elements
        self.alive: weakref.WeakSet[Any] = weakref.WeakSet()
        self.most = 0
        self.made = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and leaf.numel() == self.elements:
                self.alive.add(leaf)
                self.made += 1
        self.most = max(self.most, len(self.alive))
        return result


@pytest.mark.parametrize("length", [5, 40])
def test_memory_does_not_grow_with_the_length_of_a_chain(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    elements = 4096
    # Chunks smaller than the values: what a comparison needs is then not counted.
    monkeypatch.setattr("trtdbg.graphs.deviations.CHUNK_ELEMENTS", 1024)

    def chain(self: Any, x: Any) -> Any:
        for step in range(length):
            x = torch.sin(x) + step
        return x

    x = torch.randn(elements, dtype=torch.float64)
    stages = late(export(module(chain), x), EVERYTHING)
    original = stages.typing.inferred.module
    nodes = names(original)
    truncated = Truncated(stages.program.module, nodes, {n: n for n in nodes})
    gc.disable()
    try:
        with _LiveTensors(elements) as live:
            measured = run(original, truncated, x)
    finally:
        gc.enable()
    assert only_output(measured).agreement is Agreement.WITHIN
    assert live.made > 4 * length, "both programs ran"
    assert live.most <= 12, f"{live.most} values of a chain of {length} were alive at once"


def test_nodes_of_another_lowering_are_matched_by_what_they_descend_from() -> None:
    x = torch.randn(3, dtype=torch.float64)
    program = export(module(lambda self, x: torch.sin(x) + 1.0), x)
    original, other = infer.infer(lower(program)).module, infer.infer(lower(program)).module
    for node in list(other.graph.nodes):
        if node.op == "call_function":
            node.name = f"renamed_{node.name}"
    same = same_nodes(original, other)
    assert (same["x"], same["renamed_sin"], same["renamed_add"]) == ("x", "sin", "add")


def test_a_node_that_only_one_lowering_has_stays_uncompared() -> None:
    x = torch.randn(3, dtype=torch.float64)
    stages = late(export(module(lambda self, x: torch.sin(x) + 1.0), x))
    original = stages.typing.inferred.module
    nodes = names(original)
    same = {n: n for n in nodes if n != "sin"}
    measured = run(original, Truncated(stages.program.module, nodes, same), x)
    assert row(measured, "sin").note == "the original program has no such node"
    assert only_output(measured).agreement is Agreement.WITHIN
