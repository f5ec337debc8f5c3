"""Reports from the cache, from a warm worker and from a cold one are the same byte for byte.

Over all samples, the corpus and the public reports, under every kind of policy; on three
models under all combinations of timing and lists. What ran takes is left out.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

torch = pytest.importorskip("torch")

from corpus_bench import CORPUS, SAMPLES, read_manifest  # noqa: E402
from test_every_policy import MODELS, policies  # noqa: E402

from tests.unit.session.test_cached_reports import text, through_the_cache  # noqa: E402
from trtdbg.policy import (  # noqa: E402
    Precision,
    Settings,
    Timing,
    TruncationPolicy,
    VerdictSource,
)
from trtdbg.records import Report  # noqa: E402
from trtdbg.worker.messages import Access, Analyze, Job  # noqa: E402

pytestmark = [pytest.mark.deep, pytest.mark.usefixtures("torch_tensorrt_ready")]

REPORTS = CORPUS / "reports"
BOTH = ("float64", "int64")
POLICIES = (
    *(TruncationPolicy(timing=timing) for timing in Timing),
    *(
        TruncationPolicy(timing=timing, inputs=BOTH, constants=BOTH, computed=BOTH)
        for timing in (Timing.LATE, Timing.EARLY)
    ),
    TruncationPolicy(constants=(), computed=()),
    TruncationPolicy(verdicts=VerdictSource.TENSORRT),
    *(
        TruncationPolicy(timing=timing, precision=precision)
        for timing, precision in itertools.product(
            (Timing.LATE, Timing.EARLY, Timing.UPSTREAM), (Precision.FLOAT16,)
        )
    ),
    TruncationPolicy(precision=Precision.BFLOAT16),
)
SECONDS = 600


def _named(kind: str, names: Sequence[str]) -> list[tuple[str, str]]:
    return [(kind, name) for name in sorted(names)]


def _reports() -> list[str]:
    manifest = REPORTS / "manifest.toml"
    return list(tomllib.loads(manifest.read_text())) if manifest.is_file() else []


SUBJECTS = (
    *_named("samples", [path.stem for path in SAMPLES.glob("*.pt2")]),
    *_named("corpus", list(read_manifest())),
    *_named("reports", _reports()),
)


@pytest.fixture(scope="module")
def report_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the exported program of a public report."""
    folder = tmp_path_factory.mktemp("reports")
    environment = {**os.environ, "CASES": str(REPORTS), "PYTHONDONTWRITEBYTECODE": "1"}

    def model(case: str) -> Path:
        path = folder / f"{case}.pt2"
        if not path.exists():
            export = [sys.executable, str(CORPUS / "export.py"), str(folder), case]
            subprocess.run(export, check=True, capture_output=True, env=environment)
        return path

    return model


@pytest.fixture
def path_of(
    corpus_model: Callable[[str], Path], report_model: Callable[[str], Path]
) -> Callable[[str, str], Path]:
    """Returns the program of a subject."""

    def path(kind: str, name: str) -> Path:
        if kind == "samples":
            return SAMPLES / f"{name}.pt2"
        return corpus_model(name) if kind == "corpus" else report_model(name)

    return path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TRTDBG_ANALYSIS_CACHE_MIB", "1024")


def answers_of_a_worker(
    job: Job, policies: Sequence[TruncationPolicy]
) -> list[tuple[TruncationPolicy, Report]]:
    """Returns what one new worker process says: cold of the first, warm of the others."""
    from trtdbg.worker.client import Client

    with Client() as client:
        found = []
        for policy in policies:
            report = client.submit(Analyze(job=job, policy=policy)).result(SECONDS)
            assert isinstance(report, Report)
            found.append((policy, report))
        return found


def equal_in_all_three(
    job: Job, policies: Sequence[TruncationPolicy]
) -> dict[TruncationPolicy, bytes]:
    """Returns the reports of a job: a warm session, cold ones and the cache say the same."""
    from trtdbg.session.session import Session

    warm = Session(job, lambda _: None)
    said = {}
    for policy in policies:
        cold = Session(job, lambda _: None).analyze(policy, headline=True)
        expected = text(cold)
        assert text(warm.analyze(policy, headline=True)) == expected, policy.flags()
        assert text(through_the_cache(job, policy, cold)) == expected, policy.flags()
        said[policy] = without_log(cold)
    for policy in reversed(policies):
        again = warm.analyze(policy, headline=True)
        assert without_log(again) == said[policy], f"again {policy.flags()}"
    return said


def without_log(report: Report) -> bytes:
    """Returns a report without what importing torch_tensorrt printed: here pytest takes it."""
    environment = msgspec.structs.replace(report.environment, import_log=())
    return text(msgspec.structs.replace(report, environment=environment))


@pytest.mark.parametrize(
    ("kind", "name"), SUBJECTS, ids=[f"{kind}-{name}" for kind, name in SUBJECTS]
)
def test_a_cold_worker_a_warm_one_and_the_cache_say_the_same(
    kind: str, name: str, path_of: Callable[[str, str], Path]
) -> None:
    job = Job(model=str(path_of(kind, name)), settings=Settings(), probe_seconds=0.0)
    said = equal_in_all_three(job, POLICIES)
    script = CORPUS / "cases" / f"{name}.py"
    if kind == "corpus" and "custom_op" in script.read_text():
        # This process has the operator by now; another one imports the case.
        job = Job(
            model=job.model,
            settings=Settings(),
            probe_seconds=0.0,
            access=Access(imports=(str(script),)),
        )
    # Which policy is asked of the cold worker goes round with the subjects.
    first = SUBJECTS.index((kind, name)) % len(POLICIES)
    for policy, report in answers_of_a_worker(job, POLICIES[first:] + POLICIES[:first]):
        assert without_log(report) == said[policy], f"another process, {policy.flags()}"


@pytest.mark.skipif(not read_manifest(), reason=f"no corpus at {CORPUS}")
@pytest.mark.parametrize("timing", list(Timing))
@pytest.mark.parametrize("case", MODELS)
def test_so_it_is_under_every_list_of_dtypes(
    case: str, timing: Timing, corpus_model: Callable[[str], Path]
) -> None:
    job = Job(model=str(corpus_model(case)), settings=Settings(), probe_seconds=0.0)
    equal_in_all_three(job, list(policies(timing)))


@pytest.mark.parametrize("name", ["boundary_mixed", "attention_float64", "ids_float64_island"])
def test_what_tensorrt_was_asked_before_does_not_show(name: str, tmp_path: Path) -> None:
    # With questions: the first worker asks them, the second one finds its answers on disk.
    job = Job(model=str(SAMPLES / f"{name}.pt2"), settings=Settings())
    first, second = (answers_of_a_worker(job, POLICIES) for _ in range(2))
    for (policy, asked), (_, known) in zip(first, second, strict=True):
        assert text(asked) == text(known), policy.flags()
    assert list((tmp_path / "cache" / "trtdbg" / "probe").glob("*.msgpack"))
