"""torch's own partitioner must propose the same, asked of its own viewer or of ours."""

from __future__ import annotations

import operator
import random
from collections.abc import Iterator
from typing import Any

import pytest
from torch.fx.passes.infra import partitioner
from torch.fx.passes.operator_support import OperatorSupportBase

from tests.staging import torch
from trtdbg.compat import dependencies
from trtdbg.compat.dependencies import Downstream, patched_dependency_viewer

READ = pytest.mark.skipif(
    not torch.__version__.startswith(("2.13", "2.14")), reason="another torch was read"
)


def random_graph(seed: int, operators: int = 60) -> Any:
    """Returns a graph of operators that read one to three values, tuples and parts of them."""
    chance = random.Random(seed)
    graph = torch.fx.Graph()
    values = [graph.placeholder(f"x{i}") for i in range(3)]
    reach = chance.choice((3, 12, operators))
    for _ in range(operators):
        operands = chance.sample(values[-reach:], chance.randint(1, min(3, reach)))
        made = graph.call_function(torch.cat, (operands,))
        if chance.random() < 0.2:
            whole = graph.call_function(torch.split, (made, 1))
            values += [graph.call_function(operator.getitem, (whole, i)) for i in range(2)]
        values.append(made)
    graph.output(tuple(chance.sample(values, 4)))
    return torch.fx.GraphModule(torch.nn.Module(), graph)


class ByChance(OperatorSupportBase):
    def __init__(self, seed: int, share: float) -> None:
        self.seed, self.share = seed, share

    def is_node_supported(self, submodules: Any, node: Any) -> bool:
        del submodules
        drawn = random.Random(f"{self.seed} {node.name}").random()
        return bool(node.op == "call_function" and drawn < self.share)


def proposed(module: Any, support: ByChance, **options: Any) -> list[list[str]]:
    made = partitioner.CapabilityBasedPartitioner(
        module, support, allows_single_node_partition=True, **options
    )
    return [[node.name for node in part.nodes] for part in made.propose_partitions()]


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("seed", range(12))
def test_the_partitions_are_those_of_torchs_own_viewer(seed: int, share: float) -> None:
    module, support = random_graph(seed), ByChance(seed, share)
    expected = proposed(module, support)
    with patched_dependency_viewer():
        assert proposed(module, support) == expected
    assert any(len(part) > 1 for part in expected)


@pytest.mark.parametrize("seed", range(4))
def test_horizontal_fusion_left_out_gives_the_same_too(seed: int) -> None:
    module, support = random_graph(seed), ByChance(seed, 0.8)
    expected = proposed(module, support, skip_horizontal_fusion=True)
    with patched_dependency_viewer():
        assert proposed(module, support, skip_horizontal_fusion=True) == expected


@READ
def test_a_node_is_shown_one_node_of_a_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []
    answer = Downstream.downstreams_of

    def counted(self: Downstream, node: Any) -> list[Any]:
        found = answer(self, node)
        shown.append(len(found))
        return found

    monkeypatch.setattr(Downstream, "downstreams_of", counted)
    with patched_dependency_viewer():
        (whole,) = proposed(random_graph(1), ByChance(1, 1.0))
    assert len(whole) > 60
    assert max(shown) == 1


@pytest.fixture
def kept() -> Iterator[tuple[Any, ...]]:
    names = partitioner._DependencyViewer, partitioner.Partition
    yield names
    assert (partitioner._DependencyViewer, partitioner.Partition) == names


@READ
def test_torch_has_its_own_names_again_when_partitioning_fails(kept: tuple[Any, ...]) -> None:
    asked = partitioner.CapabilityBasedPartitioner._is_node_supported

    def fail() -> None:
        with patched_dependency_viewer():
            assert partitioner._DependencyViewer is not kept[0]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert partitioner.CapabilityBasedPartitioner._is_node_supported is asked


@READ
def test_the_installed_partitioner_is_the_one_that_was_read(kept: tuple[Any, ...]) -> None:
    with patched_dependency_viewer():
        assert partitioner._DependencyViewer is not kept[0]
        assert partitioner.Partition is not kept[1]


def test_another_partitioner_keeps_torchs_own_viewer(
    kept: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependencies, "_READ", dependencies._digest("pass"))
    dependencies._is_the_one_read.cache_clear()
    try:
        module, support = random_graph(3), ByChance(3, 0.8)
        expected = proposed(module, support)
        with patched_dependency_viewer():
            assert (partitioner._DependencyViewer, partitioner.Partition) == kept
            assert proposed(module, support) == expected
    finally:
        dependencies._is_the_one_read.cache_clear()


def test_comments_and_margins_are_no_other_partitioner() -> None:
    one, other = "def f():\n    # said\n    return 1\n", "def f():\n\n  return 1"
    assert dependencies._digest(one) == dependencies._digest(other)
    assert dependencies._digest(one) != dependencies._digest("def f():\n    return 2\n")
