from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.staging import export, late, module  # noqa: E402
from trtdbg.policy import Partitioner, Settings  # noqa: E402
from trtdbg.records.boundary_graph import BoundaryGraph, Call, CallKind, text  # noqa: E402
from trtdbg.stages.wiring import Bindings, describe  # noqa: E402


def described(
    function: Any, *args: Any, partitioner: Partitioner = Partitioner.GLOBAL, **buffers: Any
) -> BoundaryGraph:
    settings = Settings(partitioner=partitioner)
    return describe(
        late(export(module(function, **buffers), *args), None, settings).program, {}
    )


def mixed(self: Any, x: Any) -> Any:
    a = x.exp() * 2.0
    return torch.special.i0(a) + self.shift, a.topk(2).indices


X = torch.ones(4, dtype=torch.float64)
SHIFT = torch.ones(4, dtype=torch.float64)


def of_kind(graph: BoundaryGraph, kind: CallKind) -> list[Call]:
    return [call for call in graph.calls if call.kind is kind]


@pytest.mark.parametrize("partitioner", list(Partitioner))
def test_every_value_is_made_once_and_before_it_is_read(partitioner: Partitioner) -> None:
    graph = described(mixed, X, partitioner=partitioner, shift=SHIFT)
    made: set[str] = set()
    for call in graph.calls:
        if call.kind is CallKind.ENGINE:
            assert {port.value for port in call.inputs} <= made
            values = {port.value for port in call.outputs if port.value is not None}
        else:
            values = {call.name}
        assert not values & made
        made |= values
    assert set(graph.outputs) <= made


def test_an_engine_lists_its_bindings_with_the_dtypes_inside() -> None:
    graph = described(mixed, X, shift=SHIFT)
    first = of_kind(graph, CallKind.ENGINE)[0]
    assert first.engine == 0
    assert [(p.dtype, p.shape) for p in first.inputs] == [("float32", (4,))]
    assert first.outputs[0].binding == "output0"
    assert "float64" not in {p.dtype for p in first.outputs}


def test_casts_are_told_from_the_models_own_operators_and_name_what_they_cast() -> None:
    graph = described(mixed, X, shift=SHIFT)
    casts = of_kind(graph, CallKind.CAST)
    assert casts[0].args.startswith("x, ")
    assert (casts[0].dtype, casts[-1].dtype) == ("float32", "float64")
    assert "aten.i0.default" in [call.target for call in of_kind(graph, CallKind.PYTORCH)]


def test_bindings_of_a_real_network_go_before_the_conventional_names() -> None:
    program = late(export(module(lambda self, x: x * 2.0), X)).program
    (name,) = (n for n, _ in program.module.named_children())
    bindings = {name: Bindings(inputs=("in0",), outputs=("out0",))}
    (engine,) = of_kind(describe(program, bindings), CallKind.ENGINE)
    assert [p.binding for p in (*engine.inputs, *engine.outputs)] == ["in0", "out0"]


def test_the_text_reads_like_the_program() -> None:
    lines = text(described(lambda self, x: torch.special.i0(x * 2.0), X)).splitlines()
    assert lines == [
        "# The program around the engines: one call a line, in the order they run.",
        "input x  # float64 [4]",
        "_to_copy_default = cast x to float32  # float32 [4]",
        "_run_on_acc_0 = engine 0 (_run_on_acc_0)",
        "    x <- _to_copy_default  # float32 [4]",
        "    output0 -> _run_on_acc_0  # float32 [4]",
        "_to_copy_default_1 = cast _run_on_acc_0 to float64  # float64 [4]",
        "i0 = aten.i0.default(_to_copy_default_1)  # float64 [4]",
        "return i0",
    ]
