"""Small models after public reports: the cause, its place and its cures are the right ones."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus_bench import CORPUS

from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import CauseKind, CureKind, Report
from trtdbg.worker.messages import Job

REPORTS = CORPUS / "reports"
CASES = {
    "index_add_dynamic": {CauseKind.FLAVOUR},
    "item_unbounded": {CauseKind.NO_CONVERTER},
    "moe_grouped_mm": {
        CauseKind.VALIDATOR_CRASHED,
        CauseKind.PARTITION_FAILED,
        CauseKind.NO_CONVERTER,
        CauseKind.FLAVOUR,
    },
    "nonzero_and_mask": {CauseKind.FLAVOUR},
    "rank_nine": {CauseKind.TENSORRT_REFUSES},
    "sort_dim_written_out": {CauseKind.VALIDATOR_CRASHED, CauseKind.PARTITION_FAILED},
}
"""Cases with the kinds of all their causes, under timing upstream."""
OPERATORS = {
    "moe_grouped_mm": {
        "aten.sort.default",
        "aten._grouped_mm.default",
        "aten.histc.default",
        "aten.cumsum.default",
        "aten.index_put.default",
    },
    "nonzero_and_mask": {"aten.nonzero.default", "aten.index.Tensor"},
    "index_add_dynamic": {"aten.index_put.default"},
    "item_unbounded": {"aten._local_scalar_dense.default"},
}
LEAK = "half_times_float_gain"
TIMINGS = (Timing.UPSTREAM, Timing.LATE)

pytestmark = [
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory, torch_tensorrt_ready: None) -> Any:
    """Returns a function that gives the session and the report of a case, cures tried."""
    from trtdbg.session.session import Session

    sessions: dict[str, Session] = {}
    folder = tmp_path_factory.mktemp("reports")
    subprocess.run(
        [sys.executable, str(CORPUS / "export.py"), str(folder), *CASES, LEAK],
        check=True,
        capture_output=True,
        env={**os.environ, "CASES": str(REPORTS), "PYTHONDONTWRITEBYTECODE": "1"},
    )

    def report_of(case: str, timing: Timing) -> tuple[Session, Report]:
        if case not in sessions:
            job = Job(model=str(folder / f"{case}.pt2"), settings=Settings())
            sessions[case] = Session(job, lambda _: None)
        policy = TruncationPolicy(timing=timing)
        return sessions[case], sessions[case].cures(policy, 300.0)

    return report_of


def expected(case: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((REPORTS / "manifest.toml").read_text())[case]
    return found


def everything_said(report: Report, folder: Path) -> str:
    """Returns all that the outputs say about a report."""
    from trtdbg.analysis import checked
    from trtdbg.outputs import report_pages
    from trtdbg.outputs.ci import sarif

    result = checked.result(report, checked.check(report, select=(), ignore=()), frozenset())
    pages = [report_pages.markdown([report]), report_pages.page([report])]
    return "\n".join([*pages, sarif.render([result], folder, baseline=False)])


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("case", CASES)
def test_the_causes_are_the_right_ones_and_name_their_place(
    tried: Callable[..., Any], case: str, timing: Timing
) -> None:
    _, report = tried(case, timing)
    kinds = {cause.kind for cause in report.causes}
    whole = {CauseKind.PARTITION_FAILED} if timing is Timing.LATE else set()
    assert kinds == CASES[case] - whole
    found = {cause.target for cause in report.causes} - {None}
    assert OPERATORS.get(case, found) == found
    line = expected(case).get("line")
    codes = [source.code or "" for cause in report.causes for source in cause.sources]
    assert codes
    assert line is None or any(line in code for code in codes)


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("case", CASES)
def test_cures_are_of_the_right_kind_and_wrong_words_stand_nowhere(
    tried: Callable[..., Any], tmp_path: Path, case: str, timing: Timing
) -> None:
    _, report = tried(case, timing)
    right = expected(case)
    kinds = {cure.kind.value for cause in report.causes for cure in cause.cures}
    assert kinds <= set(right.get("cure", [kind.value for kind in CureKind]))
    assert all(cause.cures for cause in report.causes), "each was tried"
    said = everything_said(report, tmp_path)
    assert not [word for word in right.get("never", ()) if word in said]


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("case", CASES)
def test_a_policy_or_a_setting_that_is_offered_brings_what_it_says(
    tried: Callable[..., Any], case: str, timing: Timing
) -> None:
    session, report = tried(case, timing)
    for cure in (cure for cause in report.causes for cure in cause.cures):
        if cure.kind is CureKind.POLICY:
            after = session.analyze(cure.policy)
        elif cure.settings is not None:
            after = session.variant(settings=cure.settings).analyze(report.policy)
        else:
            continue
        if cure.kind is CureKind.NONE:
            assert "keeps it in PyTorch" in cure.say
            continue
        assert len(after.engines) == cure.engines_after
        assert len(after.torch_ops) == cure.torch_ops_after


@pytest.mark.parametrize("timing", TIMINGS)
def test_a_leak_is_found_on_its_line_with_a_cure_that_was_tried(
    tried: Callable[..., Any], tmp_path: Path, timing: Timing
) -> None:
    _, report = tried(LEAK, timing)
    found = [each for each in report.findings if each.code == "TD601"]
    assert [each.message.split(" is ")[0] for each in found] == [
        f"body.{i}.gain" for i in range(4)
    ]
    right = expected(LEAK)
    assert all(right["line"] in each.source.code for each in found)
    assert "12 with the other float32 values" in found[0].message
    assert "with 3 casts" in found[0].message
    (cure,) = found[0].cures
    assert cure.kind.value in right["cure"]
    assert "12 float32 operators become none, 3 casts become none" in cure.say
    assert not [word for word in right["never"] if word in everything_said(report, tmp_path)]
