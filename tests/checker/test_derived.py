"""Reports agree with what plain torch and torch_tensorrt say of the same program."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trtdbg.policy import Settings, Timing, TruncationPolicy, VerdictSource
from trtdbg.worker.messages import Job

pytest.importorskip("hypothesis")
torch = pytest.importorskip("torch")

from derived import Derived, derive, problems  # noqa: E402
from hypothesis import given  # noqa: E402
from kinds import BUFFERS, KINDS  # noqa: E402

from tests.examples import unshrunk  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

TESTS = Path(__file__).parents[1]
SAMPLES = TESTS.parent / "samples"


def of_file(path: Path) -> Any:
    """Returns a module by its file: folders of tests are no packages."""
    known = sys.modules.get(path.stem)
    if known is not None and known.__file__ == str(path):
        return known
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


CORPUS = of_file(TESTS / "corpus" / "corpus_bench.py").CORPUS
recipes = of_file(TESTS / "property" / "programs.py").recipes

PROFILE = unshrunk(20)


def differences(path: Path) -> Iterator[str]:
    """Yields in what the reports of a program under late and upstream are wrong."""
    from trtdbg.session.session import Session

    job = Job(model=str(path), settings=Settings(), probe_seconds=0)
    session = Session(job, lambda event: None)
    for timing in (Timing.LATE, Timing.UPSTREAM):
        report = msgspec.to_builtins(session.analyze(TruncationPolicy(timing=timing)))
        upstream = timing is Timing.UPSTREAM
        for problem in problems(report, derive(str(path), upstream), upstream):
            yield f"{timing.value}: {problem}"


Exported = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Returns the exported program of a case of `cases` or of `reports`."""

    def model(folder: str, case: str) -> Path:
        out = tmp_path_factory.getbasetemp() / f"checked_{folder}"
        script = CORPUS / folder / f"{case}.py"
        if "custom_op" in script.read_text():
            of_file(script)
        subprocess.run(
            [sys.executable, str(CORPUS / "export.py"), str(out), case],
            check=True,
            capture_output=True,
            env={**os.environ, "CASES": folder, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        return out / f"{case}.pt2"

    return model


def cases(folder: str) -> list[str]:
    return sorted(path.stem for path in (CORPUS / folder).glob("*.py"))


@pytest.mark.parametrize("sample", sorted(path.stem for path in SAMPLES.glob("*.pt2")))
def test_reports_of_samples_are_what_torch_says(sample: str) -> None:
    assert list(differences(SAMPLES / f"{sample}.pt2")) == []


@pytest.mark.parametrize("case", cases("reports"))
def test_reports_of_public_bug_reports_are_what_torch_says(
    case: str, exported: Exported
) -> None:
    assert list(differences(exported("reports", case))) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("cases"))
def test_reports_of_the_corpus_are_what_torch_says(case: str, exported: Exported) -> None:
    assert list(differences(exported("cases", case))) == []


def check(recipe: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt2"
        torch.export.save(recipe.export(), path)
        assert list(differences(path)) == []


@PROFILE
@given(recipe=recipes())
def test_reports_of_random_programs_are_what_torch_says(recipe: Any) -> None:
    check(recipe)


@pytest.mark.deep
@unshrunk(300)
@given(recipe=recipes(lines=14))
def test_reports_of_300_random_programs_are_what_torch_says(recipe: Any) -> None:
    check(recipe)


USUAL = ("uint8", "int64", "float64", "complex64")
"""Dtypes of buffers that are tried each time."""


def kinds() -> Iterator[Any]:
    for kind in KINDS:
        rare = kind.split()[-1] in set(BUFFERS) - set(USUAL)
        yield pytest.param(kind, marks=[pytest.mark.slow] if rare else [])


@pytest.fixture(scope="module")
def of_kind(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the file of a program of a kind; each is exported once."""
    folder = tmp_path_factory.mktemp("kinds")

    def model(kind: str) -> Path:
        path = folder / f"{kind.replace(' ', '_')}.pt2"
        if not path.exists():
            torch.export.save(KINDS[kind](), path)
        return path

    return model


@pytest.mark.parametrize("kind", kinds())
def test_reports_of_every_kind_are_what_torch_says(
    kind: str, of_kind: Callable[[str], Path]
) -> None:
    assert list(differences(of_kind(kind))) == []


@pytest.mark.parametrize("kind", kinds())
def test_asking_tensorrt_ends_and_leaves_no_engine_that_fails(
    kind: str, of_kind: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trtdbg.session.session import Session
    from trtdbg.session.steps import Steps

    rounds: list[int] = []
    asked = Steps._partition

    def partition(self: Any, *args: Any) -> Any:
        rounds.append(1)
        return asked(self, *args)

    monkeypatch.setattr(Steps, "_partition", partition)
    job = Job(model=str(of_kind(kind)), settings=Settings(), probe_seconds=60)
    policy = TruncationPolicy(timing=Timing.LATE, verdicts=VerdictSource.TENSORRT)
    report = Session(job, lambda event: None).analyze(policy)
    assert len(rounds) <= 1 + len(report.nodes), "each round refuses one node more"
    assert [e.build.error for e in report.engines if e.build.error is not None] == []


# The checker itself must notice.


@pytest.fixture(scope="module")
def sound() -> tuple[dict[str, Any], Derived]:
    from trtdbg.session.session import Session

    path = SAMPLES / "boundary_mixed.pt2"
    job = Job(model=str(path), settings=Settings(), probe_seconds=0)
    report = Session(job, lambda event: None).analyze(TruncationPolicy(timing=Timing.LATE))
    return msgspec.to_builtins(report), derive(str(path), upstream=False)


def edited(report: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Returns a report whose first operator has other values in its row."""
    rows = [dict(row) for row in report["nodes"]]
    first = next(row for row in rows if row["op"] == "call_function" and row["inferred"])
    first.update(changes)
    return {**report, "nodes": rows}


@pytest.mark.parametrize(
    "change",
    [
        {"inferred": "int8"},
        {"recorded": "int8"},
        {"truncated": "int8"},
        {"verdict": "crashed"},
        {"op": "get_attr"},
    ],
    ids=str,
)
def test_a_false_row_is_noticed(sound: Any, change: dict[str, str]) -> None:
    report, found = sound
    assert list(problems(report, found, upstream=False)) == []
    assert list(problems(edited(report, **change), found, upstream=False))


def test_a_false_engine_and_a_false_cast_are_noticed(sound: Any) -> None:
    report, found = sound
    assert report["engines"]
    assert report["boundary_casts"]
    fewer = {**report, "engines": report["engines"][1:]}
    assert any(p.startswith("engines") for p in problems(fewer, found, upstream=False))
    fewer = {**report, "boundary_casts": report["boundary_casts"][1:]}
    assert any(p.startswith("casts") for p in problems(fewer, found, upstream=False))


def test_what_is_compared_with_shares_no_code() -> None:
    text = Path(__file__).with_name("derived.py").read_text()
    assert "import trtdbg" not in text
    assert "from trtdbg" not in text
