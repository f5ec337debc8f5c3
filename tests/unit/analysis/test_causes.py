from __future__ import annotations

import msgspec
import pytest

from tests import canned
from trtdbg.analysis import cause_lines
from trtdbg.analysis.causes import (
    derive,
    operators_outside,
    refused_in_engines,
    why,
)
from trtdbg.analysis.summary import is_operator
from trtdbg.policy import Settings, Timing, TruncationPolicy, VerdictSource
from trtdbg.records import (
    CauseKind,
    Change,
    ChangePlace,
    Cost,
    Counterfactual,
    Cure,
    CureKind,
    NodeRecord,
    OtherFlavour,
    Phase,
    RefusalKind,
    Report,
    Scope,
    Source,
    TypingKind,
    ValidatorVerdict,
    Verdict,
)

replace = msgspec.structs.replace


def refused(name: str, target: str, line: int, **fields: object) -> NodeRecord:
    """Returns an operator that its validator refuses, reading a value called `x`."""
    row = ValidatorVerdict(
        validator="partitioner", candidate=None, scope=Scope.GRAPH,
        original=Verdict.REJECT, inferred=Verdict.REJECT, truncated=Verdict.REJECT,
    )  # fmt: skip
    made = NodeRecord(
        name=name, op="call_function", target=f"torch.ops.{target}", verdict=Verdict.REJECT,
        verdicts=(row,), operands=(f"x_{name}",), source=Source(file="model.py", line=line),
    )  # fmt: skip
    return replace(made, **fields)


def turned(kind: RefusalKind, text: str, *changes: Change) -> Counterfactual:
    return Counterfactual(
        kind=kind, typing=TypingKind.ORIGINAL, changes=changes, text=text, sentence=text
    )


def upstream(*nodes: NodeRecord) -> Report:
    return replace(
        canned.UPSTREAM, nodes=nodes, engines=(), torch_ops=(), passes=(), causes=()
    )


def kinds(report: Report) -> list[CauseKind]:
    return [cause.kind for cause in derive(report)]


def test_a_refusal_is_told_by_the_answer_in_force() -> None:
    node = canned.UPSTREAM.nodes[2]
    assert (
        why(canned.UPSTREAM, node)
        == "to_copy_dtype_validator rejects: dtype=float64 is not supported"
    )
    late = replace(canned.UPSTREAM, policy=TruncationPolicy(timing=Timing.LATE))
    accepted = replace(node, verdict=Verdict.ACCEPT)
    assert "partitioner left it out" in why(late, accepted)


def test_tensorrts_own_no_is_the_reason_where_it_decides() -> None:
    answer = ValidatorVerdict(
        validator="tensorrt",
        candidate=None,
        scope=Scope.SUBGRAPH,
        original=Verdict.NOT_CHECKED,
        truncated=Verdict.REJECT,
        reason="PROD is not allowed between types Bool and Bool",
    )
    node = replace(canned.LATE.nodes[2], verdicts=(answer,), engine=None)
    policy = TruncationPolicy(verdicts=VerdictSource.TENSORRT)
    decided = replace(canned.LATE, policy=policy)
    assert why(decided, node) == f"TensorRT refuses it: {answer.reason}"
    assert "TensorRT" not in why(canned.LATE, node)


@pytest.mark.parametrize(
    ("verdict", "settings", "words"),
    [
        (Verdict.NOT_APPLICABLE, Settings(), "has no converter"),
        (Verdict.ACCEPT, Settings.as_compiled(), "fewer than 5 operators"),
        (Verdict.NOT_CHECKED, Settings(), "no verdict is known"),
    ],
)
def test_a_node_without_a_rejection_is_explained(
    verdict: Verdict, settings: Settings, words: str
) -> None:
    report = replace(canned.UPSTREAM, settings=settings)
    node = replace(canned.UPSTREAM.nodes[1], verdict=verdict, verdicts=(), engine=None)
    assert words in why(report, node)


def test_a_gate_of_the_partitioner_is_called_by_its_name() -> None:
    gate = ValidatorVerdict(
        validator="gate:data_dependent", candidate=None, scope=Scope.GRAPH,
        original=Verdict.CRASHED,
    )  # fmt: skip
    node = replace(canned.UPSTREAM.nodes[2], verdicts=(gate,))
    assert why(canned.UPSTREAM, node) == "data_dependent crashed"


def test_alike_refusals_are_one_cause_with_all_places() -> None:
    nodes = [
        refused(
            f"mul_{i}", "aten.mul.Tensor", i,
            counterfactual=turned(
                RefusalKind.DTYPE, f"rejects because x_mul_{i} is complex64; accepts x"
            ),
        )
        for i in range(48)
    ]  # fmt: skip
    (cause,) = derive(upstream(*nodes))
    assert len(cause.nodes) == len(cause.sources) == 48
    assert cause.kind is CauseKind.DTYPE
    assert "its operand is complex64" in cause.reason
    report = upstream(*nodes)
    assert {why(report, node) for node in nodes} == {cause.reason}


def test_no_converter_comes_before_anything_that_a_validator_says() -> None:
    node = refused(
        "histc", "aten.histc.default", 3,
        counterfactual=turned(RefusalKind.NO_CONVERTER, "there is no converter"),
    )  # fmt: skip
    (cause,) = derive(upstream(node))
    assert cause.kind is CauseKind.NO_CONVERTER
    assert cause.code == "TD106"
    assert cause.then == ()


def test_what_the_other_flavour_accepts_is_a_fact_and_hides_the_option() -> None:
    node = refused(
        "index_put", "aten.index_put.default", 3,
        counterfactual=turned(RefusalKind.FEATURE, "rejects because accumulate=True"),
        other_flavour=OtherFlavour(flavour="standard", accepts=True),
    )  # fmt: skip
    (cause,) = derive(upstream(node))
    assert cause.kind is CauseKind.FLAVOUR
    assert cause.fact is not None
    assert "accumulate" not in cause.reason + "".join(cause.then)


def test_a_wide_dtype_with_a_narrow_twin_is_told_from_one_refused_for_good() -> None:
    changes = [
        Change(place=ChangePlace.OPERAND, node="x", before=before, after="float32")
        for before in ("float64", "complex64")
    ]
    nodes = [
        refused(f"n{i}", f"aten.n{i}", i, counterfactual=turned(RefusalKind.DTYPE, "", change))
        for i, change in enumerate(changes)
    ]
    assert kinds(upstream(*nodes)) == [CauseKind.TRUNCATED_DTYPE, CauseKind.DTYPE]


def test_a_crash_that_ends_the_partitioner_is_told_before_what_it_ends() -> None:
    crash = refused(
        "sort", "aten.sort.default", 1, verdict=Verdict.CRASHED,
        counterfactual=turned(RefusalKind.CRASHED, "crashes its validator"),
    )  # fmt: skip
    accepted = [refused(f"r{i}", "aten.relu", i, verdict=Verdict.ACCEPT) for i in range(3)]
    failed = replace(canned.LOWERING_FAILED.passes[-1], phase=Phase.PARTITION, error="I")
    report = replace(upstream(crash, *accepted), passes=(failed,))
    assert kinds(report) == [CauseKind.VALIDATOR_CRASHED, CauseKind.PARTITION_FAILED]


def test_getitem_and_sizes_are_no_operators() -> None:
    node = refused("g", "aten.relu", 1)
    assert is_operator(node)
    assert not is_operator(replace(node, target="operator.getitem"))
    assert not is_operator(replace(node, target="torch.ops.aten.sym_size.int"))
    assert not is_operator(replace(canned.UPSTREAM.nodes[0], op="placeholder"))


def test_a_cause_keeps_what_was_weighed_and_tried_of_it() -> None:
    report = upstream(refused("mul", "aten.mul.Tensor", 3))
    (cause,) = derive(report)
    cost = Cost(engines=24, torch_ops=1, casts=0)
    cure = Cure(kind=CureKind.NONE, say="nothing that was tried helps")
    weighed = replace(report, causes=(replace(cause, cost=cost, cures=(cure,)),))
    (again,) = derive(weighed)
    assert (again.cost, again.cures) == (cost, (cure,))


def test_every_operator_outside_has_exactly_one_cause() -> None:
    for report in (canned.UPSTREAM, canned.LATE, canned.LOWERING_FAILED):
        named = [name for cause in derive(report) for name in cause.nodes]
        for node in operators_outside(report):
            assert named.count(node.name) == 1


def test_lines_say_where_why_what_it_costs_and_what_helps() -> None:
    report = upstream(refused("a", "aten.a.b", 1), refused("b", "aten.a.b", 2))
    (cause,) = derive(report)
    cost = Cost(engines=2, torch_ops=1, casts=0)
    cure = Cure(
        kind=CureKind.EDIT, say="count from the front", type="x.sort(dim=1)",
        engines_before=3, engines_after=1,
    )  # fmt: skip
    report = replace(report, causes=(replace(cause, cost=cost, cures=(cure,)),))
    assert cause_lines.lines(report) == [
        f"2x aten.a.b (model.py:1, model.py:2): {cause.reason} [{cause.code}]",
        "  cost: 2 engines, 1 PyTorch operator less without it",
        "  cure (edit): count from the front; x.sort(dim=1); numbers not compared",
    ]


def test_a_pass_that_failed_is_a_cause_even_where_no_operator_is_left_to_say_it_of() -> None:
    (cause,) = derive(canned.LOWERING_FAILED)
    assert (cause.kind, cause.nodes) == (CauseKind.LOWERING_FAILED, ())
    assert "fuse_prims_broadcast raises IndexError: tuple index" in cause.reason


def test_a_pass_that_failed_at_a_node_is_told_with_its_operator_and_line() -> None:
    made = [refused(f"n{i}", "aten.relu.default", i) for i in (1, 2, 3)]
    failed = replace(canned.LOWERING_FAILED.passes[-1], node="n2", caused_by="KeyError: 'a'")
    report = replace(upstream(*made), passes=(failed,))
    (cause,) = derive(report)
    assert cause.reason.endswith(
        "index out of range on aten.relu.default (model.py:2); caused by KeyError: 'a'"
    )
    assert [str(source) for source in cause.sources] == ["model.py:2"]
    assert cause_lines.heading(cause) == "aten.relu.default (model.py:2)"


def test_what_tensorrt_refuses_in_an_engine_is_its_node_and_no_other() -> None:
    failed = canned.built(canned.UPSTREAM, canned.BUILT, canned.FAILED)
    assert [node.name for node in refused_in_engines(failed)] == [canned.FAILED.node]
    built = canned.built(canned.UPSTREAM, canned.BUILT, canned.BUILT)
    assert refused_in_engines(built) == ()


def test_only_the_registry_says_that_there_is_no_converter() -> None:
    def row(validator: str) -> ValidatorVerdict:
        answers = dict.fromkeys(("original", "inferred", "truncated"), Verdict.NOT_APPLICABLE)
        return ValidatorVerdict(
            validator=validator, candidate=None, scope=Scope.GRAPH, **answers
        )

    plain = refused("mul", "aten.mul.Tensor", 3)
    by_registry = replace(plain, verdicts=(row("registry"),))
    by_gate = replace(plain, verdicts=(*plain.verdicts, row("gate:always")))
    assert kinds(upstream(by_registry)) == [CauseKind.NO_CONVERTER]
    assert CauseKind.NO_CONVERTER not in kinds(upstream(by_gate))
