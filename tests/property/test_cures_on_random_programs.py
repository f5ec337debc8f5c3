"""Every cure that is offered for a random program is applied, and does what it says."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

pytest.importorskip("hypothesis")
torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from programs import Line, Recipe, recipes  # noqa: E402

from tests.curing import check_cures, session_of  # noqa: E402
from tests.examples import unshrunk  # noqa: E402
from trtdbg.policy import Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import Cure  # noqa: E402

TIMINGS = st.sampled_from([Timing.UPSTREAM, Timing.UPSTREAM, Timing.LATE, Timing.OFF])


def check(recipe: Recipe, timing: Timing) -> None:
    """Tries cures for a program and checks each that is offered."""
    program = recipe.export()
    session = session_of(program, probe_seconds=0)
    report = session.cures(TruncationPolicy(timing=timing), 600.0)
    assert all(cause.cures for cause in report.causes), "each was tried"

    def rewritten(cure: Cure) -> Any:
        return with_line(recipe, cure).export()

    check_cures(session, report, rewritten)


def with_line(recipe: Recipe, cure: Cure) -> Recipe:
    """Returns a program with the line of a cure in place of the one it names."""
    assert cure.source is not None
    assert cure.source.line is not None
    place = cure.source.line - 2
    names, code = str(cure.line).split(" = ", 1)
    lines = list(recipe.lines)
    assert str(lines[place]) == cure.source.code
    lines[place] = Line(tuple(names.split(", ")), code)
    return dataclasses.replace(recipe, lines=tuple(lines))


@unshrunk(10)
@given(recipe=recipes(lines=4, outputs=2), timing=TIMINGS)
def test_every_cure_of_a_random_program_does_what_it_says(
    recipe: Recipe, timing: Timing
) -> None:
    check(recipe, timing)


@pytest.mark.deep
@unshrunk(200)
@given(recipe=recipes(), timing=TIMINGS)
def test_every_cure_of_many_random_programs_does_what_it_says(
    recipe: Recipe, timing: Timing
) -> None:
    check(recipe, timing)
