"""What is said of the shapes that engines are built for."""

from __future__ import annotations

import msgspec
import pytest

from tests import canned
from trtdbg.analysis.findings import Evidence, find
from trtdbg.analysis.findings.shapes_7xx import shapes
from trtdbg.analysis.sizes import size_at
from trtdbg.records import Binding, Finding, Level, Profile


def found(profile: Profile | None) -> list[Finding]:
    given = Binding(name="x", declared="float32", bound="float32", profile=profile)
    engine = msgspec.structs.replace(canned.LATE.engines[0], inputs=(given,))
    return list(shapes(msgspec.structs.replace(canned.LATE, engines=(engine,))))


@pytest.mark.parametrize(
    "profile",
    [
        None,
        Profile(min=(1, 4), opt=(3, 4), max=(8, 4)),
        Profile(min=(2,), opt=(2,), max=(2,)),
        Profile(min=(0,), opt=(3,), max=(8,)),
    ],
)
def test_a_profile_with_bounds_in_order_is_no_finding(profile: Profile | None) -> None:
    assert found(profile) == []


def test_a_profile_of_empty_tensors_is_an_error() -> None:
    (finding,) = found(Profile(min=(0,), opt=(0,), max=(0,), unbounded=(0,)))
    assert (finding.code, finding.level, finding.engine) == ("TD701", Level.ERROR, 0)
    assert "takes x with min (0), opt (0), max (0)" in finding.message


def test_a_made_up_maximum_is_a_note() -> None:
    (finding,) = found(Profile(min=(1, 4), opt=(4, 4), max=(4096, 4), unbounded=(0,)))
    assert (finding.code, finding.level) == ("TD702", Level.NOTE)


def test_a_profile_out_of_order_is_refused() -> None:
    (finding,) = found(Profile(min=(0, 4), opt=(4, 4), max=(0, 4), unbounded=(0,)))
    assert finding.code == "TD703"
    assert "min <= opt <= max" in finding.message


def test_they_are_among_the_findings_of_a_report() -> None:
    given = Binding(
        name="x", declared=None, bound=None, profile=Profile(min=(0,), opt=(0,), max=(0,))
    )
    engine = msgspec.structs.replace(canned.LATE.engines[0], inputs=(given,))
    report = msgspec.structs.replace(canned.LATE, engines=(engine,))
    assert "TD701" in {finding.code for finding in find(report, Evidence())}


def related(*inputs: tuple[str, str, int, int]) -> list[Finding]:
    """Returns what is said of inputs with a name, a size, its smallest and its largest."""
    given = tuple(
        Binding(
            name=name,
            declared="float32",
            bound="float32",
            shape=(size, 4),
            profile=Profile(min=(low, 4), opt=(max(low, 6), 4), max=(high, 4)),
        )
        for name, size, low, high in inputs
    )
    engine = msgspec.structs.replace(canned.LATE.engines[0], inputs=given)
    return list(shapes(msgspec.structs.replace(canned.LATE, engines=(engine,))))


def test_minima_that_do_not_fit_each_other_are_a_note() -> None:
    (finding,) = related(("x", "s0", 1, 9), ("y", "2*s0", 4, 18))
    assert (finding.code, finding.level) == ("TD704", Level.NOTE)
    assert "the min of y is 4 for a size of 2*s0, which is 2 at" in finding.message
    assert "(s0 = 1)" in finding.message


def test_maxima_that_do_not_fit_each_other_are_a_note() -> None:
    (finding,) = related(("x", "s0", 2, 8192), ("y", "s0 + 1", 3, 12288))
    assert "the max of y is 12288 for a size of s0 + 1, which is 8193" in finding.message


@pytest.mark.parametrize(
    "size", ["2*s0", "s0 + 1", "s1", "s1*s0", "Max(1, s0)", "s0**2", "(", "s0//0"]
)
def test_bounds_that_fit_or_cannot_be_told_are_no_finding(size: str) -> None:
    bounds = {"2*s0": (6, 18), "s0 + 1": (4, 10)}.get(size, (5, 7))
    assert related(("x", "s0", 3, 9), ("y", size, *bounds)) == []


@pytest.mark.parametrize(
    ("size", "value"),
    [
        ("7", 7),
        ("2*s0 - 1", 5),
        ("(s0 + 1)//2", 2),
        ("-s0 % 4", 1),
        ("s9", None),
        ("f(1)", None),
    ],
)
def test_a_size_is_worked_out_where_it_is_arithmetic(size: str, value: int | None) -> None:
    assert size_at(size, {"s0": 3}) == value
