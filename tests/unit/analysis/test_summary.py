from __future__ import annotations

import msgspec
import pytest

from tests import canned
from trtdbg.analysis import summary
from trtdbg.analysis.headline import headline
from trtdbg.policy import Precision, Settings, Timing, TruncationPolicy
from trtdbg.records import (
    ConstantRecord,
    LowDecision,
    LowRule,
    NodeRecord,
    Phase,
    Report,
    TimingRecord,
)

replace = msgspec.structs.replace


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (
            canned.UPSTREAM,
            "2 engines, 1 operator left to PyTorch, 1 boundary cast under upstream",
        ),
        (canned.CLEAN, "1 engine holds every operator under late"),
        (
            replace(canned.CLEAN, engines=(), torch_ops=("a", "b")),
            "no engines, 2 operators left to PyTorch under late",
        ),
        (
            canned.LOWERING_FAILED,
            "no engines: pass 'fuse_prims_broadcast' failed under upstream",
        ),
    ],
)
def test_headline_answers_first(report: Report, sentence: str) -> None:
    assert headline(report) == sentence


def test_a_crashed_boundary_repair_is_no_failed_lowering() -> None:
    repair = replace(canned.LOWERING_FAILED.passes[-1], phase=Phase.BOUNDARY)
    report = replace(canned.UPSTREAM, passes=(repair,))
    assert summary.failed_pass(report) is None
    assert headline(report).startswith("2 engines")


def test_nodes_left_to_pytorch_come_first_and_then_the_retyped() -> None:
    assert [n.name for n in summary.left_to_pytorch(canned.UPSTREAM)] == ["_to_copy"]
    names = [node.name for node in summary.nodes_that_matter(canned.UPSTREAM)]
    assert names == ["_to_copy", "sin"]


def test_what_is_in_force_is_said_with_every_changed_setting() -> None:
    assert summary.settings_line(Settings()) == "min_block_size 1, partitioner global"
    changed = Settings(torch_executed_ops=("torch.ops.aten.mul.Tensor",), disable_tf32=True)
    assert summary.settings_line(changed) == (
        "min_block_size 1, partitioner global, torch_executed_ops aten.mul.Tensor, "
        "disable_tf32 true"
    )
    policy = TruncationPolicy(constants=(), computed=("float64", "int64"))
    assert summary.policy_line(policy, Settings()) == (
        "timing late, narrowed: inputs float64, constants none, computed float64 and int64; "
        "verdicts validators"
    )
    upstream = TruncationPolicy(timing=Timing.UPSTREAM)
    assert summary.policy_line(upstream, Settings()).endswith("truncate_double=True)")
    compiled = Settings.as_compiled()
    assert summary.policy_line(upstream, compiled).endswith("truncate_double=False)")
    assert "truncate_double false" in summary.settings_line(compiled)


def test_run_time_is_never_a_zero_or_a_guess() -> None:
    engine = canned.CLEAN.engines[0]
    assert summary.execution_time(engine, canned.ENVIRONMENT) == (
        "not available: no CUDA device"
    )
    told = replace(engine, timing_unavailable="standard TensorRT only")
    assert summary.execution_time(told, canned.ENVIRONMENT) == (
        "not available: standard TensorRT only"
    )
    timed = replace(engine, timing=TimingRecord(median_ms=1.5, p10_ms=1.4, p90_ms=1.6, runs=9))
    assert summary.execution_time(timed, canned.ENVIRONMENT) == (
        "1.500 ms (10th to 90th percentile 1.400 to 1.600, 9 runs)"
    )


def test_damaged_constants_stand_first() -> None:
    def constant(name: str, **fields: object) -> ConstantRecord:
        return ConstantRecord(name=name, original="float64", truncated="float32", **fields)  # type: ignore[arg-type]

    constants = [
        constant("fine", max_abs_error=0.0, max_rel_error=0.0),
        constant("rough", max_abs_error=0.1, max_rel_error=1e-3),
        constant("small", underflowed=2),
        constant("large", overflowed=1),
        ConstantRecord(name="narrow", original="float32", truncated="float32"),
    ]
    names = [c.name for c in summary.constants_that_matter(constants)]
    assert names == ["large", "small", "rough"]


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (34_512, "34.5 kB"), (8_500_000_000, "8.5 GB")],
)
def test_sizes_are_short(number: int | None, text: str) -> None:
    assert summary.bytes_text(number) == text


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(1, "engine", "1 engine"), (0, "pass", "no passes"), (3, "cast", "3 casts")],
)
def test_counts_are_words(number: int, noun: str, text: str) -> None:
    assert summary.count(number, noun) == text


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((1, 2), "3 B"),
        ((), "0 B"),
        ((1, None), "≥ 1 B"),
        ((None, None), "unknown"),
        ((0, None), "unknown"),
    ],
)
def test_a_sum_says_where_a_part_is_not_known(
    parts: tuple[int | None, ...], text: str
) -> None:
    assert summary.total_text(parts, summary.bytes_text) == text


def low_node(name: str, rule: LowRule, dtype: str | None) -> NodeRecord:
    low = LowDecision(dtype=dtype, rule=rule, reason="because")
    return NodeRecord(name=name, op="call_function", target="torch.ops.aten.exp", low=low)


@pytest.mark.parametrize(
    ("rule", "dtype", "text"),
    [
        (LowRule.LOW, "float16", "float16"),
        (LowRule.RANGE, "float32", "float32: range"),
        (LowRule.REDUCTION_DEPTH, "float32", "float32: reduction depth"),
        (LowRule.NOT_FLOATING, None, "-"),
    ],
)
def test_a_low_decision_is_its_dtype_and_the_rule_of_a_kept_node(
    rule: LowRule, dtype: str | None, text: str
) -> None:
    assert summary.low_text(low_node("exp", rule, dtype)) == text
    assert summary.low_text(NodeRecord(name="x", op="placeholder", target="x")) == "-"


def test_the_low_line_counts_what_is_low_and_what_is_kept_by_which_rule() -> None:
    nodes = (
        low_node("a", LowRule.LOW, "float16"),
        low_node("b", LowRule.RANGE, "float32"),
        low_node("c", LowRule.RANGE, "float32"),
        low_node("d", LowRule.USER_NODE, "float32"),
        low_node("e", LowRule.NOT_FLOATING, None),
    )
    policy = TruncationPolicy(precision=Precision.FLOAT16)
    low = replace(canned.LATE, nodes=nodes, policy=policy)
    told = "1 operator in float16, 3 kept in float32: 2 range, 1 user node"
    assert summary.low_line(low) == told
    raised = replace(low, nodes=(*nodes, low_node("f", LowRule.PASS_RAISED, None)))
    assert summary.low_line(raised) == (
        "0 operators are low: torch_tensorrt's own pass raised"
    )
    assert summary.low_line(canned.LATE) is None
