from __future__ import annotations

import msgspec
import pytest

from tests import canned
from trtdbg.analysis.headline import counts, headline, lines
from trtdbg.policy import Settings, Timing
from trtdbg.records import Counts, Headline, Report

replace = msgspec.structs.replace


def upstream(**numbers: object) -> Counts:
    made = {"engines": 2, "torch_ops": 1} | numbers
    return Counts(timing=Timing.UPSTREAM, settings=Settings.as_compiled(), **made)  # type: ignore[arg-type]


def late(**numbers: object) -> Counts:
    made = {"engines": 1, "torch_ops": 0} | numbers
    return Counts(timing=Timing.LATE, settings=Settings(), **made)  # type: ignore[arg-type]


def told(report: Report, compiled: Counts, better: Counts | None) -> str:
    made = Headline(compiled=compiled, here=counts(report), late=better)
    return headline(replace(report, headline=made))


def test_what_is_alike_today_and_here_is_said_once() -> None:
    assert told(canned.UPSTREAM, upstream(), late()) == (
        "today (upstream): 2 engines, 1 operator in PyTorch, 1 boundary cast; "
        "late: 1 engine holds every operator"
    )


def test_what_compile_makes_differs_by_settings_that_are_named() -> None:
    assert told(canned.UPSTREAM, upstream(engines=0, torch_ops=7), late()) == (
        "today (torch_tensorrt.compile): no engines, 7 operators in PyTorch; "
        "here (upstream, min_block_size 1, partitioner global, truncate_double): 2 engines, "
        "1 operator in PyTorch, 1 boundary cast; late: 1 engine holds every operator"
    )


def test_under_late_nothing_is_said_of_it_twice() -> None:
    assert told(canned.LATE, upstream(), None) == (
        "today (torch_tensorrt.compile): 2 engines, 1 operator in PyTorch; "
        "here (late, min_block_size 1, partitioner global): 1 engine holds every operator, "
        "1 boundary cast"
    )


@pytest.mark.parametrize(
    ("better", "words"),
    [
        (late(failed=1), "late: 1 engine, refused by TensorRT"),
        (
            late(engines=3, torch_ops=2, failed=1),
            "late: 3 engines, 1 of them refused by TensorRT, 2 operators in PyTorch",
        ),
        (
            late(engines=None, torch_ops=None, error="the partitioner failed"),
            "late: no engines: the partitioner failed",
        ),
    ],
)
def test_an_engine_that_tensorrt_refuses_holds_nothing(better: Counts, words: str) -> None:
    assert told(canned.UPSTREAM, upstream(), better).endswith(words)


def test_a_report_without_numbers_of_others_tells_its_own() -> None:
    failing = canned.built(canned.CLEAN, canned.FAILED)
    assert lines(failing) == ("1 engine, refused by TensorRT under late",)
    assert lines(canned.CLEAN) == ("1 engine holds every operator under late",)
