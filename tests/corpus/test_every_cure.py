"""Every cure offered on the corpus and the samples is applied and does what it says.

And every operator outside an engine has one cause and one sentence there, under every timing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus_bench import CORPUS, SAMPLES, import_file, read_manifest

from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Cure
from trtdbg.worker.messages import Job

REPORTS = sorted(path.stem for path in (CORPUS / "reports").glob("*.py"))
CASES = sorted(read_manifest())
NAMES = sorted(path.stem for path in SAMPLES.glob("*.pt2"))
TIMINGS = (Timing.UPSTREAM, Timing.LATE)

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

in_corpus = pytest.mark.skipif(not read_manifest(), reason=f"no corpus at {CORPUS}")


def check(model: Path, timing: Timing, source: Path | None = None) -> int:
    """Tries cures for a model and checks each; returns how many were offered."""
    from tests.curing import check_cures
    from tests.sentences import check_sentences
    from trtdbg.session.session import Session

    session = Session(Job(model=str(model), settings=Settings()), lambda event: None)
    report = session.cures(TruncationPolicy(timing=timing), 900.0)
    assert all(cause.cures for cause in report.causes), "each cause was tried"
    check_sentences(report)
    if timing is Timing.LATE:
        for other in (Timing.OFF, Timing.EARLY):
            check_sentences(session.analyze(TruncationPolicy(timing=other)))

    def rewritten(cure: Cure) -> Any:
        return exported_with(source, cure, model.parent) if source is not None else None

    return check_cures(session, report, rewritten)


def exported_with(source: Path, cure: Cure, folder: Path) -> Any:
    """Returns the program of a case whose source has the line of a cure.

    None where more lines than the one are edited, which a cure names and does not write.
    """
    import torch

    assert cure.source is not None
    assert cure.source.line is not None
    if " in the same way" in str(cure.type):
        return None
    lines = source.read_text().splitlines()
    place = cure.source.line - 1
    assert str(cure.source.code) in lines[place]
    lines[place] = lines[place].replace(str(cure.source.code), str(cure.line))
    edited = folder / f"edited_{source.stem}.py"
    edited.write_text("\n".join(lines) + "\n")
    spec = importlib.util.spec_from_file_location(edited.stem, edited)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model, args, shapes = module.make()
    with torch.no_grad():
        return torch.export.export(model, args, dynamic_shapes=shapes)


@pytest.fixture(scope="session")
def report_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the exported program of a case after a public report."""
    import torch

    folder = tmp_path_factory.mktemp("reports")

    def model(case: str) -> Path:
        path = folder / f"{case}.pt2"
        if not path.exists():
            made, args, shapes = import_file(CORPUS / "reports" / f"{case}.py").make()
            with torch.no_grad():
                torch.export.save(torch.export.export(made, args, dynamic_shapes=shapes), path)
        return path

    return model


def test_every_cure_of_a_small_sample_does_what_it_says() -> None:
    assert check(SAMPLES / "ids_float64_island.pt2", Timing.UPSTREAM) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("name", NAMES)
def test_every_cure_of_a_sample_does_what_it_says(name: str, timing: Timing) -> None:
    check(SAMPLES / f"{name}.pt2", timing)


@in_corpus
@pytest.mark.slow
@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("case", CASES)
def test_every_cure_of_the_corpus_does_what_it_says(
    case: str, timing: Timing, corpus_model: Callable[[str], Path]
) -> None:
    check(corpus_model(case), timing, CORPUS / "cases" / f"{case}.py")


@pytest.mark.slow
@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("case", REPORTS)
def test_every_cure_of_a_public_report_does_what_it_says(
    case: str, timing: Timing, report_model: Callable[[str], Path]
) -> None:
    check(report_model(case), timing, CORPUS / "reports" / f"{case}.py")
