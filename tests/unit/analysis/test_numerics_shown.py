from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from tests import canned
from trtdbg.analysis import numerics
from trtdbg.analysis.findings import Evidence, find
from trtdbg.outputs import pages, report, tables
from trtdbg.records import (
    Agreement,
    Finding,
    Level,
    NodeError,
    NodeRecord,
    Numerics,
    Report,
)


def within(name: str, error: float = 0.0) -> NodeError:
    return NodeError(
        name=name,
        agreement=Agreement.WITHIN,
        original="float64",
        computed="float32",
        max_abs_error=error,
        max_rel_error=error,
        elements=4,
    )


def beyond(name: str, **counts: int) -> NodeError:
    return msgspec.structs.replace(
        within(name, 0.5), agreement=Agreement.BEYOND, beyond=2, **counts
    )


def chain(*rows: NodeError, outputs: tuple[NodeError, ...] = ()) -> Report:
    """Returns a report whose nodes read each other in a row."""
    first = next((row.name for row in rows if row.agreement is Agreement.BEYOND), None)
    nodes = tuple(
        NodeRecord(
            name=row.name,
            op="call_function",
            target="aten.add.Tensor",
            operands=(rows[i - 1].name,) if i else (),
        )
        for i, row in enumerate(rows)
    )
    measured = Numerics(
        inputs="example inputs",
        seed=0,
        atol=1e-5,
        rtol=1e-4,
        outputs=outputs,
        nodes=rows,
        first_beyond=first,
    )
    return msgspec.structs.replace(canned.LATE, nodes=nodes, constants=(), numerics=measured)


def found(made: Report) -> list[tuple[str, str | None]]:
    return [(f.code, f.node) for f in find(made, Evidence()) if f.code in ("TD401", "TD402")]


def text(made: Report, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    title, body = tables.numerics(made)
    assert body is not None
    console.print(title)
    console.print(body)
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def test_the_first_node_beyond_the_tolerance_is_a_finding_and_the_next_are_not() -> None:
    made = chain(within("a"), beyond("b"), beyond("c"))
    assert found(made) == [("TD402", "b")]
    (damage,) = numerics.damages(made)
    assert damage.message == (
        "b (aten.add.Tensor): 2 of 4 values are the first to differ by more than the "
        "tolerance (largest error 5.0e-01, 50.0% of the original), seen on example inputs"
    )


def test_each_place_where_values_begin_to_overflow_or_wrap_is_a_finding() -> None:
    made = chain(
        beyond("a"),
        beyond("b", overflowed=1, inf_mismatches=1),
        beyond("c", overflowed=1, inf_mismatches=1),
        within("d"),
        beyond("e", wrapped=3),
        beyond("f", wrapped=3),
    )
    assert found(made) == [("TD401", "e"), ("TD402", "a"), ("TD402", "b")]


@pytest.mark.parametrize("code", ["TD402", "TD403"])
def test_what_the_analysis_alone_says_of_a_node_is_not_said_again(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Finding(code=code, level=Level.WARNING, node="b", message="known")
    monkeypatch.setattr("trtdbg.analysis.findings.numbers_4xx.scalars", lambda *_: [known])
    made = chain(within("a"), beyond("b"))
    assert [f for f in find(made, Evidence()) if f.node == "b"] == [known]


def test_an_analysis_that_was_not_measured_has_no_such_findings_and_no_section() -> None:
    assert list(numerics.damages(canned.LATE)) == []
    assert tables.numerics(canned.LATE)[1] is None


def test_the_section_says_verdicts_tolerance_the_first_node_and_the_worst_ones() -> None:
    made = chain(
        within("a", 1e-9),
        beyond("b"),
        beyond("c", overflowed=1, inf_mismatches=1),
        outputs=(within("y"), beyond("z")),
    )
    shown = text(made, 110)
    assert "on example inputs, in PyTorch on the CPU; tolerance 1e-05 + 0.0001" in shown
    assert "outputs: 1 of 2 within the tolerance, 1 of 2 beyond it" in shown
    assert "The first node beyond the tolerance is b: largest error 5.0e-01" in shown
    rows = [line.split() for line in shown.splitlines()]
    worst = [row for row in rows if row and row[0] in ("a", "b", "c")]
    assert [row[0] for row in worst] == ["c", "b", "a"], "the most damaged first"
    assert worst[0][4] == "inf"
    assert worst[1][3:] == ["beyond", "5.0e-01", "50.0%", "2/4", "-"]


def test_a_node_that_was_not_run_plainly_is_listed_with_the_reason() -> None:
    odd = NodeError(
        name="b", agreement=Agreement.NOT_COMPARED, note="IndexError: out of range"
    )
    assert "b: IndexError: out of range" in text(chain(within("a"), odd, outputs=(odd,)))


def test_nothing_to_measure_is_said_and_not_shown_as_zero_of_zero() -> None:
    empty = Numerics(
        inputs="example inputs", seed=0, atol=0, rtol=0, note="not measured: it crashed"
    )
    made = msgspec.structs.replace(canned.LATE, numerics=empty)
    assert "not measured: it crashed" in text(made)
    assert numerics.headline(empty) == "not measured: it crashed"


def test_nothing_truncated_is_said_beside_the_zero_error() -> None:
    made = Numerics(
        inputs="i", seed=0, atol=0, rtol=0, note="nothing is truncated", outputs=(within("y"),)
    )
    assert numerics.headline(made) == (
        "output: 1 of 1 within the tolerance; nothing is truncated"
    )


@pytest.mark.parametrize("width", [80, 120])
def test_the_whole_report_fits_the_terminal(width: int) -> None:
    made = chain(within("a"), beyond("b"), outputs=(beyond("z"),))
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    console.print(pages.report(made))
    stream = console.file
    assert isinstance(stream, io.StringIO)
    assert max(map(len, stream.getvalue().splitlines())) <= width
    assert "Numerics (on example inputs" in stream.getvalue()


def test_numerics_survive_the_saved_report() -> None:
    made = chain(within("a"), beyond("b"), outputs=(beyond("z"),))
    assert report.decode(report.encode([made]), "made.json") == made


def test_what_follows_from_one_operator_that_cannot_run_is_one_line() -> None:
    rows = [
        NodeError(name=f"n{at}", agreement=Agreement.NOT_COMPARED, note="n0: no kernel")
        for at in range(5)
    ]
    other = NodeError(name="z", agreement=Agreement.WITHIN, note="run on float64")
    measured = Numerics(inputs="i", seed=0, atol=0, rtol=0, nodes=(*rows, other, within("y")))
    assert numerics.unusual_lines(measured) == [
        "n0, n1, n2 and 2 more: n0: no kernel",
        "z: run on float64",
    ]
