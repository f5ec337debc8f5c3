"""A part of an engine computes what it computed there, from what was left out as inputs."""

from __future__ import annotations

import operator
from typing import Any

import pytest

from tests.staging import export, lower, module

torch = pytest.importorskip("torch")

from trtdbg.errors import StageError  # noqa: E402
from trtdbg.stages import subgraph  # noqa: E402


@pytest.fixture
def graph(torch_tensorrt_ready: None) -> Any:
    """Returns a lowered graph: sin, a split of which two parts are used, their product."""

    def forward(self: Any, x: Any) -> Any:
        first, second, _ = torch.split(torch.sin(x), 2, 1)
        return (first * self.scale) * torch.cos(second)

    return lower(export(module(forward, scale=torch.full((2,), 3.0)), torch.ones(4, 6)))


def targets(module: Any) -> list[str]:
    return [str(n.target) for n in module.graph.nodes if n.op == "call_function"]


def place(graph: Any, name: str) -> int:
    return next(
        i for i, piece in enumerate(subgraph.pieces(graph)) if name in str(piece[0].target)
    )


def test_an_operator_and_what_takes_its_outputs_are_one_piece(graph: Any) -> None:
    pieces = subgraph.pieces(graph)
    assert [str(piece[0].target) for piece in pieces] == [
        "aten.sin.default",
        "aten.split.Tensor",
        "aten.mul.Tensor",
        "aten.cos.default",
        "aten.mul.Tensor",
    ]
    assert {node.target for node in pieces[1][1:]} == {operator.getitem}


def test_what_is_left_out_becomes_an_input_and_constants_stay(graph: Any) -> None:
    part = subgraph.cut(graph, {place(graph, "aten.mul")})
    (given,) = [n for n in part.graph.nodes if n.op == "placeholder"]
    assert tuple(given.meta["val"].shape) == (4, 2)
    (constant,) = [n for n in part.graph.nodes if n.op == "get_attr"]
    held = getattr(part, str(constant.target))
    assert held.data_ptr() == getattr(graph, str(constant.target)).data_ptr()
    x = torch.rand(4, 2)
    assert torch.equal(part(x)[0], x * 3)


def test_a_part_returns_what_nothing_in_it_reads(graph: Any) -> None:
    part = subgraph.cut(graph, {place(graph, "sin"), place(graph, "split")})
    x = torch.rand(4, 6)
    expected = torch.split(torch.sin(x), 2, 1)
    returned = part(x)
    assert len(returned) in (2, 3)
    assert all(any(torch.equal(r, e) for e in expected) for r in returned)
    only = subgraph.cut(graph, {place(graph, "split"), place(graph, "cos")})
    assert len(only(x)) == 1
    assert torch.equal(only(x)[0], torch.cos(torch.split(x, 2, 1)[1]))


def test_the_engine_itself_is_left_as_it_is(graph: Any) -> None:
    before = str(graph.graph)
    subgraph.cut(graph, {0, 2})
    assert str(graph.graph) == before


def test_outputs_of_the_engine_are_returned_on_request(torch_tensorrt_ready: None) -> None:
    def forward(self: Any, x: Any) -> Any:
        y = torch.sin(x)
        return y, torch.cos(y)

    graph = lower(export(module(forward), torch.ones(3)))
    assert len(subgraph.cut(graph, {0, 1})(torch.ones(3))) == 1
    assert len(subgraph.cut(graph, {0, 1}, outputs=True)(torch.ones(3))) == 2


def test_sizes_come_with_what_reads_them_and_stay_symbolic(torch_tensorrt_ready: None) -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.sin(x).reshape(x.shape[0] * 2, -1)

    batch = torch.export.Dim("batch", min=2, max=16)
    graph = lower(export(module(forward), torch.ones(4, 6), dynamic_shapes={"x": {0: batch}}))
    pieces = subgraph.pieces(graph)
    assert all(subgraph._gives(piece[0]) for piece in pieces)
    part = subgraph.cut(graph, {len(pieces) - 1})
    program = subgraph.exported(part)
    (bounds,) = program.range_constraints.values()
    # torch widens 2 to 1, below which a size would not be dynamic.
    assert int(bounds.lower) in (1, 2)
    assert int(bounds.upper) == 16
    # Where the size is read of another value than the reshaped one, that is an input too.
    given = [torch.ones(5, 6)] * len(program.graph_signature.user_inputs)
    assert program.module(check_guards=False)(*given)[0].shape[0] == 10


def test_nothing_kept_is_no_graph(graph: Any) -> None:
    with pytest.raises(StageError, match="without operators"):
        subgraph.cut(graph, ())


def test_a_part_written_down_has_the_same_operators(graph: Any, tmp_path: Any) -> None:
    part = subgraph.cut(graph, {1, 2, 3})
    torch.export.save(subgraph.exported(part), tmp_path / "part.pt2")
    again = torch.export.load(tmp_path / "part.pt2").module(check_guards=False)
    # torch.export writes down all outputs of an operator; those unused were not there.
    again.graph.eliminate_dead_code()
    assert targets(again) == targets(part)
    x = torch.rand(4, 6)
    assert all(map(torch.equal, again(x), part(x)))


def test_a_graph_is_told_line_by_line(graph: Any) -> None:
    part = subgraph.cut(graph, {place(graph, "cos")})
    given, computed, returned = subgraph.lines(part)
    assert given.endswith(": float32[4, 2]")
    name = given.split(":")[0]
    assert computed == f"cos = aten.cos.default({name})  # float32[4, 2]"
    assert returned == "return cos"
