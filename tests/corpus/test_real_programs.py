"""Public reports whose sizes and bounds were told wrongly, and others of their kind."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus_bench import CORPUS, import_file

from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import CauseKind, Report
from trtdbg.worker.messages import Job

torch = pytest.importorskip("torch")

Dim = torch.export.Dim

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

REPORTS = CORPUS / "reports"
needs_reports = pytest.mark.skipif(not REPORTS.is_dir(), reason=f"no cases at {REPORTS}")
OWNER = "Every real program"
TESTED = {
    "floor_div_in_double": (
        "test_true_numbers.py",
        "test_a_division_that_needs_float64_is_never_called_needless",
    ),
    "half_layernorm_overflow": (
        "test_true_numbers.py",
        "test_a_program_that_overflows_by_itself_agrees_with_nothing",
    ),
    "item_unbounded": (
        "test_real_programs.py",
        "test_a_number_without_bounds_is_found_with_its_cure",
    ),
    "rope_dynamic": ("test_real_programs.py", "test_a_derived_size_of_a_file_is_one_engine"),
}
"""Each case of the reports that is told truly since then, and the test that says so."""
TIMINGS = (Timing.UPSTREAM, Timing.LATE)


@needs_reports
def test_each_case_has_its_test() -> None:
    manifest = tomllib.loads((REPORTS / "manifest.toml").read_text(encoding="utf-8"))
    owned = {name for name, case in manifest.items() if case["owner"] == OWNER}
    assert owned == set(TESTED)
    for file, test in TESTED.values():
        assert f"def {test}(" in Path(__file__).with_name(file).read_text(encoding="utf-8")


def saved(folder: Path, model: Any, args: Any, shapes: Any, kwargs: Any = None) -> Any:
    """Returns a session of a model that went through a file."""
    from trtdbg.session.session import Session

    path = folder / "model.pt2"
    with torch.no_grad():
        program = torch.export.export(model.eval(), args, kwargs, dynamic_shapes=shapes)
    torch.export.save(program, path)
    job = Job(model=str(path), settings=Settings(), probe_seconds=0)
    return Session(job, lambda event: None)


def case(folder: Path, name: str) -> Any:
    sys.dont_write_bytecode = True
    return saved(folder, *import_file(REPORTS / f"{name}.py").make())


def module(forward: Callable[..., Any], **layers: Any) -> Any:
    made = type("Model", (torch.nn.Module,), {"forward": forward})()
    for name, layer in layers.items():
        made.add_module(name, layer)
    return made


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


# Derived sizes: a loaded file has expressions as keys of the ranges of its sizes.


def one_engine(session: Any) -> None:
    for timing in TIMINGS:
        report = session.analyze(TruncationPolicy(timing=timing))
        assert [p.error for p in report.passes if p.error] == []
        assert len(report.engines) == 1
        assert report.causes == ()
        assert not codes(report) & {"TD501", "TD502"}


@needs_reports
def test_a_derived_size_of_a_file_is_one_engine(tmp_path: Path) -> None:
    one_engine(case(tmp_path, "rope_dynamic"))


def _strided() -> Any:
    def forward(self: Any, x: Any) -> Any:
        return self.up(torch.relu(self.down(x))) + x

    down, up = torch.nn.Conv1d(3, 4, 2, 2), torch.nn.ConvTranspose1d(4, 3, 2, 2)
    shapes = {"x": {2: 2 * Dim("half", min=3, max=9)}}
    return module(forward, down=down, up=up), (torch.randn(1, 3, 10),), shapes


def _folded() -> Any:
    def forward(self: Any, x: Any) -> Any:
        return self.mix(x.reshape(x.shape[0], -1, 8)).mean(1)

    shapes = {"x": {1: 4 * Dim("quarter", min=2, max=9)}}
    return module(forward, mix=torch.nn.Linear(8, 4)), (torch.randn(2, 12, 2),), shapes


def _joined() -> Any:
    def forward(self: Any, x: Any, y: Any) -> Any:
        return torch.relu(torch.cat([x, x], 0) + y)

    n = Dim("n", min=3, max=9)
    return module(forward), (torch.randn(5, 4), torch.randn(10, 4)), ({0: n}, {0: 2 * n})


def _next() -> Any:
    def forward(self: Any, x: Any, y: Any) -> Any:
        return torch.relu(x[1:] * y)

    n = Dim("n", min=3, max=9)
    return module(forward), (torch.randn(6, 4), torch.randn(5, 4)), ({0: n + 1}, {0: n})


@pytest.mark.slow
@pytest.mark.parametrize("make", [_strided, _folded, _joined, _next])
def test_other_derived_sizes_are_one_engine_too(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    one_engine(saved(tmp_path, *make()))


# Numbers without bounds: the engine is built for empty tensors.


@needs_reports
@pytest.mark.parametrize(
    "timing", [pytest.param(Timing.UPSTREAM, marks=pytest.mark.slow), Timing.LATE]
)
def test_a_number_without_bounds_is_found_with_its_cure(
    timing: Timing, tmp_path: Path
) -> None:
    report = case(tmp_path, "item_unbounded").analyze(TruncationPolicy(timing=timing))
    assert CauseKind.NO_CONVERTER in {cause.kind for cause in report.causes}
    (finding,) = [f for f in report.findings if f.code == "TD701"]
    assert "empty tensors only" in finding.message
    assert finding.engine is not None


def _ranged(self: Any, x: Any, n: Any) -> Any:
    return x * torch.sin(torch.arange(0, bounded(self, n.item())).float()).sum()


def _filled(self: Any, x: Any, n: Any) -> Any:
    return torch.relu(torch.ones(bounded(self, n.item()), 4) * 2).sum(0) + x


def _spread(self: Any, x: Any, n: Any) -> Any:
    rows = x[None, :].expand(bounded(self, n.item()), 4)
    return torch.special.i0(torch.relu(rows * 2)).tanh()


def bounded(self: Any, size: Any) -> Any:
    if self.checks:
        torch._check(size >= 1)
        torch._check(size <= 4096)
    return size


@pytest.mark.slow
@pytest.mark.parametrize("forward", [_ranged, _filled, _spread])
def test_both_bounds_are_the_cure_of_td701(
    forward: Callable[..., Any], tmp_path: Path
) -> None:
    found = []
    for checks in (False, True):
        model = module(forward)
        model.checks = checks
        session = saved(tmp_path, model, (torch.randn(4), torch.tensor(3)), None)
        found.append("TD701" in codes(session.analyze(TruncationPolicy())))
    assert found == [True, False]
