"""Operators that a setting names: unknown ones are refused, with what was meant."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from trtdbg.errors import UsageError  # noqa: E402
from trtdbg.graphs.operator_names import check_operators  # noqa: E402


def test_operators_of_torch_are_taken() -> None:
    check_operators(("torch.ops.aten.cumsum.default", "torch.ops.aten.mul.Tensor"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torch.ops.aten.cumsumm.default", "did you mean aten.cumsum.default"),
        ("torch.ops.aten.mul.Tensr", "did you mean aten.mul.Tensor"),
        ("torch.ops.aten.cumsum", "open; name one: aten.cumsum.default"),
        ("torch.ops.mylib.gelu.default", "torch has no operator mylib.gelu.default"),
        ("torch.ops.zzzz.qqqq", "--import"),
    ],
)
def test_an_unknown_operator_is_named_with_what_was_meant(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_operators((name,))


def test_an_operator_of_the_program_is_proposed_first() -> None:
    graph = torch.fx.Graph()
    graph.call_function(torch.ops.aten.softmax.int, (graph.placeholder("x"), -1))
    with pytest.raises(UsageError, match=r"did you mean aten\.softmax\.int\?"):
        check_operators(("torch.ops.aten.softmax.default",), graph)
