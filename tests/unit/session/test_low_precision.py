"""A low precision under timing late: what becomes low, and what stays for which reason."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")

from tests.lowering import (  # noqa: E402
    BRAIN,
    HALF,
    Applied,
    casts,
    lows,
    of_operator,
    partitioned,
    session,
)
from trtdbg.policy import KeepRule, Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import BuildStatus, LowRule  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

NO_RULES = msgspec.structs.replace(HALF, keep_rules=())


class Block(torch.nn.Module):
    """An embedding, a norm, two linear layers, a softmax and a selection."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(50, 16)
        self.norm = torch.nn.LayerNorm(16)
        self.wide = torch.nn.Linear(16, 32)
        self.narrow = torch.nn.Linear(32, 16)

    def forward(self, x: Any, ids: Any) -> Any:
        hidden = self.norm(x + self.table(ids))
        scores = torch.softmax(self.narrow(torch.relu(self.wide(hidden))), -1)
        values, places = scores.topk(3)
        return scores * 2 + x, values, places


def block() -> Any:
    torch.manual_seed(1)
    return session(Block(), torch.randn(4, 16), torch.randint(0, 50, (4,)))


@pytest.mark.parametrize("policy", [HALF, BRAIN], ids=["float16", "bfloat16"])
def test_engines_build_low_and_outputs_keep_what_export_promised(
    policy: TruncationPolicy,
) -> None:
    report = block().build(policy)
    (engine,) = report.engines
    assert engine.build.status is BuildStatus.BUILT, engine.build.error
    assert not report.torch_ops
    assert [each.bound for each in report.model.outputs] == ["float32", "float32", "int64"]
    spelled = {"float16": "HALF", "bfloat16": "BF16", "float32": "FLOAT"}
    for node in report.nodes:
        if node.low is None or node.tensorrt is None or node.low.dtype is None:
            continue
        first = node.tensorrt if isinstance(node.tensorrt, str) else node.tensorrt[0]
        assert first == spelled[node.low.dtype], node.name


def test_the_other_columns_keep_their_meaning() -> None:
    under = block()
    low, plain = under.analyze(HALF), under.analyze(TruncationPolicy(timing=Timing.LATE))
    assert all(node.low is None for node in plain.nodes)
    for one, other in zip(low.nodes, plain.nodes, strict=True):
        assert (one.original, one.inferred, one.truncated, one.verdict) == (
            other.original,
            other.inferred,
            other.truncated,
            other.verdict,
        )


def test_every_node_says_why() -> None:
    report = block().analyze(HALF)
    found = lows(report)
    assert found["linear"].rule is LowRule.LOW
    assert found["embedding"].rule is LowRule.LOW
    assert of_operator(report, "native_layer_norm").low.rule is LowRule.OPERATOR_CLASS
    assert of_operator(report, "topk").low.rule is LowRule.FOLLOWS
    assert found["getitem_4"].rule is LowRule.NOT_FLOATING
    assert all(each.reason for each in found.values())
    called = [node for node in report.nodes if node.op == "call_function"]
    assert all(node.low is not None for node in called)


def test_constants_are_converted_once_and_say_what_that_costs() -> None:
    under = block()
    report = under.analyze(HALF)
    rows = {row.name: row for row in report.constants}
    assert rows["wide.weight"].low == "float16"
    assert rows["wide.weight"].max_abs_error > 0
    assert rows["norm.weight"].low is None
    (engine,) = [m for n, m in partitioned(under, HALF).named_children() if "acc" in n]
    half = [b for b in engine.buffers() if b.dtype == torch.float16]
    assert len(half) == 5
    assert under.loaded.program.state_dict["wide.weight"].dtype == torch.float32


def test_a_constant_that_is_read_in_both_types_is_there_in_both() -> None:
    class Shared(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(8))

        def forward(self, x: Any) -> Any:
            return torch.exp(x * self.gain) + (x + self.gain)

    policy = msgspec.structs.replace(NO_RULES, keep_nodes=("mul",))
    report = session(Shared(), torch.randn(2, 8)).build(policy)
    assert report.engines[0].build.status is BuildStatus.BUILT
    assert lows(report)["mul"].rule is LowRule.USER_NODE
    assert lows(report)["gain"].dtype == "float16"


@pytest.mark.parametrize("policy", [HALF, NO_RULES], ids=["rules", "no rules"])
def test_no_integer_is_cast_and_no_two_casts_cancel(policy: TruncationPolicy) -> None:
    under = block()
    under.analyze(policy)
    for cast in casts(partitioned(under, policy)):
        (source,) = cast.all_input_nodes
        assert source.meta["val"].dtype.is_floating_point
        assert source.target is not torch.ops.aten._to_copy.default
        assert source.meta["val"].dtype != cast.meta["val"].dtype


@pytest.mark.parametrize(
    ("model", "args", "target", "rule", "figure"),
    [
        (lambda x: torch.exp(x * 12) + 1, (torch.ones(4),), "exp", "range", 162754.79),
        (lambda x: (x * 300).pow(2), (torch.ones(4),), "pow", "range", 90000.0),
        (lambda x: x.sum(-1), (torch.rand(2, 5000),), "sum", "reduction_depth", 5000),
        (
            lambda x, m: torch.softmax(x + (1 - m.float()) * -1e9, -1),
            (torch.randn(2, 4), torch.ones(2, 4, dtype=torch.bool)),
            "mul",
            "range",
            1e9,
        ),
        (lambda x: torch.softmax(x, -1), (torch.ones(2, 4),), "_softmax", "operator_class", 0),
        (lambda x: x.cumsum(-1), (torch.ones(2, 4),), "cumsum", "operator_class", 0),
    ],
    ids=["exp", "norm", "long sum", "mask", "softmax", "cumsum"],
)
def test_planted_places_stay_for_the_rule_that_knows_them(
    model: Any, args: tuple[Any, ...], target: str, rule: str, figure: float
) -> None:
    report = session(Applied(model), *args).analyze(HALF)
    found = of_operator(report, target).low
    assert found.dtype == "float32"
    assert found.rule == rule
    if figure:
        assert found.figure == pytest.approx(figure, rel=1e-3)
        assert "float16" in found.reason


def test_a_bound_is_enough_where_nothing_was_seen() -> None:
    under = session(
        Applied(lambda x, m: x.masked_fill(m, -1e9).clamp(min=-2e9)),
        torch.randn(2, 4),
        torch.zeros(2, 4, dtype=torch.bool),
    )
    found = of_operator(under.analyze(HALF), "where").low
    assert (found.rule, found.figure) == (LowRule.RANGE, 1e9)
    # In bfloat16 it fits; torch_tensorrt 2.13 converts it to INT32, which is not followed.
    found = of_operator(under.analyze(BRAIN), "where").low
    assert found.rule is not LowRule.RANGE
    assert found.rule is LowRule.LOW or "INT32" in found.reason


def test_indices_are_never_cast() -> None:
    under = session(
        Applied(lambda x, i: x.gather(-1, i) * 2), torch.randn(2, 4), torch.zeros(2, 1).long()
    )
    report = under.build(HALF)
    assert report.engines[0].build.status is BuildStatus.BUILT
    assert lows(report)["gather"].rule is LowRule.LOW
    assert {b.bound for b in report.engines[0].inputs} == {"float32", "int64"}


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("keep_nodes", ("linear",), LowRule.USER_NODE),
        ("keep_modules", ("wi",), LowRule.USER_MODULE),
        ("keep_operators", ("aten.linear.default",), LowRule.USER_OPERATOR),
        ("keep_measured", ("linear",), LowRule.MEASURED),
    ],
)
def test_the_user_keeps_by_name_module_and_operator(
    field: str, value: tuple[str, ...], rule: LowRule
) -> None:
    report = block().analyze(msgspec.structs.replace(NO_RULES, **{field: value}))
    assert lows(report)["linear"].rule is rule
    kept = {name for name, each in lows(report).items() if each.rule is rule}
    assert ("linear_1" in kept) is (field == "keep_operators")


def test_the_pytorch_part_stays_as_exported() -> None:
    settings = Settings(torch_executed_ops=("torch.ops.aten.relu.default",))
    torch.manual_seed(1)
    under = session(Block(), torch.randn(4, 16), torch.randint(0, 50, (4,)), settings=settings)
    report = under.build(HALF)
    assert report.torch_ops == ("aten.relu.default",)
    assert lows(report)["relu"].rule is LowRule.IN_PYTORCH
    assert all(each.build.status is BuildStatus.BUILT for each in report.engines)
    crossing = [b for engine in report.engines for b in (*engine.inputs, *engine.outputs)]
    assert {b.bound for b in crossing if b.name in ("relu", "linear")} == {"float32"}
    module = partitioned(under, HALF)
    outside = [n for n in module.graph.nodes if n.target is torch.ops.aten.relu.default]
    assert [n.meta["val"].dtype for n in outside] == [torch.float32]


def test_blocks_too_small_for_an_engine_stay_as_exported() -> None:
    under = session(
        Applied(lambda x: (x * 2).relu()),
        torch.randn(4),
        settings=Settings(min_block_size=9),
    )
    report = under.analyze(HALF)
    assert not report.engines
    assert {lows(report)[n].rule for n in ("mul", "relu")} == {LowRule.IN_PYTORCH}
    assert not report.boundary_casts


def test_what_is_truncated_and_low_has_what_export_promised_at_the_borders() -> None:
    class Mixed(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return (x * 2).relu() @ x.T

    report = session(Mixed(), torch.randn(4, 4, dtype=torch.float64)).build(HALF)
    assert report.engines[0].build.status is BuildStatus.BUILT
    assert [o.bound for o in report.model.outputs] == ["float64"]
    assert lows(report)["mul"].rule is LowRule.LOW
    assert {(c.from_dtype, c.to_dtype) for c in report.boundary_casts} == {
        ("float64", "float32"),
        ("float32", "float64"),
    }


def test_a_half_model_is_stepped_over_where_it_was_only_widened() -> None:
    under = session(
        Applied(lambda x: (x.float() * 2 + 1).half()), torch.randn(4, dtype=torch.float16)
    )
    report = under.build(HALF)
    assert report.engines[0].build.status is BuildStatus.BUILT
    assert lows(report)["mul"].rule is LowRule.LOW
    for cast in casts(partitioned(under, HALF)):
        (source,) = cast.all_input_nodes
        assert source.target is not torch.ops.aten._to_copy.default


def test_numerics_run_what_is_low_in_a_defined_way() -> None:
    under = session(Applied(lambda x, y: (x @ y) * 0.1), torch.randn(8, 64), torch.rand(64, 8))
    report = under.numerics(NO_RULES, rtol=1e-2)
    measured = report.numerics
    assert measured.accumulate == "float32"
    rows = {row.name: row for row in measured.nodes}
    x, y = under.loaded.example_inputs[0]
    low = (x.half().float() @ y.half().float()).half()
    number = torch.tensor(0.1).half().float()
    expected = (low.float() * number).half().float()
    assert rows["mul"].computed == "float16"
    assert measured.outputs[0].max_abs_error == pytest.approx(
        float((expected.double() - ((x @ y) * 0.1).double()).abs().max()), rel=1e-6
    )
    worse = under.numerics(NO_RULES, rtol=1e-2, accumulate_low=True).numerics
    assert worse.accumulate == "low"
    assert worse.outputs[0].max_abs_error > measured.outputs[0].max_abs_error


def test_numerics_say_ranges_and_the_first_inf() -> None:
    under = session(
        Applied(lambda x: torch.exp(x * 12) - torch.exp(x * 12).relu()), torch.ones(4)
    )
    measured = under.numerics(NO_RULES).numerics
    rows = {row.name: row for row in measured.nodes}
    assert measured.first_inf == "exp"
    assert measured.first_nan == "sub"
    assert rows["exp"].range.largest == pytest.approx(162754.79)
    assert rows["exp"].range.above == 4


def test_rules_can_be_left_out_one_by_one() -> None:
    under = session(Applied(lambda x: torch.exp(x)), torch.ones(4))
    ranged = msgspec.structs.replace(HALF, keep_rules=(KeepRule.RANGE,))
    assert lows(under.analyze(ranged))["exp"].rule is LowRule.LOW
    assert lows(under.analyze(HALF))["exp"].rule is LowRule.OPERATOR_CLASS
