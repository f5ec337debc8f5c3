from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests import by_version
from tests.staging import export, lower, module, options, torch
from trtdbg.policy import Partitioner, Settings
from trtdbg.stages.infer import infer
from trtdbg.stages.partition import partition, small_blocks

PARTITIONERS = pytest.mark.parametrize("partitioner", list(Partitioner))


def in_two_parts() -> Any:
    """Returns a lowered graph: relu, add | i0 | sigmoid, mul."""

    def forward(self: Any, x: Any) -> Any:
        h = torch.special.i0(torch.relu(x) + 1)
        return torch.sigmoid(h) * h

    return infer(lower(export(module(forward), torch.randn(4)))).module


def with_crashing_validator() -> Any:
    def forward(self: Any, x: Any) -> Any:
        return torch.sort(torch.relu(x))[0] + 1

    return infer(lower(export(module(forward), torch.randn(3, 4)))).module


@PARTITIONERS
def test_an_operator_without_converter_splits_the_graph(partitioner: Partitioner) -> None:
    split = partition(
        in_two_parts(), options(Settings(partitioner=partitioner)), tolerant=False
    )
    assert len(split.engine_names) == 2
    assert split.torch_ops == ("aten.i0.default",)
    assert split.engine_of == {"relu": 0, "add": 0, "sigmoid": 1, "mul": 1}


@PARTITIONERS
def test_blocks_below_the_minimum_size_stay_in_pytorch(partitioner: Partitioner) -> None:
    settings = Settings(partitioner=partitioner, min_block_size=5)
    split = partition(in_two_parts(), options(settings), tolerant=False)
    assert split.engine_names == ()
    assert split.engine_of == {}
    assert split.torch_ops == (
        "aten.relu.default",
        "aten.add.Tensor",
        "aten.i0.default",
        "aten.sigmoid.default",
        "aten.mul.Tensor",
    )


@PARTITIONERS
def test_what_the_minimum_block_size_alone_keeps_out_is_told_with_its_block(
    partitioner: Partitioner,
) -> None:
    gm = in_two_parts()
    accepted = ("relu", "add", "sigmoid", "mul")
    settings = options(Settings(partitioner=partitioner, min_block_size=3))
    split = partition(gm, settings, tolerant=False)
    assert split.engine_of == {}
    small = small_blocks(gm, settings, split, accepted, tolerant=False)
    assert small == {"relu": 2, "add": 2, "sigmoid": 2, "mul": 2}
    refusing = frozenset({"relu"})
    split = partition(gm, settings, tolerant=False, refused=refusing)
    small = small_blocks(gm, settings, split, accepted, tolerant=False, refused=refusing)
    assert small == {"add": 1, "sigmoid": 2, "mul": 2}, "relu is out for another reason"


def test_no_block_is_too_small_without_a_minimum() -> None:
    gm = in_two_parts()
    split = partition(gm, options(), tolerant=False, refused=frozenset({"relu"}))
    assert small_blocks(gm, options(), split, ("relu", "add"), tolerant=False) == {}


@PARTITIONERS
def test_an_excluded_operator_stays_in_pytorch(partitioner: Partitioner) -> None:
    settings = Settings(
        partitioner=partitioner, torch_executed_ops=("torch.ops.aten.sigmoid.default",)
    )
    split = partition(in_two_parts(), options(settings), tolerant=False)
    assert "aten.sigmoid.default" in split.torch_ops
    assert "sigmoid" not in split.engine_of


@by_version.only("a validator that raises")
@PARTITIONERS
def test_a_crashing_validator_is_a_refusal_where_tolerated(partitioner: Partitioner) -> None:
    settings = Settings(partitioner=partitioner)
    split = partition(with_crashing_validator(), options(settings), tolerant=True)
    assert "aten.sort.default" in split.torch_ops
    assert {"relu", "add"} <= set(split.engine_of)


@by_version.only("a validator that raises")
def test_a_crashing_validator_ends_the_partitioning_where_it_is_not() -> None:
    with pytest.raises(IndexError):
        partition(with_crashing_validator(), options(), tolerant=False)


def test_answers_stand_for_the_validators_of_the_global_partitioner(
    validator_calls: list[str],
) -> None:
    answers = dict.fromkeys(("relu", "add", "sigmoid", "mul"), True) | {"i0": False}
    gm = in_two_parts()
    split = partition(gm, options(), tolerant=True, answers=answers)
    assert validator_calls == []
    assert split.engine_of == partition(gm, options(), tolerant=True).engine_of
    assert validator_calls != []
    answers["sigmoid"] = False
    split = partition(gm, options(), tolerant=True, answers=answers)
    assert split.engine_of == {"relu": 0, "add": 0, "mul": 1}


@pytest.fixture
def validator_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the operators of a graph in two parts whose validators were called."""
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_ATEN_CONVERTERS

    called: list[str] = []

    def noted(target: str, support: Any) -> Any:
        def validator(node: Any, settings: Any = None) -> bool:
            called.append(target)
            return bool(support.capability_validator(node, settings))

        return dataclasses.replace(support, capability_validator=validator)

    aten = torch.ops.aten
    for op in (aten.relu.default, aten.add.Tensor, aten.sigmoid.default, aten.mul.Tensor):
        supports = [noted(str(op), each) for each in DYNAMO_ATEN_CONVERTERS[op]]
        monkeypatch.setitem(DYNAMO_ATEN_CONVERTERS, op, supports)
    return called


def test_the_registry_is_itself_again_afterwards() -> None:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import ConverterRegistry

    before = ConverterRegistry.__contains__
    partition(with_crashing_validator(), options(), tolerant=True)
    assert ConverterRegistry.__contains__ is before


@PARTITIONERS
def test_partitioning_works_on_a_copy(partitioner: Partitioner) -> None:
    gm = in_two_parts()
    before = str(gm.graph)
    partition(gm, options(Settings(partitioner=partitioner)), tolerant=False)
    assert str(gm.graph) == before
    assert list(gm.named_children()) == []


def test_engines_are_numbered_in_the_order_they_run() -> None:
    split = partition(in_two_parts(), options(), tolerant=False)
    calls = [str(n.target) for n in split.module.graph.nodes if n.op == "call_module"]
    assert list(split.engine_names) == calls
