"""Each code's rule, directly, on records made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests import canned
from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.analysis.codes import Code
from trtdbg.analysis.findings import Evidence, find
from trtdbg.policy import Timing, TruncationPolicy, VerdictSource
from trtdbg.records import (
    Binding,
    BuildRecord,
    BuildStatus,
    ConstantRecord,
    EngineRecord,
    Finding,
    GraphNode,
    LayerRecord,
    Level,
    NodeRecord,
    PassRecord,
    Phase,
    Recorded,
    Report,
    Scope,
    Source,
    ValidatorVerdict,
    Verdict,
    Widened,
)

ACCEPT, REJECT, NOT_CHECKED = Verdict.ACCEPT, Verdict.REJECT, Verdict.NOT_CHECKED


def node(name: str = "add", **more: Any) -> NodeRecord:
    fields: dict[str, Any] = {
        "op": "call_function",
        "target": f"aten.{name}.Tensor",
        "original": "float64",
        "recorded": "float64",
        "inferred": "float64",
        "truncated": "float32",
        "verdict": ACCEPT,
        "engine": 0,
    }
    return NodeRecord(name=name, **(fields | more))


def verdict(validator: str, *answers: Verdict, **more: Any) -> ValidatorVerdict:
    original, inferred, truncated = answers
    fields: dict[str, Any] = {"candidate": None, "scope": Scope.GRAPH} | more
    return ValidatorVerdict(
        validator=validator,
        original=original,
        inferred=inferred,
        truncated=truncated,
        **fields,
    )


PROBED = verdict("tensorrt", NOT_CHECKED, NOT_CHECKED, REJECT, scope=Scope.SUBGRAPH)
"""TensorRT's own no."""


def engine(**more: Any) -> EngineRecord:
    return EngineRecord(index=0, name="_run_on_acc_0", nodes=("add",), **more)


def failed(error: str, *layers: LayerRecord, **more: Any) -> EngineRecord:
    build = BuildRecord(status=BuildStatus.FAILED, stage="build", error=error, **more)
    return engine(build=build, layers=layers)


def found(
    *nodes: NodeRecord,
    timing: Timing = Timing.UPSTREAM,
    verdicts: VerdictSource = VerdictSource.VALIDATORS,
    evidence: Evidence | None = None,
    outputs: tuple[Binding, ...] = (),
    **parts: Any,
) -> list[Finding]:
    """Returns the findings of a report that holds these parts and nothing else."""
    fields: dict[str, Any] = {
        "passes": (),
        "graph_nodes": (),
        "engines": (),
        "constants": (),
        "torch_ops": (),
        "boundary_casts": (),
    }
    report: Report = replace(
        canned.UPSTREAM,
        nodes=nodes,
        policy=TruncationPolicy(timing=timing, verdicts=verdicts),
        model=replace(canned.UPSTREAM.model, outputs=outputs),
        **(fields | parts),
    )
    return list(find(report, evidence or Evidence()))


def test_every_code_has_an_entry_and_a_rule_in_the_module_of_its_hundred() -> None:
    from trtdbg.analysis.findings import (
        borders_3xx,
        dtypes_2xx,
        failures_5xx,
        numbers_4xx,
        verdicts_1xx,
    )

    assert list(CATALOGUE) == [code.value for code in Code]
    for module in (verdicts_1xx, dtypes_2xx, borders_3xx, numbers_4xx, failures_5xx):
        hundred = module.__name__[-3]
        assert {entry.code[2] for entry in module.ENTRIES} == {hundred}
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
        for entry in module.ENTRIES:
            assert text.count(f"Code.{entry.code.name}") >= 2, f"{entry.code} has no rule here"


@pytest.mark.parametrize(
    ("timing", "level"),
    [(Timing.LATE, Level.NOTE), (Timing.UPSTREAM, Level.WARNING), (Timing.OFF, Level.WARNING)],
)
def test_td105_is_a_note_only_where_late_refreshes_the_metadata(
    timing: Timing, level: Level
) -> None:
    row = verdict("partitioner", REJECT, ACCEPT, ACCEPT)
    (finding,) = found(node(verdicts=(row,)), timing=timing)
    assert (finding.code, finding.level) == ("TD105", level)
    assert "is rejected on the metadata that lowering leaves" in finding.message


def test_td105_is_not_said_under_early_which_lowers_another_graph() -> None:
    row = verdict("partitioner", REJECT, ACCEPT, ACCEPT)
    assert not found(node(verdicts=(row,)), timing=Timing.EARLY)


def test_td101_is_not_said_where_nothing_is_truncated() -> None:
    row = verdict("partitioner", REJECT, REJECT, ACCEPT)
    assert not found(node(verdict=REJECT, verdicts=(row,)), timing=Timing.OFF)


def test_td101_is_a_note_where_the_timing_resolves_it() -> None:
    row = verdict("partitioner", REJECT, REJECT, ACCEPT)
    (finding,) = found(node(verdicts=(row,)), timing=Timing.LATE)
    assert (finding.code, finding.level) == ("TD101", Level.NOTE)
    assert finding.message.endswith("timing late resolves it")


def test_td101_of_a_node_that_early_removed_is_a_note() -> None:
    said = ("aten._to_copy.default", "rejects float64", Source(file="m.py", line=3))
    (finding,) = found(timing=Timing.EARLY, evidence=Evidence(dissolved={"cast": said}))
    assert (finding.code, finding.level, finding.node) == ("TD101", Level.NOTE, "cast")
    assert "timing early resolves it, and the operator is gone (m.py:3)" in finding.message


@pytest.mark.parametrize(
    ("verdicts", "level", "tail"),
    [
        (VerdictSource.VALIDATORS, Level.ERROR, "no Bool"),
        (VerdictSource.TENSORRT, Level.WARNING, "no Bool; it is left to PyTorch"),
    ],
)
def test_td102_is_told_by_tensorrts_own_sentence(
    verdicts: VerdictSource, level: Level, tail: str
) -> None:
    rows = (
        verdict("partitioner", ACCEPT, ACCEPT, ACCEPT),
        verdict(
            "tensorrt",
            NOT_CHECKED,
            NOT_CHECKED,
            REJECT,
            scope=Scope.SUBGRAPH,
            reason="no Bool",
        ),
    )
    (finding,) = found(node(verdicts=rows), timing=Timing.LATE, verdicts=verdicts)
    assert (finding.code, finding.level) == ("TD102", level)
    assert finding.message.endswith(tail)


def test_td102_is_not_said_of_a_node_that_its_validators_refuse() -> None:
    rows = (
        verdict("partitioner", REJECT, REJECT, REJECT),
        PROBED,
    )
    assert not found(node(verdict=REJECT, verdicts=rows), timing=Timing.LATE)


def test_a_failed_build_is_laid_at_the_longest_layer_name_in_tensorrts_sentence() -> None:
    layers = (
        LayerRecord(name="[add]-[x]", type="ELEMENTWISE", node="short"),
        LayerRecord(name="[add]-[x]_1", type="ELEMENTWISE", node="add"),
    )
    nodes = (node("short"), node("add"))
    (finding,) = found(*nodes, engines=(failed("Error in [add]-[x]_1: no", *layers),))
    assert (finding.code, finding.node) == ("TD102", "add")


def test_td503_is_a_failed_build_that_names_no_operator() -> None:
    (finding,) = found(node(), engines=(failed("out of memory"),))
    assert (finding.code, finding.engine, finding.node) == ("TD503", 0, None)
    assert finding.message == "engine 0 does not build: out of memory"


def test_a_failed_build_is_not_told_twice_where_the_probe_told_it() -> None:
    rows = (
        verdict("partitioner", ACCEPT, ACCEPT, ACCEPT),
        PROBED,
    )
    named = LayerRecord(name="[add]", type="ELEMENTWISE", node="add")
    codes = [f.code for f in found(node(verdicts=rows), engines=(failed("in [add]", named),))]
    assert codes == ["TD102"]


def test_td201_names_the_pass_after_which_record_and_computation_part() -> None:
    graph = (
        GraphNode(name="add", op="call_function", target="aten.add.Tensor", dtype="float64"),
        GraphNode(name="add", op="call_function", target="aten.add.Tensor", dtype="float32"),
    )
    passes = (
        PassRecord(index=0, phase=Phase.LOAD, name="load", changed=False, nodes=1, graph=(0,)),
        PassRecord(
            index=1, phase=Phase.POST_LOWERING, name="fuse", changed=True, nodes=1, graph=(1,)
        ),
    )
    stale = node(recorded="float32")
    (finding,) = found(stale, passes=passes, graph_nodes=graph)
    assert finding.code == "TD201"
    assert finding.message.endswith("computes float64, since pass 1 fuse")
    assert finding.level is Level.WARNING
    (late,) = found(stale, passes=passes, graph_nodes=graph, timing=Timing.LATE)
    assert late.message.endswith("since pass 1 fuse; timing late goes by what it computes")
    assert late.level is Level.NOTE
    assert not found(stale, passes=passes, graph_nodes=graph, timing=Timing.EARLY)


def test_td201_is_not_said_of_outputs_or_where_a_dtype_is_unknown() -> None:
    assert not found(node(op="output", recorded="float32"))
    assert not found(node(recorded=None))
    assert not found(node(inferred=None))
    assert not found(node(recorded="float64"))


def test_td202_says_what_an_engine_is_declared_with_and_bound_as() -> None:
    binding = Binding(name="add", declared="float64", bound="float32")
    same = Binding(name="x", declared="float32", bound="float32")
    unknown = Binding(name="y", declared=None, bound="float32")
    (finding,) = found(node(), engines=(engine(inputs=(same, unknown), outputs=(binding,)),))
    assert (finding.code, finding.engine) == ("TD202", 0)
    assert "output add (aten.add.Tensor) is declared float64 and bound as float32" in (
        finding.message
    )
    assert finding.message.endswith("TensorRT has no float64")


def test_td203_names_the_operator_whose_converter_widens() -> None:
    wide = (Widened(node="add", reason="float64"), Widened(node="gone", reason="float64"))
    (finding,) = found(node(), engines=(engine(widened=wide),))
    assert (finding.code, finding.node) == ("TD203", "add")


def test_td301_is_an_output_that_nothing_casts_back() -> None:
    outputs = (
        Binding(name="add", declared="float64", bound="float32"),
        Binding(name="fine", declared="float32", bound="float32"),
        Binding(name="unknown", declared="float64", bound=None),
    )
    (finding,) = found(node(), outputs=outputs)
    assert (finding.code, finding.node, finding.level) == ("TD301", "add", Level.ERROR)


def test_td301_is_a_reader_in_pytorch_and_td303_one_that_refuses() -> None:
    readers = {"add": ("x", "float64", "float32")}
    left = node(engine=None)
    (reads,) = found(left, evidence=Evidence(narrowed_readers=readers))
    assert reads.code == "TD301"
    (refuses,) = found(
        left, evidence=Evidence(narrowed_readers=readers, refused={"add": "no"})
    )
    assert refuses.code == "TD303"
    assert refuses.message.endswith(
        "reads x as float32, exported as float64, and refuses it: no"
    )


def test_td302_ends_what_is_said_of_borders() -> None:
    evidence = Evidence(repair_crash="boom", crashed_engine="_run_on_acc_0")
    outputs = (Binding(name="add", declared="float64", bound="float32"),)
    (finding,) = found(node(), engines=(engine(),), outputs=outputs, evidence=evidence)
    assert (finding.code, finding.engine) == ("TD302", 0)
    assert "at the borders of engine 0" in finding.message


@pytest.mark.parametrize(("place", "level"), [(0, Level.NOTE), (None, Level.WARNING)])
def test_td303_under_early_costs_nothing_inside_an_engine(
    place: int | None, level: Level
) -> None:
    evidence = Evidence(widened={"add": "wants int64"})
    (finding,) = found(node(engine=place), timing=Timing.EARLY, evidence=evidence)
    assert (finding.code, finding.level) == ("TD303", level)
    inside = finding.message.endswith("narrow already, inside engine 0")
    assert inside == (place is not None)
    (gone,) = found(timing=Timing.EARLY, evidence=evidence)
    assert (gone.level, gone.node) == (Level.WARNING, None)


@pytest.mark.parametrize(
    ("dtypes", "lost", "code", "words"),
    [
        (("int64", "int32"), {"overflowed": 2}, "TD401", "2 of 8 values wrap around"),
        (("float64", "float32"), {"overflowed": 1}, "TD402", "1 of 8 values become inf"),
        (
            ("float64", "float32"),
            {"overflowed": 1, "underflowed": 3},
            "TD402",
            "become inf and 3 of 8 values become zero or subnormal",
        ),
    ],
)
def test_constants_that_do_not_survive_are_told_by_their_kind(
    dtypes: tuple[str, str], lost: dict[str, int], code: str, words: str
) -> None:
    original, truncated = dtypes
    fields: dict[str, Any] = {"overflowed": 0, "underflowed": 0, "elements": 8} | lost
    constant = ConstantRecord(name="w", original=original, truncated=truncated, **fields)
    (finding,) = found(constants=(constant,))
    assert finding.code == code
    assert words in finding.message


@pytest.mark.parametrize(
    ("value", "dtype", "code", "words"),
    [
        (2.0**40, "int32", "TD401", "does not fit int32"),
        (1e300, "float32", "TD402", "becomes inf in float32"),
        (-1e300, "float32", "TD402", "becomes -inf in float32"),
        (1e-60, "float32", "TD402", "becomes 0 in float32"),
    ],
)
def test_a_number_of_an_engines_operator_that_does_not_fit(
    value: float, dtype: str, code: str, words: str
) -> None:
    evidence = Evidence(scalars={"add": (value, dtype)})
    (finding,) = found(node(), evidence=evidence)
    assert finding.code == code
    assert words in finding.message
    assert not found(node(engine=None), evidence=evidence), "PyTorch keeps it wide"


def test_td403_is_a_fraction_that_a_converter_casts_to_an_integer() -> None:
    (finding,) = found(node(args="x, 0.5", tensorrt="INT32"))
    assert finding.code == "TD403"
    assert finding.message.endswith("casts the scalar to INT32, which makes it 0")


@pytest.mark.parametrize(
    "more",
    [
        {"args": "x, 0.5", "tensorrt": "INT32", "truncated": "int32"},
        {"args": "x, 2.0", "tensorrt": "INT32"},
        {"args": "x, 0.5", "tensorrt": "FLOAT"},
        {"args": "x, y", "tensorrt": "INT32"},
    ],
)
def test_td403_is_not_said_of_integer_results_whole_numbers_or_floats(
    more: dict[str, Any],
) -> None:
    assert not [f for f in found(node(**more)) if f.code == "TD403"]


def test_td501_names_the_last_good_graph() -> None:
    load = PassRecord(index=0, phase=Phase.LOAD, name="load", changed=False, nodes=1, graph=())
    (finding,) = found(passes=(load,), evidence=Evidence(lowering_error=("fuse", "boom")))
    assert finding.code == "TD501"
    assert finding.message == (
        "lowering pass fuse raised boom; the last good graph is that after pass 0 load"
    )


def test_td502_is_what_the_partitioner_raised() -> None:
    (finding,) = found(evidence=Evidence(partition_error="boom"))
    assert finding.code == "TD502"
    assert finding.message == "torch_tensorrt's partitioner raised boom"


def test_the_worst_come_first_and_then_the_codes() -> None:
    evidence = Evidence(partition_error="boom", lowering_error=("fuse", "boom"))
    wide = (Widened(node="add", reason="float64"),)
    codes = [f.code for f in found(node(), engines=(engine(widened=wide),), evidence=evidence)]
    assert codes == ["TD501", "TD502", "TD203"]


def test_td204_is_said_where_the_kind_of_number_changes_and_not_of_what_follows() -> None:
    arange = node("arange", inferred="float64", tensorrt="INT32")
    div = node("div", operands=("arange",), tensorrt="INT32", args="arange, 3.0")
    argmax = node("argmax", truncated="int64", tensorrt="INT32")
    outside = node("iota", engine=None, tensorrt="INT32")
    made = find(
        replace(canned.LATE, nodes=(arange, div, argmax, outside), constants=()), Evidence()
    )
    (finding,) = (f for f in made if f.code == "TD204")
    assert finding.node == "arange"
    assert "is float32 in the graph, and TensorRT makes it INT32" in finding.message


def test_td501_names_the_node_and_what_stood_behind_the_exception() -> None:
    load = PassRecord(index=0, phase=Phase.LOAD, name="load", changed=False, nodes=1)
    failed = PassRecord(
        index=1,
        phase=Phase.DECOMPOSITION,
        name="fuse",
        changed=False,
        nodes=1,
        error="ValueError: boom",
        node="add",
        caused_by="KeyError: 'deep'",
    )
    line = Source(file="model.py", line=7)
    (finding,) = found(
        node(source=line),
        passes=(load, failed),
        evidence=Evidence(lowering_error=("fuse", "ValueError: boom")),
    )
    assert finding.code == "TD501"
    assert (finding.node, finding.source) == ("add", line)
    assert "boom on add (aten.add.Tensor); caused by KeyError: 'deep'" in finding.message


def test_td304_weights_that_are_inputs_of_an_engine_are_named() -> None:
    engine = EngineRecord(
        index=0,
        name="_run_on_acc_0",
        nodes=("add",),
        inputs=tuple(
            Binding(name=name, declared="float32", bound="float32") for name in ("w", "b", "x")
        ),
        outputs=(),
    )
    recorded = Recorded(
        name="1-graph",
        call="torch.compile",
        file="a.py",
        line=3,
        nodes=4,
        weights=("w lin.weight", "b lin.bias", "other out.weight"),
    )
    report = replace(canned.UPSTREAM, engines=(engine,), nodes=(node(),))
    handed = replace(report, model=replace(report.model, recorded=recorded))
    (found,) = [each for each in find(handed, Evidence()) if each.code == "TD304"]
    assert found.message == (
        "2 parameters are inputs of engine 0 and no constants in it: lin.weight, lin.bias"
    )
    assert not [each for each in find(report, Evidence()) if each.code == "TD304"]
