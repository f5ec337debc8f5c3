"""Every cure that is offered is applied again, by itself, and has to do what it says."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from corpus_bench import CORPUS

from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Cure, CureKind, Report
from trtdbg.worker.messages import Job

REPORTS = CORPUS / "reports"
CURED = (
    "floor_div_in_double",
    "index_add_dynamic",
    "nonzero_and_mask",
    "sort_dim_written_out",
)
TIMINGS = (Timing.UPSTREAM, Timing.LATE)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Returns a function that exports a case, from another folder if its source was edited."""

    def export(case: str, cases: Path = REPORTS) -> Path:
        folder = tmp_path_factory.mktemp("reports")
        subprocess.run(
            [sys.executable, str(CORPUS / "export.py"), str(folder), case],
            check=True,
            capture_output=True,
            env={**os.environ, "CASES": str(cases), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        return folder / f"{case}.pt2"

    return export


@pytest.fixture(scope="module")
def cured(exported: Callable[..., Path], torch_tensorrt_ready: None) -> Callable[..., Any]:
    """Returns a function that tries cures of a case, each case and timing once."""
    from trtdbg.session.session import Session

    kept: dict[tuple[str, Timing], Report] = {}
    models: dict[str, Path] = {}

    def cures(case: str, timing: Timing) -> Report:
        if (case, timing) not in kept:
            model = models.setdefault(case, exported(case))
            session = Session(Job(model=str(model), settings=Settings()), lambda _: None)
            kept[case, timing] = session.cures(TruncationPolicy(timing=timing), 300.0)
        return kept[case, timing]

    return cures


def offered(report: Report) -> list[Cure]:
    return [cure for cause in report.causes for cure in cause.cures]


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("case", CURED)
def test_only_the_kinds_of_cure_are_offered_that_are_right_for_the_case(
    cured: Callable[..., Any], case: str, timing: Timing
) -> None:
    expected = tomllib.loads((REPORTS / "manifest.toml").read_text())[case]
    report = cured(case, timing)
    found = offered(report)
    assert {cure.kind.value for cure in found} <= set(expected["cure"])
    assert all(cause.cures for cause in report.causes), "each cause was tried"
    text = " ".join(f"{cure.say} {cure.type}" for cure in found)
    assert not [word for word in expected["never"] if word in text]


@pytest.mark.parametrize("timing", TIMINGS)
def test_a_rewritten_line_in_the_source_brings_the_engines_that_are_promised(
    cured: Callable[..., Any], exported: Callable[..., Path], tmp_path: Path, timing: Timing
) -> None:
    from trtdbg.session.session import Session

    (cause, *_) = cured("sort_dim_written_out", timing).causes
    (cure,) = cause.cures
    assert cure.kind is CureKind.EDIT
    assert cure.line == "best, at = x.sort(dim=1)"
    assert cure.source is not None
    assert cure.source.line is not None
    lines = (REPORTS / "sort_dim_written_out.py").read_text().splitlines()
    assert cure.source.code is not None
    number = cure.source.line - 1
    lines[number] = lines[number].replace(cure.source.code, cure.line)
    lines[number + 1] = lines[number + 1].replace("argsort(dim=-1)", "argsort(dim=1)")
    (tmp_path / "sort_dim_written_out.py").write_text("\n".join(lines) + "\n")
    model = exported("sort_dim_written_out", tmp_path)
    session = Session(Job(model=str(model), settings=Settings()), lambda _: None)
    report = session.analyze(TruncationPolicy(timing=timing))
    assert len(report.engines) == cure.engines_after
    assert len(report.torch_ops) == cure.torch_ops_after == 0


def test_dividing_integers_is_offered_and_late_is_not_since_its_numbers_are_wrong(
    cured: Callable[..., Any],
) -> None:
    (cure,) = offered(cured("floor_div_in_double", Timing.UPSTREAM))
    assert cure.kind is CureKind.EDIT
    assert cure.numbers == 0.0
    assert "ids // 1048577" in str(cure.type)


def test_a_model_without_causes_has_no_cures(cured: Callable[..., Any]) -> None:
    assert offered(cured("floor_div_in_double", Timing.LATE)) == []
    assert msgspec.json.encode(cured("floor_div_in_double", Timing.LATE).causes) == b"[]"
