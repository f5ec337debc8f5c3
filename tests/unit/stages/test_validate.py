from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from tests import by_version
from tests.staging import export, lower, module, options, torch, typed
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Verdict
from trtdbg.stages.infer import infer
from trtdbg.stages.validate import (
    VALIDATOR_LOGGER,
    Candidate,
    ValidatorAnswer,
    _winner,
    judge,
    validator_sources,
)

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


@by_version.only("a validator that raises")
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


def test_the_first_candidate_that_accepts_wins_and_is_the_registrys_choice() -> None:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    def forward(self: Any, x: Any, i: Any, m: Any) -> Any:
        return torch.relu(x[i]), x.double(), x[m]

    args = (torch.randn(4), torch.tensor([1, 2]), torch.ones(4, dtype=torch.bool))
    gm = infer(lower(export(module(forward), *args))).module
    judgements = judge(gm, options())
    winners = {}
    for node in gm.graph.nodes:
        if node.op != "call_function":
            continue
        judgement = judgements[node.name]
        winner = next((a for a in judgement.answers if a.candidate == judgement.winner), None)
        chosen = DYNAMO_CONVERTERS.get(node)
        expected = chosen[0].__name__ if chosen is not None else None
        assert (winner.asked.converter if winner else None) == expected, node
        winners[node.name] = judgement.winner
    assert winners["relu"] == winners["index"] == 0
    assert winners["_to_copy"] is None


def test_a_candidate_says_where_its_validator_is_and_what_its_converter_can() -> None:
    def forward(self: Any, x: Any, m: Any) -> Any:
        return x[m]

    args = (torch.randn(4), torch.ones(4, dtype=torch.bool))
    judgement = judge(lower(export(module(forward), *args)), options())["index"]
    first, second = (a.asked for a in judgement.answers if a.candidate is not None)
    assert (first.requires_output_allocator, second.requires_output_allocator) == (False, True)
    assert first.supports_dynamic_shapes is True
    assert first.requires_native_multidevice is False
    assert first.file == "torch_tensorrt/dynamo/conversion/aten_ops_converters.py"
    assert first.line is not None
    assert first.validator.endswith(f":{first.line}")


def test_a_data_dependent_operator_is_refused_by_a_gate_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    relu = torch.ops.aten.relu.default
    registry = DYNAMO_CONVERTERS.registries[0]
    allocating = [replace(c, requires_output_allocator=True) for c in registry[relu]]
    monkeypatch.setitem(registry, relu, allocating)
    gm = infer(lower(widening())).module
    kept = judge(gm, options(Settings(fallback_data_dependent_ops=True)))
    let_in = judge(gm, options())
    (gate,) = [a for a in kept["relu"].answers if a.validator.startswith("gate:")]
    assert kept["relu"].verdict is gate.verdict is Verdict.REJECT
    assert gate.validator == "gate:data_dependent"
    assert "the setting fallback_data_dependent_ops" in (gate.reason or "")
    assert kept["relu"].winner == 0, "the registry would have taken it"
    assert kept["add"].verdict is let_in["relu"].verdict is Verdict.ACCEPT


def test_the_source_of_a_closure_is_that_of_the_function_that_makes_it() -> None:
    sources = validator_sources(infer(lower(widening())).module)
    (source,) = (s for s in sources if "to_copy" in s.validator)
    assert "allowed_casts" in source.text
    assert "def is_only_operator_on_placeholder" in source.text, "called, so shown too"
    assert source.file == "torch_tensorrt/dynamo/conversion/aten_ops_converters.py"
    assert source.validator.endswith(f":{source.line}")


def test_the_source_of_a_lambda_comes_with_the_validators_that_it_calls() -> None:
    gm = lower(export(module(lambda self, x, i: x[i]), torch.randn(4), torch.arange(2)))
    text = validator_sources(gm)[0].text
    assert "def index_dtype_validator" in text
    assert "def index_has_bool_indices" in text


def test_every_validator_of_a_verdict_has_its_source_once() -> None:
    gm = infer(lower(widening())).module
    asked = {a.validator for j in judge(gm, options()).values() for a in j.answers}
    sources = [source.validator for source in validator_sources(gm)]
    assert sorted(sources) == sorted(asked - {"always"})


@pytest.mark.parametrize(
    ("verdicts", "winner"),
    [
        ((Verdict.ACCEPT, Verdict.ACCEPT), 0),
        ((Verdict.REJECT, Verdict.ACCEPT), 1),
        ((Verdict.CRASHED, Verdict.ACCEPT), None),
        ((Verdict.REJECT, Verdict.CRASHED, Verdict.ACCEPT), None),
        ((Verdict.REJECT, Verdict.REJECT), None),
    ],
)
def test_the_registry_takes_the_first_candidate_that_accepts_and_ends_at_a_crash(
    verdicts: tuple[Verdict, ...], winner: int | None
) -> None:
    answers = tuple(
        ValidatorAnswer(Candidate(f"v{place}"), place, verdict, None)
        for place, verdict in enumerate(verdicts)
    )
    assert _winner(answers) == winner
