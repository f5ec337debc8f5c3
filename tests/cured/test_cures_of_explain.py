"""Each cure that `trtdbg explain` names, applied to a case of its kind."""

from __future__ import annotations

import ast
import contextlib
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from rows import ROWS, UPSTREAM, Row, Way  # noqa: E402

import trtdbg  # noqa: E402
from tests.lowering import session  # noqa: E402
from tests.staging import module  # noqa: E402
from trtdbg.analysis.catalogue import CATALOGUE  # noqa: E402
from trtdbg.analysis.codes import Code  # noqa: E402
from trtdbg.analysis.levels import by_severity  # noqa: E402
from trtdbg.outputs.repro import reproducer  # noqa: E402
from trtdbg.policy import Settings  # noqa: E402
from trtdbg.recordings import folder  # noqa: E402
from trtdbg.records import Level, Report  # noqa: E402
from trtdbg.worker import trial  # noqa: E402
from trtdbg.worker.messages import Job  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

TESTS = Path(__file__).parents[1]
ELSEWHERE = {
    "corpus/test_true_numbers.py": {
        "TD401": ("test_the_cure_of_td401_keeps_int64",),
        "TD402": (
            "test_the_cure_of_td402_by_name_agrees",
            "test_the_cure_of_td402_in_the_constant_agrees",
        ),
        "TD403": ("test_the_cure_of_td403_makes_the_promotion_explicit",),
        "TD404": ("test_the_cures_of_td404",),
        "TD405": (
            "test_the_cure_of_td405_in_integers_agrees",
            "test_the_cure_of_td405_in_pytorch_needs_all_the_operators_named",
        ),
    },
    "cured/test_cures_of_explain.py": {
        "TD106": (
            "test_a_registered_converter_is_the_cure_of_td106",
            "test_an_operator_without_a_converter_is_written_as_a_script_that_runs",
        ),
        "TD109": ("test_the_cures_of_td109",),
        "TD304": ("test_an_export_is_the_cure_of_td304",),
    },
    "unit/session/test_lost_writes.py": {
        "TD406": ("test_the_cure_of_td406_returns_the_state",),
    },
    "unit/session/test_quantised.py": {
        "TD605": ("test_what_modelopt_quantises_is_built_with_its_layers",),
    },
    "unit/session/test_profiles_told.py": {
        "TD702": ("test_the_cure_of_td701_td702_and_td703_is_both_bounds",),
        "TD703": ("test_the_cure_of_td701_td702_and_td703_is_both_bounds",),
        "TD704": ("test_the_cure_of_td704_is_another_lower_bound",),
    },
    "corpus/test_smallest_part.py": {
        "TD501": ("test_a_pass_that_raises_is_cut_down_to_the_operator_it_raises_on",),
        "TD503": ("test_the_part_runs_alone_and_prints_tensorrts_sentence",),
    },
}
"""Tests of their own for cures that ask for more than an analysis before and after."""
UNTRIED = {
    "TD107": "Install `torch-tensorrt` in place of `torch-tensorrt-rtx`",
    "TD301": "cast the output yourself",
    "TD604": "Cast the output where it is used",
}
"""What no analysis of this machine can try: another build, and what a caller does after."""


def way(made: Way) -> Report:
    """Returns the report of a model, analysed as a way says."""
    with pytest.MonkeyPatch.context() as patch:
        if made.lowering is not None:
            patch.setattr(passes(), "passes", [*passes().passes, made.lowering])
        return analysed(made)


def passes() -> Any:
    """Returns torch_tensorrt's manager of the passes that come last."""
    from torch_tensorrt.dynamo.lowering.passes import _aten_lowering_pass

    return _aten_lowering_pass.ATEN_POST_LOWERING_PASSES


def analysed(made: Way) -> Report:
    under = session(
        module(made.forward, **made.buffers),
        *made.args,
        settings=made.settings,
        dynamic_shapes=made.shapes,
        probe=made.probe,
    )
    report: Report = getattr(under, made.ask)(made.policy)
    return report


def level(report: Report, code: str) -> Level | None:
    """Returns the worst level that a code has in a report; None if it has no finding of it."""
    found = [f.level for f in report.findings if f.code == code]
    return min(found, key=by_severity) if found else None


CHEAP = ("TD103", "TD501")
"""Codes whose first cure is tried in each run."""


def cheap(row: Row) -> bool:
    return row.code in CHEAP and row is next(each for each in ROWS if each.code == row.code)


def rows() -> Iterator[Any]:
    for row in ROWS:
        marks = [] if cheap(row) else [pytest.mark.slow]
        yield pytest.param(row, id=f"{row.code}: {row.words}", marks=marks)


@pytest.mark.parametrize("row", rows())
def test_the_cure_takes_the_finding_away(row: Row) -> None:
    code = row.gone or row.code
    before, after = level(way(row.before), code), level(way(row.after), code)
    assert before is not None, f"the case shows no {code}"
    assert after is None or by_severity(after) > by_severity(before), after


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.code}: {row.words}")
def test_the_words_are_those_of_explain(row: Row) -> None:
    assert row.words in CATALOGUE[row.code].cure


@pytest.mark.parametrize("code", UNTRIED)
def test_what_is_untried_stands_in_explain(code: str) -> None:
    assert UNTRIED[code] in CATALOGUE[code].cure


@contextlib.contextmanager
def converter_of(target: Any, **options: Any) -> Iterator[None]:
    """Registers a converter that hands on the first operand, and takes it back."""
    from torch_tensorrt.dynamo.conversion import dynamo_tensorrt_converter
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_ATEN_CONVERTERS

    before = list(DYNAMO_ATEN_CONVERTERS.get(target, ()))

    @dynamo_tensorrt_converter(target, supports_dynamic_shapes=True, **options)
    def identity(ctx: Any, target: Any, args: Any, kwargs: Any, name: str) -> Any:
        return ctx.net.add_identity(args[0]).get_output(0)

    try:
        yield
    finally:
        DYNAMO_ATEN_CONVERTERS[target] = before
        if not before:
            del DYNAMO_ATEN_CONVERTERS[target]


def _bessel(self: Any, x: Any) -> Any:
    return torch.special.i0(torch.relu(x)) * 2


@pytest.mark.slow
def test_a_registered_converter_is_the_cure_of_td106() -> None:
    made = Way(_bessel, (torch.ones(3),))
    assert level(way(made), "TD106") is Level.WARNING
    with converter_of(torch.ops.aten.i0.default):
        report = way(made)
    assert level(report, "TD106") is None
    assert len(report.engines) == 1


@pytest.mark.slow
def test_an_operator_without_a_converter_is_written_as_a_script_that_runs() -> None:
    under = session(module(_bessel), torch.ones(3))
    report = under.reproduce(UPSTREAM, ("i0",), ())
    (recipe,) = report.recipes
    assert recipe.code == "TD106"
    text = reproducer.script(report, recipe, "x.py")
    assert text.startswith("# aten.i0.default: there is no converter for it.")
    ended = trial.run("x.py", text)
    assert ended.reproduced, ended.why_not
    assert under.reproduce(UPSTREAM, (), ()).recipes == ()


@pytest.mark.slow
def test_the_cures_of_td109() -> None:
    def picked(self: Any, x: Any) -> Any:
        return torch.relu(x)[x > 0] * 2

    def masked(self: Any, x: Any) -> Any:
        return torch.relu(x) * (x > 0) * 2

    made = Way(picked, (torch.ones(3),), settings=Settings(fallback_data_dependent_ops=True))
    # TensorRT-RTX lacks what needs an output allocator, so that its own says no before.
    with converter_of(torch.ops.aten.index.Tensor, requires_output_allocator=True):
        assert level(way(made), "TD109") is Level.NOTE
        assert level(way(made.but(settings=Settings())), "TD109") is None
        assert level(way(made.but(forward=masked)), "TD109") is None


@pytest.mark.slow
def test_an_export_is_the_cure_of_td304(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch._dynamo

    from trtdbg.session.session import Session

    torch._dynamo.reset()
    monkeypatch.chdir(tmp_path)
    found = []
    for script in ("dynamo_graphs.py", "compiled.py"):
        with trtdbg.recording(tmp_path / script):
            runpy.run_path(str(TESTS / "recorded_scripts" / script), run_name="__main__")
        program = folder.read(tmp_path / script).programs[0]
        job = Job(model=str(program.path), settings=program.settings, probe_seconds=0)
        found.append(level(Session(job, lambda _: None).analyze(UPSTREAM), "TD304"))
    assert found == [Level.NOTE, None]


@pytest.mark.parametrize("code", list(Code))
def test_every_cure_is_tried(code: str) -> None:
    tried = {row.code for row in ROWS} | {c for codes in ELSEWHERE.values() for c in codes}
    assert code in tried


@pytest.mark.parametrize("file", ELSEWHERE)
def test_tests_of_their_own_are_there(file: str) -> None:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert {name for each in ELSEWHERE[file].values() for name in each} <= names
