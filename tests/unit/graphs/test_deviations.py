from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trtdbg.graphs import deviations  # noqa: E402
from trtdbg.graphs.deviations import (  # noqa: E402
    Deviation,
    IncomparableError,
    Tolerance,
    deviation,
)

TOLERANCE = Tolerance(atol=0.1, rtol=0.01)


def compare(original: Any, computed: Any) -> Deviation:
    return deviation(original, computed, TOLERANCE)


def test_an_error_within_atol_plus_rtol_of_the_original_is_within() -> None:
    original = torch.tensor([100.0, 100.0, 0.0, 0.0], dtype=torch.float64)
    found = compare(original, torch.tensor([101.0, 101.2, 0.09, 0.2]))
    assert (found.elements, found.beyond) == (4, 2)
    assert found.max_abs_error == pytest.approx(1.2, rel=1e-5)
    assert found.max_rel_error == pytest.approx(0.012, rel=1e-5), "of originals that are not 0"


def test_nan_and_inf_agree_with_themselves_alone() -> None:
    inf, nan = math.inf, math.nan
    original = torch.tensor([nan, nan, inf, inf, inf, 1.0, 1.0], dtype=torch.float64)
    computed = torch.tensor([nan, 0.0, inf, -inf, 5.0, inf, nan])
    found = compare(original, computed)
    assert found.nan_mismatches == 2
    assert found.inf_mismatches == 3
    assert found.overflowed == 1, "finite in the original alone"
    assert found.beyond == 5
    assert found.max_abs_error is None, "no element is finite in both"


def test_integers_are_exact_and_an_int64_difference_cannot_overflow() -> None:
    original = torch.tensor([2**62, -(2**62), 7])
    found = compare(original, torch.tensor([-(2**31), 2**31 - 1, 7], dtype=torch.int32))
    assert (found.beyond, found.wrapped) == (2, 2)
    assert found.max_abs_error == pytest.approx(2**62 + 2**31)


def test_bools_have_no_range_to_wrap_in() -> None:
    found = compare(torch.tensor([True, False]), torch.tensor([True, True]))
    assert (found.beyond, found.wrapped, found.elements) == (1, 0, 2)


def test_complex_values_count_both_parts() -> None:
    original = torch.tensor([1 + 1j], dtype=torch.complex128)
    found = compare(original, torch.tensor([1 + 2j], dtype=torch.complex64))
    assert (found.elements, found.beyond, found.max_abs_error) == (2, 1, 1.0)


def test_tuples_add_up_and_a_value_seen_twice_counts_with_the_worse() -> None:
    zero, one = torch.zeros(2), torch.ones(2)
    assert compare((zero, zero), (zero, one)).beyond == 2
    assert compare((zero, zero), (zero, one)).elements == 4
    assert compare(zero, one).worst(compare(zero, zero)) == compare(zero, one)


def test_chunks_find_what_the_whole_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.randn(100, dtype=torch.float64)
    computed = (original + torch.randn(100) * 0.2).float()
    whole = compare(original, computed)
    monkeypatch.setattr(deviations, "CHUNK_ELEMENTS", 7)
    assert compare(original, computed) == whole


def test_an_error_beyond_float64_stays_a_number_that_json_can_hold() -> None:
    huge = torch.tensor([1.7e308], dtype=torch.float64)
    assert math.isfinite(compare(huge, -huge).max_abs_error or math.inf)


def test_numbers_are_compared_like_tensors() -> None:
    assert compare(3, 3).beyond == 0
    assert compare(3, 4).beyond == 1
    assert compare(True, False).beyond == 1


@pytest.mark.parametrize(
    ("original", "computed", "words"),
    [
        (torch.zeros(2), torch.zeros(3), r"shape is \[3\], not \[2\]"),
        ((torch.zeros(2),), torch.zeros(2), "number of outputs"),
        (torch.zeros(2), 1.0, "float, not Tensor"),
    ],
)
def test_values_of_another_shape_or_kind_are_not_compared(
    original: Any, computed: Any, words: str
) -> None:
    with pytest.raises(IncomparableError, match=words):
        compare(original, computed)


def test_an_empty_tensor_has_no_error() -> None:
    assert compare(torch.zeros(0), torch.zeros(0)) == Deviation()
