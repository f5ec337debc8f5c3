"""`trtdbg check` through the real worker: control cases are clean, defects fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus_bench import SAMPLES

from trtdbg import cli

CONTROL = (
    "embedding_int64",
    "bool_mask_inputs",
    "complex_rope",
    "grid_coords_long",
    "sdpa_int_mask",
)
"""Cases with nothing wrong."""

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Runs the command with its own worker; returns exit code and findings."""
    code = cli.main(["check", "--format", "json", *arguments])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("verdicts", ["validators", "tensorrt"])
def test_control_cases_have_no_finding_at_warning_or_above(
    verdicts: str, corpus_model: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    models = [str(corpus_model(case)) for case in CONTROL]
    code, results = check(capsys, *models, "--timing", "late", "--verdicts", verdicts)
    alarms = {
        result["model"]["path"]: result["findings"]
        for result in results
        if any(finding["level"] != "note" for finding in result["findings"])
    }
    assert alarms == {}
    assert len(results) == len(models)
    assert code == 0


def test_a_false_accept_fails_and_a_baseline_of_it_does_not(
    corpus_model: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, baseline = str(corpus_model("bool_times_bool")), str(tmp_path / "baseline.json")
    code, result = check(capsys, model)
    assert code == 1
    (finding,) = [each for each in result["findings"] if each["code"] == "TD102"]
    assert finding["source"]["file"].endswith("bool_times_bool.py")
    assert finding["source"]["code"]
    assert check(capsys, model, "--write-baseline", baseline)[0] == 0
    code, result = check(capsys, model, "--baseline", baseline)
    assert (code, result["findings"]) == (0, [])
    assert [each["code"] for each in result["known"]] == ["TD102"]


def test_timing_upstream_with_tensorrts_verdicts_is_wrong_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = str(SAMPLES / "ids_float64_island.pt2")
    arguments = ("--timing", "upstream", "--verdicts", "tensorrt")
    assert cli.main(["report", model, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "use --verdicts validators, or another --timing" in err
