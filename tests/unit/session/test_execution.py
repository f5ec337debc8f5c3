"""Ways to run one program: each timed and compared, and one that fails is a row."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trtdbg.records import EngineRecord, LayerTime  # noqa: E402
from trtdbg.session import execution  # noqa: E402


def clock(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


class Wide(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(8, 8).double()
        self.second = torch.nn.Linear(8, 8).double()

    def forward(self, x: Any) -> dict[str, Any]:
        return {"y": self.second(torch.special.i0(self.first(x))), "n": x.shape[0]}


def ways(**makes: Callable[[], Callable[..., object]]) -> dict[str, execution.Make]:
    return makes


def test_ways_are_timed_and_their_outputs_compared_with_eager() -> None:
    wide, x = Wide().eval(), torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(2, 8)
    narrow = Wide().eval()
    narrow.load_state_dict(wide.state_dict())
    narrow.float()
    made = ways(engines=lambda: lambda x: narrow(x.float()), eager=lambda: wide)
    with torch.no_grad():
        rows, comparisons = execution.run(made, (x,), {}, clock, runs=7)
        wanted = (narrow(x.float())["y"].double() - wide(x)["y"]).abs().max().item()
    ours, eager = rows
    assert ours.max_abs_error == pytest.approx(wanted)
    assert 0 < wanted < 1e-4
    assert eager.max_abs_error is None
    assert ours.timing is not None
    assert eager.timing is not None
    assert ours.timing.runs == eager.timing.runs == 7
    (against,) = comparisons
    assert against.against == "eager"
    assert against.low <= against.ratio <= against.high


def test_a_way_that_cannot_be_made_or_run_is_a_row_and_the_rest_stands() -> None:
    def unmakeable() -> Callable[..., object]:
        raise ValueError("cannot deserialize the engine\nmore")

    def unrunnable(x: Any) -> object:
        raise RuntimeError("illegal memory access")

    made = ways(engines=unmakeable, eager=lambda: torch.neg, other=lambda: unrunnable)
    rows, comparisons = execution.run(made, (torch.ones(2),), {}, clock, runs=6)
    said = {row.name: row.error for row in rows}
    assert said == {
        "engines": "ValueError: cannot deserialize the engine",
        "eager": None,
        "other": "RuntimeError: illegal memory access",
    }
    assert comparisons == ()


def test_outputs_of_another_shape_are_not_compared_and_it_is_said() -> None:
    made = ways(engines=lambda: lambda x: x[:1], eager=lambda: lambda x: x)
    rows, _ = execution.run(made, (torch.ones(2),), {}, clock, runs=1)
    assert rows[0].note == "not compared: its shape is [1], not [2]"
    assert rows[0].max_abs_error is None


def test_nan_in_one_is_said() -> None:
    made = ways(engines=lambda: lambda x: x / 0, eager=lambda: lambda x: x)
    rows, _ = execution.run(made, (torch.ones(2),), {}, clock, runs=1)
    assert rows[0].note == "2 elements are nan or infinite in one"


def test_engines_are_timed_on_what_the_program_gives_them() -> None:
    module, x = Wide().eval(), torch.ones(3, 8, dtype=torch.float64)
    given: dict[str, Any] = {}

    def profile(name: str, args: tuple[Any, ...]) -> Any:
        given[name] = args
        if name == "second":
            raise RuntimeError("the shape of output y depends on values")
        return (LayerTime(name="fused", median_ms=1.0),)

    engines = [
        EngineRecord(index=index, name=name, nodes=())
        for index, name in enumerate(("first", "second"))
    ]
    timed = execution.time_engines(module, engines, lambda: module(x), clock, 4, profile)
    assert [each.timing.runs for each in timed if each.timing] == [4, 4]
    assert timed[0].profile == (LayerTime(name="fused", median_ms=1.0),)
    assert timed[1].profile_unavailable is not None
    assert "depends on values" in timed[1].profile_unavailable
    assert torch.equal(given["second"][0], torch.special.i0(module.first(x)))


def test_arguments_are_those_of_the_exported_call() -> None:
    from trtdbg.graphs.replay import ProgramInputs

    class Called(torch.nn.Module):
        def forward(self, a: Any, *, pair: Any) -> Any:
            return a + pair[0] * pair[1]

    a, b, c = (torch.full((2,), float(n)) for n in (1, 2, 3))
    program = torch.export.export(Called(), (a,), {"pair": (b, c)})
    given = ProgramInputs((a, b, c), "example inputs", 0)
    args, kwargs = execution.arguments(program, given, torch.device("cpu"))
    assert torch.equal(program.module()(*args, **kwargs), torch.full((2,), 7.0))
