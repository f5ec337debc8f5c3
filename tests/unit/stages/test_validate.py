from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from staging import export, lower, module, options, torch, typed

from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Scope, Verdict
from trtdbg.stages.infer import infer
from trtdbg.stages.validate import VALIDATOR_LOGGER, judge, verdict_records

DOUBLE = torch.float64


def widening() -> Any:
    return export(module(lambda self, x: torch.relu(x).double() + 1), torch.randn(4))


def test_to_copy_to_float64_is_rejected_as_it_is_and_accepted_truncated() -> None:
    both = typed(widening(), TruncationPolicy())
    before = judge(both.inferred.module, options())["_to_copy"]
    after = judge(both.truncated.module, options())["_to_copy"]
    assert before.verdict is Verdict.REJECT
    assert after.verdict is Verdict.ACCEPT
    answer = next(a for a in before.answers if a.candidate == 0)
    assert "to_copy" in answer.validator
    assert answer.verdict is Verdict.REJECT
    assert answer.reason is not None
    assert "float64" in answer.reason
    assert [a.verdict for a in after.answers if a.candidate == 0] == [Verdict.ACCEPT]


def test_records_set_the_answers_under_the_three_typings_side_by_side() -> None:
    program = widening()
    both = typed(program, TruncationPolicy())
    original = judge(lower(program), options())["_to_copy"]
    inferred = judge(both.inferred.module, options())["_to_copy"]
    truncated = judge(both.truncated.module, options())["_to_copy"]
    records = verdict_records(original, inferred, truncated)
    whole, first = records[0], records[1]
    assert (whole.candidate, first.candidate) == (None, 0)
    for record in (whole, first):
        assert record.original is record.inferred is Verdict.REJECT
        assert record.truncated is Verdict.ACCEPT
        assert record.scope is Scope.GRAPH
    assert first.reason
    assert first.converter == "aten_ops_clone_copy_dtype"


def test_what_was_not_asked_is_not_checked_and_never_an_accept() -> None:
    excluded = Settings(torch_executed_ops=("torch.ops.aten.relu.default",))
    judgement = judge(infer(lower(widening())).module, options(excluded))["relu"]
    records = verdict_records(None, judgement, None)
    assert {record.validator for record in records} >= {"gate:torch_executed_ops", "always"}
    for record in records:
        assert record.inferred is not Verdict.NOT_CHECKED
        assert record.original is record.truncated is Verdict.NOT_CHECKED, record


def test_a_gate_that_does_not_hold_was_asked_and_let_the_node_pass() -> None:
    gm = infer(lower(widening())).module
    excluded = Settings(torch_executed_ops=("torch.ops.aten.relu.default",))
    kept_out, let_in = (judge(gm, o)["relu"] for o in (options(excluded), options()))
    records = verdict_records(kept_out, let_in, let_in)
    (gate,) = [r for r in records if r.validator == "gate:torch_executed_ops"]
    assert gate.original is Verdict.REJECT
    assert gate.truncated is Verdict.ACCEPT


def test_a_validator_that_raises_is_crashed_and_the_others_are_judged() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.sort(torch.relu(x))[0]

    judgements = judge(lower(export(module(forward), torch.randn(3, 4))), options())
    assert judgements["sort"].verdict is Verdict.CRASHED
    assert judgements["relu"].verdict is Verdict.ACCEPT
    (crash,) = [a for a in judgements["sort"].answers if a.verdict is Verdict.CRASHED]
    assert crash.reason is not None
    assert "IndexError" in crash.reason


def test_an_operator_without_a_converter_is_not_applicable() -> None:
    program = export(module(lambda self, x: torch.special.i0(x)), torch.randn(4))
    (judgement,) = judge(lower(program), options()).values()
    assert judgement.verdict is Verdict.REJECT
    (answer,) = judgement.answers
    assert answer.verdict is Verdict.NOT_APPLICABLE
    assert answer.reason == "torch_tensorrt has no converter for aten.i0.default"


def test_an_excluded_operator_is_refused_by_a_gate_that_names_the_setting() -> None:
    settings = Settings(torch_executed_ops=("torch.ops.aten.relu.default",))
    judgements = judge(lower(widening()), options(settings))
    gates = [a for a in judgements["relu"].answers if a.validator.startswith("gate:")]
    assert judgements["relu"].verdict is Verdict.REJECT
    assert [g.validator for g in gates] == ["gate:torch_executed_ops"]
    assert "torch-executed-ops" in (gates[0].reason or "")
    assert judgements["add"].verdict is Verdict.ACCEPT


def test_dynamic_shapes_are_refused_where_the_converter_does_not_support_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = torch.export.Dim("batch", min=2, max=16)
    model = module(lambda self, x: torch.relu(x))
    gm = lower(export(model, torch.randn(4, 3), dynamic_shapes=({0: batch},)))
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    relu = torch.ops.aten.relu.default
    registry = DYNAMO_CONVERTERS.registries[0]
    static = [replace(c, supports_dynamic_shapes=False) for c in registry[relu]]
    monkeypatch.setitem(registry, relu, static)
    refused = judge(gm, options())["relu"]
    assumed = judge(gm, options(Settings(assume_dynamic_shape_support=True)))["relu"]
    assert refused.verdict is Verdict.REJECT
    assert "symbolic" in (refused.answers[0].reason or "")
    assert assumed.verdict is Verdict.ACCEPT


@pytest.mark.parametrize("truncate", [False, True])
def test_verdicts_are_the_registrys_own(truncate: bool) -> None:
    from torch_tensorrt.dynamo import partitioning

    def forward(self: Any, x: Any, y: Any) -> Any:
        h = torch.nn.functional.gelu(x).double().softmax(-1)
        return torch.special.i0(h), (y & 7).to(torch.uint8), torch.cumsum(h, 0)

    program = export(module(forward), torch.randn(3, 4), torch.arange(4))
    both = typed(program, TruncationPolicy())
    gm = (both.truncated if truncate else both.inferred).module
    judgements = judge(gm, options())
    supported, total = partitioning.get_graph_converter_support(gm, set())
    accepted = [j for j in judgements.values() if j.verdict is Verdict.ACCEPT]
    assert (len(accepted), len(judgements)) == (supported, total)
    assert 0 < supported < total


def test_judging_leaves_the_validators_logger_as_it_was() -> None:
    logger = logging.getLogger(VALIDATOR_LOGGER)
    before = (logger.level, logger.propagate, list(logger.handlers))
    judge(infer(lower(widening())).module, options())
    assert (logger.level, logger.propagate, list(logger.handlers)) == before
