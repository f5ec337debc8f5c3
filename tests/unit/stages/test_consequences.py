from __future__ import annotations

from typing import Any

import pytest

from tests import by_version
from tests.staging import export, lower, module, options, quiet, torch
from trtdbg.policy import Partitioner, Settings
from trtdbg.records import Consequence
from trtdbg.stages.consequences import weigh
from trtdbg.stages.infer import infer
from trtdbg.stages.partition import partition

PARTITIONERS = pytest.mark.parametrize("partitioner", list(Partitioner))


def weighed(
    gm: Any, *names: str, settings: Settings | None = None, tolerant: bool = True
) -> tuple[Consequence, ...]:
    chosen = options(settings)
    refused = frozenset({"refused_by_tensorrt"})

    def without(name: str) -> Any:
        return partition(gm, chosen, tolerant=tolerant, refused=refused - {name})

    return weigh([(name,) for name in names], without, quiet)


def graph_of(forward: Any, *args: Any) -> Any:
    return infer(lower(export(module(forward), *args))).module


def in_three_parts() -> Any:
    """Returns relu | i0 | sigmoid | bessel_j0 | exp, and a cast that nothing splits."""

    def forward(self: Any, x: Any) -> Any:
        h = torch.special.i0(torch.relu(x))
        return torch.exp(torch.special.bessel_j0(torch.sigmoid(h)))

    return graph_of(forward, torch.randn(4))


@PARTITIONERS
def test_accepting_a_node_joins_the_engines_that_it_keeps_apart(
    partitioner: Partitioner,
) -> None:
    settings = Settings(partitioner=partitioner)
    gm = in_three_parts()
    split = partition(gm, options(settings), tolerant=True)
    assert (len(split.engine_names), len(split.torch_ops)) == (3, 2)
    found = weighed(gm, "i0", "special_bessel_j0", settings=settings)
    assert [(c.node, c.engines, c.torch_ops) for c in found] == [
        ("i0", 2, 1),
        ("special_bessel_j0", 2, 1),
    ]


def test_the_most_useful_node_comes_first() -> None:
    def forward(self: Any, x: Any) -> Any:
        h = torch.special.i0(torch.relu(x))
        return torch.special.bessel_j0(torch.sigmoid(h))

    found = weighed(graph_of(forward, torch.randn(4)), "special_bessel_j0", "i0")
    assert [(c.node, c.engines, c.torch_ops) for c in found] == [
        ("i0", 1, 1),
        ("special_bessel_j0", 2, 1),
    ]


@PARTITIONERS
def test_the_results_of_an_accepted_node_are_accepted_with_it(
    partitioner: Partitioner,
) -> None:
    gm = graph_of(lambda self, x: torch.sort(torch.relu(x))[0] + 1, torch.randn(3, 4))
    settings = Settings(partitioner=partitioner)
    (found,) = weighed(gm, "sort", settings=settings)
    assert (found.engines, found.torch_ops) == (1, 0)


def test_an_excluded_and_a_complex_node_can_be_accepted_too() -> None:
    settings = Settings(torch_executed_ops=("torch.ops.aten.sigmoid.default",))
    gm = graph_of(lambda self, x: torch.exp(torch.sigmoid(torch.relu(x))), torch.randn(4))
    (found,) = weighed(gm, "sigmoid", settings=settings)
    assert (found.engines, found.torch_ops) == (1, 0)


@by_version.only("a validator that raises")
def test_a_partitioner_that_raises_with_the_node_accepted_is_said_and_comes_last() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.special.i0(torch.sort(torch.relu(x))[0])

    gm = graph_of(forward, torch.randn(3, 4))
    good, bad = weighed(gm, "i0", "sort", tolerant=False)
    assert (good.node, good.error) == ("sort", None)
    assert bad.node == "i0"
    assert "IndexError" in (bad.error or "")


def test_partitioners_and_registry_are_themselves_again_afterwards() -> None:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import ConverterRegistry
    from torch_tensorrt.dynamo.partitioning._adjacency_partitioner import OpSupportTester
    from torch_tensorrt.dynamo.partitioning._global_partitioner import (
        TorchTensorRTOperatorSupport,
    )

    owners = (ConverterRegistry, OpSupportTester, TorchTensorRTOperatorSupport)
    before = [dict(vars(owner)) for owner in owners]
    weighed(in_three_parts(), "i0")
    assert [dict(vars(owner)) for owner in owners] == before


class Sized:
    """A partition of so many engines."""

    def __init__(self, engines: int) -> None:
        self.engine_names = ("engine",) * engines
        self.torch_ops = ()


NAMES = tuple(f"n{number}" for number in range(9))


def engines_by_name(odd: str = "") -> tuple[list[str], dict[str, int]]:
    """Returns what is partitioned for nine nodes that are alike, and the engines found."""
    asked: list[str] = []

    def without(name: str) -> Sized:
        asked.append(name)
        return Sized(3 if name == odd else 7)

    found = weigh([NAMES, ("other",)], without, quiet)
    return asked, {one.node: one.engines for one in found}


def test_of_many_alike_the_first_the_middle_and_the_last_are_tried() -> None:
    asked, found = engines_by_name()
    assert asked == ["n0", "n4", "n8", "other"]
    assert found == dict.fromkeys(asked, 7)


@pytest.mark.parametrize("odd", ["n0", "n4", "n8"])
def test_where_these_differ_all_are_tried_each_once(odd: str) -> None:
    asked, found = engines_by_name(odd)
    assert sorted(asked) == sorted((*NAMES, "other"))
    assert found == dict.fromkeys((*NAMES, "other"), 7) | {odd: 3}


def test_few_that_are_alike_are_all_tried() -> None:
    found = weigh([NAMES[:4]], lambda _: Sized(2), quiet)
    assert [one.node for one in found] == list(NAMES[:4])
