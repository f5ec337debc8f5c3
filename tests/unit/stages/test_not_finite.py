"""What is said where the original program itself makes nan or inf."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.staging import export, late, module, quiet  # noqa: E402
from trtdbg.graphs.deviations import Tolerance  # noqa: E402
from trtdbg.graphs.replay import ProgramInputs  # noqa: E402
from trtdbg.policy import TruncationPolicy  # noqa: E402
from trtdbg.records import Agreement, Numerics  # noqa: E402
from trtdbg.stages.numerics import Truncated, measure_programs  # noqa: E402

INF = float("inf")


def measure(function: Any, *args: Any) -> Numerics:
    stages = late(export(module(function), *args), TruncationPolicy())
    original = stages.typing.inferred.module
    nodes = tuple(n.name for n in original.graph.nodes if n.op != "output")
    outputs = [n.name for n in original.graph.output_node().args[0]]
    return measure_programs(
        original,
        Truncated(stages.program.module, nodes, {n: n for n in nodes}),
        ProgramInputs(args, "these inputs", 0),
        outputs,
        tolerance=Tolerance(1e-5, 1e-4),
        emit=quiet,
    )


def agreements(measured: Numerics) -> list[Agreement]:
    return [output.agreement for output in measured.outputs]


def test_a_half_that_overflows_is_told_though_both_programs_agree() -> None:
    x = torch.full((2, 4), 300.0, dtype=torch.float16)
    measured = measure(lambda self, x: torch.rsqrt(x.pow(2).mean(-1)) + 1.0, x)
    wrong = measured.not_finite
    assert wrong is not None
    assert (wrong.node, wrong.inf, wrong.nan, wrong.elements) == ("pow_1", 8, 0, 8)
    assert wrong.outputs == tuple(output.name for output in measured.outputs)
    assert agreements(measured) == [Agreement.NOT_COMPARED]
    assert measured.outputs[0].after_not_finite == "pow_1"
    assert measured.first_beyond is None


def test_a_nan_of_zero_by_zero_is_told_and_agrees_with_nothing() -> None:
    x = torch.zeros(3)
    measured = measure(lambda self, x: (x / x.sum()) * 2.0, x)
    assert measured.not_finite is not None
    assert (measured.not_finite.node, measured.not_finite.nan) == ("div", 3)
    assert agreements(measured) == [Agreement.NOT_COMPARED]


def test_only_outputs_that_depend_on_it_are_concerned() -> None:
    x = torch.tensor([0.0, 1.0])
    measured = measure(lambda self, x: (x + 1.0, torch.log(x) * 2.0), x)
    assert measured.not_finite is not None
    assert measured.not_finite.outputs == (measured.outputs[1].name,)
    assert agreements(measured) == [Agreement.WITHIN, Agreement.NOT_COMPARED]


def test_a_mask_of_infinities_is_meant() -> None:
    scores, mask = torch.randn(2, 4), torch.tensor([[0.0, -INF, 0.0, -INF]])
    literal = measure(
        lambda self, s, m: torch.softmax(s.masked_fill(m < 0, -INF), -1), scores, mask
    )
    given = measure(lambda self, s, m: torch.softmax(s + m, -1), scores, mask)
    for measured in (literal, given):
        assert measured.not_finite is None
        assert agreements(measured) == [Agreement.WITHIN]


def test_a_row_masked_as_a_whole_is_nan_and_told() -> None:
    scores, mask = torch.randn(2, 3), torch.full((2, 3), -INF)
    measured = measure(lambda self, s, m: torch.softmax(s + m, -1), scores, mask)
    assert measured.not_finite is not None
    assert measured.not_finite.nan == 6
    assert agreements(measured) == [Agreement.NOT_COMPARED]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_that_a_selection_leaves_out_reach_no_output(dtype: Any) -> None:
    x = torch.tensor([0.0, 2.0], dtype=dtype)
    measured = measure(lambda self, x: torch.where(x > 0, torch.log(x), 0.0), x)
    assert measured.not_finite is not None
    assert (measured.not_finite.node, measured.not_finite.outputs) == ("log", ())
    assert agreements(measured) == [Agreement.WITHIN]


def test_a_harmful_one_is_named_before_a_harmless_one() -> None:
    def both(self: Any, x: Any) -> Any:
        safe = torch.where(x > 0, torch.log(x), 0.0)
        return safe + torch.reciprocal(x)

    measured = measure(both, torch.tensor([0.0, 2.0]))
    assert measured.not_finite is not None
    assert measured.not_finite.node == "div", "1 / x, and not log"


def test_an_output_that_nobody_reads_is_not_compared() -> None:
    # The mean of native_layer_norm is read by nobody.
    norm = torch.nn.LayerNorm(8)

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = norm

        def forward(self, x: Any) -> Any:
            return self.norm(x.double().float())

    x = torch.randn(4, 8) * 1e6
    stages = late(export(Model().eval(), x), TruncationPolicy())
    original = stages.typing.inferred.module
    nodes = tuple(n.name for n in original.graph.nodes if n.op != "output")
    measured = measure_programs(
        original,
        Truncated(stages.program.module, nodes, {n: n for n in nodes}),
        ProgramInputs((x,), "these inputs", 0),
        ["out"],
        tolerance=Tolerance(1e-5, 1e-4),
        emit=quiet,
    )
    rows = {row.name: row for row in measured.nodes}
    assert rows["native_layer_norm"].elements == x.numel(), "and not mean and rstd as well"
