"""Constants and subgraphs stay where they are read; engines neither take nor return them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.staging import export, lower, module, options, torch
from trtdbg.graphs.graph import engine_nodes, output_values
from trtdbg.policy import Settings
from trtdbg.stages.network import define_network
from trtdbg.stages.partition import Split, partition


def split_of(
    forward: Any, *args: Any, settings: Settings | None = None, **buffers: Any
) -> tuple[Split, Any, Any]:
    """Returns a module partitioned as under timing late, the module and its lowered graph."""
    made = module(forward, **buffers)
    lowered = lower(export(made, *args), settings)
    return partition(lowered, options(settings), tolerant=True), made, lowered


def handed_on(split: Split) -> list[str]:
    """Returns the constants and subgraphs that engines return."""
    return [
        value.name
        for _, engine in engine_nodes(split.module)
        for value in output_values(engine.graph)
        if value.op == "get_attr"
    ]


def read_in_engines(split: Split) -> set[str]:
    return {
        node.target
        for _, engine in engine_nodes(split.module)
        for node in engine.graph.nodes
        if node.op == "get_attr"
    }


def defines(split: Split) -> list[str | None]:
    """Returns what TensorRT says of each engine's network; None where it takes it."""
    return [
        define_network(engine, str(call.target), options(), truncate_double=True).error
        for call, engine in engine_nodes(split.module)
    ]


def cond(self: Any, x: Any) -> Any:
    h = torch.relu(x)
    return torch.cond(h.sum() > 0, lambda h: h.sin(), lambda h: h.cos() * 2, (h,)) * 3


def nested(self: Any, x: Any) -> Any:
    def outer(h: Any) -> Any:
        return torch.cond(h.mean() > 1, lambda h: h + 1, lambda h: h.exp(), (h,))

    h = torch.relu(x)
    return torch.cond(h.sum() > 0, outer, lambda h: h.cos(), (h,)) * 3


def loop(self: Any, x: Any) -> Any:
    from torch._higher_order_ops import while_loop

    def body(i: Any, h: Any) -> Any:
        return i + 1, torch.sin(h) + 1

    start = torch.zeros((), dtype=torch.int64)
    i, h = while_loop(lambda i, h: i < 3, body, (start, torch.relu(x)))
    return h * 2 + i


def scan(self: Any, x: Any) -> Any:
    from torch._higher_order_ops.scan import scan

    def step(carry: Any, row: Any) -> Any:
        total = carry + row
        return total, total * 2

    carry, rows = scan(step, torch.zeros(4), torch.relu(x))
    return rows + carry


FLOWS = {"cond": cond, "nested cond": nested, "while_loop": loop, "scan": scan}


@pytest.mark.parametrize("partitioner", ["global", "fast"])
@pytest.mark.parametrize("name", FLOWS)
def test_no_engine_takes_a_subgraph(name: str, partitioner: Any) -> None:
    settings = Settings(partitioner=partitioner)
    x = torch.randn(3, 4)
    split, made, _ = split_of(FLOWS[name], x, settings=settings)
    assert not [t for t in read_in_engines(split) if "graph" in t]
    assert split.engine_names
    assert defines(split) == [None] * len(split.engine_names)
    returned = split.module(x)
    returned = returned[0] if isinstance(returned, (tuple, list)) else returned
    torch.testing.assert_close(returned, made(x))


DTYPES = (torch.uint8, torch.int8, torch.int16, torch.float64, torch.complex64)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_buffer_that_only_pytorch_returns_is_in_no_engine(dtype: Any) -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.relu(x), self.table

    x, table = torch.randn(3), torch.ones(3).to(dtype)
    split, made, _ = split_of(forward, x, table=table)
    assert handed_on(split) == []
    assert read_in_engines(split) == set()
    assert defines(split) == [None]
    torch.testing.assert_close(tuple(split.module(x)), made(x))


def test_a_constant_of_both_parts_is_read_by_each_itself() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.relu(x) + self.table, torch.bincount(self.table.long() + x.int().long())

    x = torch.tensor([1.0, 2.0, 0.0])
    split, made, _ = split_of(forward, x, table=torch.tensor([0.0, 1.0, 2.0]))
    assert handed_on(split) == []
    torch.testing.assert_close(tuple(split.module(x)), made(x))


def test_a_constant_of_two_engines_stands_in_both() -> None:
    def forward(self: Any, x: Any) -> Any:
        counts = torch.bincount((torch.relu(x) * self.table).long(), minlength=3)
        return counts * self.table

    x = torch.tensor([1.0, 2.0, 0.0])
    split, made, _ = split_of(forward, x, table=torch.tensor([1.0, 1.0, 1.0]))
    assert handed_on(split) == []
    holders = [
        call.target
        for call, engine in engine_nodes(split.module)
        if any(node.op == "get_attr" for node in engine.graph.nodes)
    ]
    assert len(holders) == len(split.engine_names) == 2
    returned = split.module(x)
    returned = returned[0] if isinstance(returned, (tuple, list)) else returned
    torch.testing.assert_close(returned, made(x))


def test_a_constant_that_tensorrt_refused_enters_as_an_input() -> None:
    made = module(lambda self, x: torch.relu(x) + self.table, table=torch.ones(3))
    lowered = lower(export(made, torch.randn(3)))
    (name,) = [node.name for node in lowered.graph.nodes if node.op == "get_attr"]
    split = partition(lowered, options(), tolerant=True, refused=frozenset({name}))
    assert read_in_engines(split) == set()
    assert name not in split.engine_of
    assert split.engine_names


def test_upstream_is_shown_as_it_is() -> None:
    made = module(cond)
    lowered = lower(export(made, torch.randn(3, 4)))
    split = partition(lowered, options(), tolerant=False)
    assert [target for target in read_in_engines(split) if "graph" in target]
