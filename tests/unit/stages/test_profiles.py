"""The shapes of dynamic engine inputs, as torch_tensorrt sets them from ranges."""

from __future__ import annotations

from typing import Any

import pytest

from tests.staging import export, late, module, options, torch
from trtdbg.records import Binding, Profile, Verdict
from trtdbg.stages.network import define_network
from trtdbg.stages.probe import Memory, probe

Dim = torch.export.Dim


def engine_of(shapes: Any, rows: int = 4) -> Any:
    program = export(
        module(lambda self, x: torch.relu(x) * 2),
        torch.randn(rows, 3),
        dynamic_shapes={"x": shapes},
    )
    return late(program).engine(0)


def taken(shapes: Any) -> Binding:
    network = define_network(engine_of(shapes), "engine", options(), truncate_double=True)
    (given,) = network.inputs
    return given


CASES = {
    "bounds": ({0: Dim("n", min=2, max=9)}, Profile(min=(1, 3), opt=(4, 3), max=(9, 3))),
    "derived": (
        {0: 2 * Dim("n", min=2, max=9)},
        Profile(min=(4, 3), opt=(4, 3), max=(18, 3)),
    ),
    "no maximum": (
        {0: Dim("n", min=2)},
        Profile(min=(1, 3), opt=(4, 3), max=(4096, 3), unbounded=(0,)),
    ),
    "static": ({0: Dim.STATIC}, None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_dynamic_input_shows_its_profile(name: str) -> None:
    shapes, profile = CASES[name]
    assert taken(shapes).profile == profile


@pytest.mark.parametrize("shapes", [{0: Dim("n")}, {0: Dim.AUTO}, {0: Dim.DYNAMIC}])
def test_a_missing_bound_is_no_answer_about_an_operator(shapes: Any) -> None:
    answers = probe(
        [engine_of(shapes)], options(), None, Memory(), emit=lambda *a, **k: None, seconds=60
    )
    assert {answer.verdict for answer in answers.values()} == {Verdict.ACCEPT}


def test_a_float_that_item_reads_is_declared_as_torch_tensorrt_declares_it() -> None:
    def forward(self: Any, x: Any, n: Any) -> Any:
        return x * n.item() + torch.relu(x)

    engine = late(export(module(forward), torch.randn(4), torch.tensor(2.5))).engine(0)
    network = define_network(engine, "engine", options(), truncate_double=True)
    number = next(each for each in network.inputs if each.name == "_local_scalar_dense")
    assert (number.declared, number.bound) == ("float32", "float32")
