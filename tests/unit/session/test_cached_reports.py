"""A report from the cache, from a warm worker and from a cold one are the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")

from tests.unit.session.test_report_digests import (  # noqa: E402
    NAMES,
    POLICIES,
    SAMPLES,
    timeless,
)
from trtdbg.outputs.report import encode  # noqa: E402
from trtdbg.policy import Settings, TruncationPolicy  # noqa: E402
from trtdbg.records import Report  # noqa: E402
from trtdbg.worker.messages import Analyze, Job  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

ROOT = Path(__file__).parents[3]
FEW = ("boundary_mixed", "ids_float64_island")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TRTDBG_ANALYSIS_CACHE_MIB", "64")


def text(report: Report) -> bytes:
    """Returns a report as it is saved, without what something took."""
    return msgspec.json.encode(timeless(msgspec.json.decode(encode([report]))))


def through_the_cache(job: Job, policy: TruncationPolicy, report: Report) -> Report:
    """Returns a report as the cache gives it back, wherever the file is then."""
    from trtdbg.cache import analyses
    from trtdbg.cache.keys import key_of

    said: list[str] = []
    key = key_of(Analyze(job=job, policy=policy))
    assert key is not None
    analyses.keep(key, report, (), 0)
    found = analyses.find(key, said.append)
    assert not said
    assert found is not None
    assert encode([found.report]) == encode([report]), "with what it took, too"
    return found.report


@pytest.mark.parametrize(
    "sample",
    [n if n in FEW else pytest.param(n, marks=pytest.mark.slow) for n in NAMES],
)
def test_cold_warm_and_kept_reports_are_equal_byte_for_byte(sample: str) -> None:
    from trtdbg.session.session import Session

    job = Job(model=str(SAMPLES / f"{sample}.pt2"), settings=Settings(), probe_seconds=0.0)
    warm = Session(job, lambda _: None)
    for policy in POLICIES.values():
        cold = Session(job, lambda _: None).analyze(policy)
        kept = through_the_cache(job, policy, cold)
        assert text(warm.analyze(policy)) == text(cold) == text(kept)
    for policy in POLICIES.values():
        again = warm.analyze(policy)
        assert text(again) == text(through_the_cache(job, policy, again))


def trtdbg(*arguments: str) -> Any:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "ui")])
    return subprocess.run(
        [sys.executable, "-m", "trtdbg", *arguments],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_the_second_command_says_the_same_and_starts_no_worker(tmp_path: Path) -> None:
    model = str(tmp_path / "model.pt2")
    shutil.copy(SAMPLES / "boundary_mixed.pt2", model)
    first = trtdbg("report", model, "--json", str(tmp_path / "first.json"))
    assert first.returncode == 0, first.stderr
    assert "cache" not in first.stderr
    blind = str(tmp_path / "blind")
    Path(blind).mkdir()
    Path(blind, "sitecustomize.py").write_text(
        "import sys\nclass No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        assert name != 'torch' and not name.endswith('session.server'), name\n"
        "sys.meta_path.insert(0, No())\n"
    )
    second = trtdbg("report", model, "--json", str(tmp_path / "second.json"))
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    saved = [(tmp_path / f"{name}.json").read_bytes() for name in ("first", "second")]
    assert saved[0] == saved[1]
    assert second.stderr.count("\n") == 2, second.stderr
    assert "from the cache, analysed" in second.stderr
    for command in (("check", model), ("diff", model, "--from", "0", "-o", "-")):
        done = trtdbg(*command)
        assert "from the cache" in done.stderr, done.stderr
    other = str(SAMPLES / "ids_float64_island.pt2")
    third = str(tmp_path / "third.json")
    anew = trtdbg("report", other, model, "--no-cache", "--json", third)
    assert "from the cache" not in anew.stderr
    assert anew.returncode == 0
    # The worker was warm of another model then, and TensorRT's answers were known.
    _, warm = msgspec.json.decode(Path(third).read_bytes())
    cold = msgspec.json.decode(saved[0])
    assert msgspec.json.encode(timeless(warm)) == msgspec.json.encode(timeless(cold))
