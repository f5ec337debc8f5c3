from __future__ import annotations

import pytest

from trtdbg.analysis.line_edits import Argument, with_argument, without_call

LAST_AS_ONE = Argument(position=1, name="dim", before=-1, after=1)


@pytest.mark.parametrize(
    ("code", "function", "rewritten"),
    [
        ("best, at = x.sort(dim=-1)", "sort", "best, at = x.sort(dim=1)"),
        ("y = torch.sort(x, -1)[0]", "sort", "y = torch.sort(x, 1)[0]"),
        ("y = x.sort(-1).values", "sort", "y = x.sort(1).values"),
        ("y = x.sort()", "sort", "y = x.sort(dim=1)"),
        ("y = torch.sort(x)", "sort", "y = torch.sort(x, dim=1)"),
        ("é = x.sort(dim=-1)", "sort", "é = x.sort(dim=1)"),
    ],
)
def test_one_argument_of_the_only_call_is_replaced(
    code: str, function: str, rewritten: str
) -> None:
    assert with_argument(code, function, LAST_AS_ONE) == rewritten


@pytest.mark.parametrize(
    "code",
    [
        "y = x.sort(dim=-1) + x.sort(dim=0)",
        "y = x.sort(dim=axis)",
        "y = x.sort(dim=0)",
        "y = x.sort(*how)",
        "y = helper(x)",
        "y = x.sort(",
        "",
    ],
)
def test_a_line_that_may_be_another_call_is_not_rewritten(code: str) -> None:
    assert with_argument(code, "sort", LAST_AS_ONE) is None


def test_a_cast_is_left_out_where_it_is_the_only_one() -> None:
    assert without_call("h = torch.exp(x.double()) * 2", ("double",)) == "h = torch.exp(x) * 2"
    assert without_call("h = x.double() * y.double()", ("double",)) is None
