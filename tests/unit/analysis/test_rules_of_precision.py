"""The rules of what is left to PyTorch for good, of damaged numbers, and of low precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests import canned
from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.analysis.findings import Evidence, find
from trtdbg.policy import Precision, Timing, TruncationPolicy
from trtdbg.records import (
    Binding,
    Counterfactual,
    Finding,
    GraphNode,
    Level,
    LowDecision,
    LowRule,
    NodeRecord,
    NotFinite,
    Numerics,
    OtherFlavour,
    PassRecord,
    Phase,
    RefusalKind,
    Report,
    Scope,
    Source,
    TypingKind,
    ValidatorVerdict,
    Verdict,
)


def row(validator: str, answer: Verdict, reason: str | None = None) -> ValidatorVerdict:
    return ValidatorVerdict(
        validator=validator, candidate=None, scope=Scope.GRAPH, reason=reason,
        original=answer, inferred=answer, truncated=answer,
    )  # fmt: skip


def outside(*verdicts: ValidatorVerdict, **more: Any) -> NodeRecord:
    """Returns an operator that no engine holds."""
    rows = verdicts or (row("partitioner", Verdict.REJECT),)
    fields: dict[str, Any] = {"op": "call_function", "target": "torch.ops.aten.mul.Tensor"}
    fields |= {"verdict": rows[0].truncated, "inferred": "float32", "truncated": "float32"}
    return NodeRecord(name="mul", verdicts=rows, **(fields | more))


def report_of(*nodes: NodeRecord, **parts: Any) -> Report:
    empty: dict[str, Any] = dict.fromkeys(
        ("passes", "engines", "constants", "torch_ops", "boundary_casts", "causes"), ()
    )
    report: Report = replace(canned.UPSTREAM, nodes=nodes, **(empty | parts))
    return report


def the(code: str, report: Report, evidence: Evidence | None = None) -> Finding:
    """Returns the one finding of a code."""
    (finding,) = (each for each in find(report, evidence or Evidence()) if each.code == code)
    return finding


def none_of(code: str, report: Report) -> bool:
    return all(each.code != code for each in find(report, Evidence()))


def test_every_code_has_a_direct_test_of_its_rule() -> None:
    here = Path(__file__).parent
    texts = "".join(
        path.read_text(encoding="utf-8")
        for path in here.glob("test_*.py")
        if path.name != "test_catalogue.py"
    )
    assert [code for code in CATALOGUE if code not in texts] == []


def test_td106_is_an_operator_that_the_registry_does_not_know() -> None:
    node = outside(row("registry", Verdict.NOT_APPLICABLE))
    finding = the("TD106", report_of(node))
    assert finding.node == "mul"
    assert "torch_tensorrt has no converter for" in finding.message
    assert none_of("TD106", report_of(replace(node, engine=0)))


def test_td107_says_what_the_other_build_accepts_as_a_fact() -> None:
    other = OtherFlavour(flavour="standard", accepts=True, mechanism="no ScatterAdd plugin")
    finding = the("TD107", report_of(outside(other_flavour=other)))
    assert "no ScatterAdd plugin" in finding.message
    assert "not built here" in finding.message
    refuses = replace(other, accepts=False)
    assert none_of("TD107", report_of(outside(other_flavour=refuses)))


def test_td108_names_the_setting_that_keeps_an_operator_out() -> None:
    node = outside(row("gate:torch_executed_ops", Verdict.REJECT))
    finding = the("TD108", report_of(node))
    assert finding.level is Level.NOTE
    assert "--torch-executed-ops keeps" in finding.message


def test_td109_is_told_by_the_gate_of_data_dependent_sizes() -> None:
    why = Counterfactual(
        kind=RefusalKind.EXCLUDED, typing=TypingKind.ORIGINAL, changes=(),
        text="is kept in PyTorch by a setting", sentence="is kept in PyTorch by a setting",
    )  # fmt: skip
    gate = row("gate:data_dependent", Verdict.REJECT, "its size depends on data")
    node = outside(gate, counterfactual=why)
    finding = the("TD109", report_of(node))
    assert finding.level is Level.NOTE
    assert "its size depends on data" in finding.message


@pytest.mark.parametrize("kind", [RefusalKind.DTYPE, RefusalKind.FEATURE])
def test_td110_is_a_refusal_that_no_truncation_removes(kind: RefusalKind) -> None:
    why = Counterfactual(
        kind=kind, typing=TypingKind.ORIGINAL, changes=(),
        text="rejects because of a thing", sentence="rejects because of a thing",
    )  # fmt: skip
    finding = the("TD110", report_of(outside(counterfactual=why)))
    assert "is left to PyTorch" in finding.message


def numerics(**more: Any) -> Numerics:
    return Numerics(inputs="example inputs", seed=0, atol=1e-3, rtol=1e-3, **more)


def test_td404_is_the_originals_own_fault_and_a_note_where_no_output_sees_it() -> None:
    wrong = NotFinite(node="mul", nan=0, inf=3, elements=8, outputs=("out",))
    node = outside()
    finding = the("TD404", report_of(node, numerics=numerics(not_finite=wrong)))
    assert (finding.node, finding.level) == ("mul", Level.WARNING)
    assert "the original program itself, untruncated" in finding.message
    unseen = numerics(not_finite=replace(wrong, outputs=()))
    assert the("TD404", report_of(node, numerics=unseen)).level is Level.NOTE


def value(name: str, op: str, dtype: str, **more: Any) -> NodeRecord:
    fields: dict[str, Any] = {"target": f"torch.ops.aten.{name}.default"} | more
    return NodeRecord(
        name=name, op=op, original=dtype, inferred=dtype, truncated=dtype, **fields
    )


def half_model(gain: str) -> Report:
    """Returns a half model whose gain is of another dtype, and what it makes of `y`."""
    wide = "float32" if gain == "float32" else "float16"
    return report_of(
        value("x", "placeholder", "float16", users=("mul",)),
        value("gain", "get_attr", gain, users=("mul",), constant="gain"),
        value("mul", "call_function", wide, operands=("x", "gain"), users=("exp",)),
        value("exp", "call_function", wide, operands=("mul",)),
        value("neg", "call_function", "float16", operands=("x",)),
    )


def test_td601_names_the_float32_parameter_and_the_share_that_it_widens() -> None:
    finding = the("TD601", half_model("float32"))
    assert finding.message.startswith("gain is float32 in a float16 model: ")
    assert "2 of 3 floating operators" in finding.message
    assert "the first is mul" in finding.message
    assert none_of("TD601", half_model("float16"))


LOW = TruncationPolicy(precision=Precision.FLOAT16)


def test_td602_is_the_first_value_that_leaves_the_low_type() -> None:
    measured = numerics(first_inf="mul", first_nan="mul")
    finding = the("TD602", report_of(outside(), numerics=measured, policy=LOW))
    assert finding.node == "mul"
    assert "is the first that becomes infinite and nan in float16" in finding.message
    # Without a low precision the same run says nothing of one.
    assert none_of("TD602", report_of(outside(), numerics=measured))


def test_td603_is_the_pass_that_raises_with_autocast_only() -> None:
    failed = PassRecord(
        index=3, phase=Phase.PRE_EXPORT, name="rule_based_autocast", changed=False, nodes=4,
        error="AttributeError: 'list' has no 'to'", node="split", caused_by="TypeError: x",
    )  # fmt: skip
    split = outside(from_node="split")
    finding = the("TD603", report_of(split), Evidence(autocast_failure=failed))
    assert finding.node == "mul"
    assert "AttributeError: 'list' has no 'to' on split" in finding.message
    assert "caused by TypeError: x" in finding.message
    assert none_of("TD603", report_of(split))


@pytest.mark.parametrize(
    ("bound", "timing", "said"),
    [
        ("float16", Timing.UPSTREAM, True),
        ("float32", Timing.UPSTREAM, False),
        ("float16", Timing.LATE, False),
    ],
)
def test_td604_is_an_output_that_upstreams_autocast_leaves_low(
    bound: str, timing: Timing, said: bool
) -> None:
    low = LowDecision(dtype="float16", rule=LowRule.LOW, reason="nothing speaks against it")
    output = Binding(name="out", declared="float32", bound=bound)
    report = report_of(outside(low=low), policy=replace(LOW, timing=timing))
    report = replace(report, model=replace(report.model, outputs=(output,)))
    assert none_of("TD604", report) is not said
    if said:
        assert the("TD604", report).message == "output out is float16, export promised float32"


def written(*last: str) -> Report:
    """Returns a program that writes to a buffer, the graph of its last pass holding these."""
    pool = (
        GraphNode(name="cache", op="get_attr", target="cache"),
        GraphNode(
            name="put", op="call_function", target="aten.index_put.default",
            source=Source(file="a.py", line=7),
        ),
        GraphNode(
            name="copy", op="call_function", target="aten.copy_.default",
            operands=("cache", "put"),
        ),
    )  # fmt: skip

    def made(index: int, phase: Phase, names: tuple[str, ...]) -> PassRecord:
        graph = tuple(i for i, node in enumerate(pool) if node.name in names)
        return PassRecord(
            index=index, phase=phase, name=f"pass {index}", changed=True, nodes=len(graph),
            graph=graph,
        )  # fmt: skip

    everything = ("cache", "put", "copy")
    passes = (
        made(0, Phase.DECOMPOSITION, everything),
        made(1, Phase.POST_LOWERING, everything),
        made(2, Phase.POST_LOWERING, last),
    )
    return replace(report_of(outside()), passes=passes, graph_nodes=pool)


def test_td406_is_a_write_that_a_pass_takes_out() -> None:
    finding = the("TD406", written("cache", "put"))
    assert "to its buffer cache is lost: pass 2 pass 2 takes the write out" in finding.message
    assert finding.message.endswith("(a.py:7)")
    assert none_of("TD406", written("cache", "put", "copy"))
