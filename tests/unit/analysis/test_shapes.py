"""What is said of the shapes that engines are built for."""

from __future__ import annotations

import msgspec
import pytest

from tests import canned
from trtdbg.analysis.findings import Evidence, find
from trtdbg.analysis.findings.shapes_7xx import shapes
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
