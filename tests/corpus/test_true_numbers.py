"""Numbers that only float64 holds, and programs that go wrong by themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus_bench import CORPUS, import_file

from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Agreement, Report
from trtdbg.worker.messages import Job

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

REPORTS = CORPUS / "reports"
LARGE = (3 * 1048577 - 1, 3 * 1048577, 40 * 1048577 - 1, 60 * 1048577 - 1)


PROBED = 20.0


class Opened:
    """Models exported to files and analysed with the real passes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def session(
        self, model: Any, args: Any, settings: Settings | None = None, probe: float = 0
    ) -> Any:
        import torch

        from trtdbg.session.session import Session

        path = self.folder / "model.pt2"
        torch.export.save(torch.export.export(model.eval(), args), path)
        job = Job(model=str(path), settings=settings or Settings(), probe_seconds=probe)
        return Session(job, lambda event: None)

    def function(
        self,
        forward: Callable[..., Any],
        *args: Any,
        settings: Settings | None = None,
        probe: float = 0,
    ) -> Any:
        import torch

        class Model(torch.nn.Module):
            def forward(self, *values: Any) -> Any:
                return forward(*values)

        return self.session(Model(), args, settings, probe)


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return Opened(tmp_path)


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def numbers(session: Any, timing: Timing) -> Report:
    report: Report = session.numerics(TruncationPolicy(timing=timing))
    assert report.numerics is not None
    return report


def agreed(report: Report) -> set[Agreement]:
    assert report.numerics is not None
    return {output.agreement for output in report.numerics.outputs}


def case(name: str) -> Any:
    sys.dont_write_bytecode = True
    return import_file(REPORTS / f"{name}.py").make()


@pytest.mark.parametrize("timing", list(Timing))
def test_a_division_that_needs_float64_is_never_called_needless(
    timing: Timing, opened: Opened
) -> None:
    model, args, _ = case("floor_div_in_double")
    session = opened.session(model, args)
    report = session.analyze(TruncationPolicy(timing=timing))
    (finding,) = (f for f in report.findings if f.code == "TD405")
    assert finding.source is not None
    assert "torch.floor(" in str(finding.source.code)
    assert "TD101" not in codes(report)
    assert agreed(numbers(session, timing)) == {Agreement.BEYOND}


@pytest.mark.parametrize("timing", list(Timing))
def test_a_program_that_overflows_by_itself_agrees_with_nothing(
    timing: Timing, opened: Opened
) -> None:
    from trtdbg.analysis.numerics import headline, original_line

    model, args, _ = case("half_layernorm_overflow")
    report = numbers(opened.session(model, args), timing)
    assert report.numerics is not None
    assert report.numerics.not_finite is not None
    assert report.numerics.not_finite.node == "pow_1"
    assert "within the tolerance" not in headline(report.numerics)
    line = original_line(report)
    assert line is not None
    assert "at pow_1 (half_layernorm_overflow.py:" in line
    assert "TD404" in codes(report)


def _ceil(ids: Any) -> Any:
    return (ids.double() / 1048577.0).ceil().long()


def _promoted(ids: Any) -> Any:
    import torch

    return torch.round(torch.add(ids, torch.tensor(0.25, dtype=torch.float64))).to(torch.int64)


def _truncated(ids: Any) -> Any:
    return (ids.double() * 3.0).long()


@pytest.mark.parametrize("forward", [_ceil, _promoted, _truncated])
def test_other_ways_through_float64_are_found_before_any_run_and_seen_in_one(
    forward: Callable[..., Any], opened: Opened
) -> None:
    import torch

    session = opened.function(forward, torch.tensor([2**25 + 1, 60 * 1048577 + 1, *LARGE]))
    report = session.analyze(TruncationPolicy())
    assert "TD405" in codes(report)
    assert "TD101" not in codes(report)
    assert agreed(numbers(session, Timing.LATE)) == {Agreement.BEYOND}


def test_float64_that_no_integer_went_into_is_called_needless_as_before(
    opened: Opened,
) -> None:
    import torch

    session = opened.function(lambda x: (x.double() * 2.0).float(), torch.randn(4))
    report = session.analyze(TruncationPolicy())
    assert "TD405" not in codes(report)
    assert "TD101" in codes(report)


# What `explain` says helps, tried.


def test_the_cure_of_td405_in_integers_agrees(opened: Opened) -> None:
    import torch

    session = opened.function(
        lambda i: (i // 1048577, i % 1048577, torch.div(i, 1048577, rounding_mode="floor")),
        torch.tensor(LARGE),
    )
    report = numbers(session, Timing.LATE)
    assert agreed(report) == {Agreement.WITHIN}
    assert "TD405" not in codes(report)


def _floored(ids: Any) -> Any:
    import torch

    return torch.floor(ids.double() / 1048577.0).long() * 2


@pytest.mark.parametrize(
    ("kept", "agreement"),
    [
        (("_to_copy", "div", "floor"), Agreement.WITHIN),
        (("floor",), Agreement.BEYOND),
    ],
)
def test_the_cure_of_td405_in_pytorch_needs_all_the_operators_named(
    kept: tuple[str, ...], agreement: Agreement, opened: Opened
) -> None:
    import torch

    overloads = {"_to_copy": "default", "div": "Tensor", "floor": "default"}
    settings = Settings(
        torch_executed_ops=tuple(f"torch.ops.aten.{n}.{overloads[n]}" for n in kept)
    )
    session = opened.function(_floored, torch.tensor(LARGE), settings=settings)
    report = numbers(session, Timing.LATE)
    assert agreed(report) == {agreement}
    assert ("TD405" in codes(report)) is (agreement is Agreement.BEYOND)


def _cancelled(x: Any) -> Any:
    return (x + 1e9) - 1e9


@pytest.mark.parametrize(
    ("settings", "agreement"),
    [
        (Settings(), Agreement.BEYOND),
        (
            Settings(
                torch_executed_ops=(
                    "torch.ops.aten.add.Tensor",
                    "torch.ops.aten.sub.Tensor",
                )
            ),
            Agreement.WITHIN,
        ),
    ],
)
def test_the_cure_of_td402_by_name_agrees(
    settings: Settings, agreement: Agreement, opened: Opened
) -> None:
    import torch

    x = torch.arange(1, 5, dtype=torch.float64) / 3
    report = numbers(opened.function(_cancelled, x, settings=settings), Timing.LATE)
    assert agreed(report) == {agreement}
    assert ("TD402" in codes(report)) is (agreement is Agreement.BEYOND)


@pytest.mark.parametrize("lowest", [-1e300, -3.4e38])
def test_the_cure_of_td402_in_the_constant_agrees(lowest: float, opened: Opened) -> None:
    import torch

    def masked(x: Any, keep: Any) -> Any:
        return torch.where(keep, x, lowest) * 0.5

    args = torch.randn(4, dtype=torch.float64), torch.tensor([True, False, True, True])
    report = numbers(opened.function(masked, *args), Timing.LATE)
    assert ("TD402" in codes(report)) is (lowest == -1e300)
    assert agreed(report) == {Agreement.BEYOND if lowest == -1e300 else Agreement.WITHIN}


def test_the_cure_of_td401_keeps_int64(opened: Opened) -> None:
    import torch

    session = opened.function(lambda i: i + 2**40, torch.tensor([1, 2]))
    narrow = TruncationPolicy(inputs=("int64",), constants=("int64",), computed=("int64",))
    assert "TD401" in codes(session.numerics(narrow))
    assert "TD401" not in codes(session.numerics(TruncationPolicy()))


@pytest.mark.parametrize("explicit", [False, True])
def test_the_cure_of_td403_makes_the_promotion_explicit(
    explicit: bool, opened: Opened
) -> None:
    import torch

    def half(i: Any) -> Any:
        return (i.float() if explicit else i) * 0.5

    report = numbers(opened.function(half, torch.tensor([1, 3, 11])), Timing.LATE)
    assert ("TD403" in codes(report)) is not explicit
    assert agreed(report) == {Agreement.WITHIN if explicit else Agreement.BEYOND}


def _norm(x: Any) -> Any:
    return x * (x.pow(2).mean(-1, keepdim=True) + 1e-5).rsqrt()


@pytest.mark.parametrize(
    ("forward", "wrong"),
    [
        (_norm, True),
        (lambda x: _norm(x.float()).half(), False),
        (lambda x: _norm(x / 64.0), False),
        (lambda x: x / (x - x), True),
        (lambda x: x / (x - x).clamp(min=0.5), False),
    ],
)
def test_the_cures_of_td404(forward: Callable[..., Any], wrong: bool, opened: Opened) -> None:
    import torch

    x = torch.linspace(200, 900, 8, dtype=torch.float16).reshape(2, 4)
    report = numbers(opened.function(forward, x), Timing.LATE)
    assert ("TD404" in codes(report)) is wrong
    assert agreed(report) == {Agreement.NOT_COMPARED if wrong else Agreement.WITHIN}


def test_the_cures_of_td101_and_td202(opened: Opened) -> None:
    import torch

    def halved(x: Any) -> Any:
        return torch.relu((x.double() * 0.5) + 1.0)

    session = opened.function(halved, torch.randn(4, 4))
    before = codes(session.analyze(TruncationPolicy(timing=Timing.UPSTREAM)))
    after = session.analyze(TruncationPolicy(timing=Timing.LATE))
    assert {"TD101", "TD202"} <= before
    assert "TD202" not in codes(after)
    assert {f.level.value for f in after.findings if f.code == "TD101"} == {"note"}


def test_the_cure_of_td102_is_the_setting_it_names(opened: Opened) -> None:
    import torch

    def both(a: Any, b: Any) -> Any:
        return torch.relu(a.float() * 2), a * b

    args = torch.tensor([True, False]), torch.tensor([True, True])
    before = opened.function(both, *args, probe=PROBED).analyze(TruncationPolicy())
    assert "TD102" in codes(before)
    kept = Settings(torch_executed_ops=("torch.ops.aten.mul.Tensor",))
    after = opened.function(both, *args, settings=kept, probe=PROBED).analyze(
        TruncationPolicy()
    )
    assert "TD102" not in codes(after)


class Ranged:
    """A range over a dynamic size, as a model that counts positions makes it."""

    @staticmethod
    def report(opened: Opened, positions: Callable[[int], Any], **more: Any) -> Report:
        import torch

        class Model(torch.nn.Module):
            def forward(self, x: Any) -> Any:
                return x * (positions(x.shape[0]) / 3.0)[:, None]

        path = opened.folder / "model.pt2"
        rows = {0: torch.export.Dim("rows", min=2, max=9)}
        program = torch.export.export(Model(), (torch.randn(5, 3),), dynamic_shapes=(rows,))
        torch.export.save(program, path)
        job = Job(model=str(path), settings=Settings(**more), probe_seconds=0)
        from trtdbg.session.session import Session

        return numbers(Session(job, lambda event: None), Timing.LATE)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_float_range_that_tensorrt_makes_integers_is_found_and_run_as_it_does(
    dtype: str, opened: Opened
) -> None:
    import torch

    report = Ranged.report(opened, lambda n: torch.arange(n, dtype=getattr(torch, dtype)))
    (finding,) = (f for f in report.findings if f.code == "TD204")
    assert finding.node == "arange"
    assert agreed(report) == {Agreement.BEYOND}, "0, 1, 2 divided by 3 are all 0 as integers"


def test_the_cure_of_td204_is_a_cast_behind_the_range(opened: Opened) -> None:
    import torch

    report = Ranged.report(opened, lambda n: torch.arange(n).float())
    assert "TD204" not in codes(report)
    assert agreed(report) == {Agreement.WITHIN}


def test_the_other_cure_of_td204_leaves_the_range_to_pytorch(opened: Opened) -> None:
    import torch

    report = Ranged.report(
        opened,
        lambda n: torch.arange(n, dtype=torch.float32),
        torch_executed_ops=("torch.ops.aten.arange.start_step",),
    )
    assert "TD204" not in codes(report)
    assert agreed(report) == {Agreement.WITHIN}


def test_a_crash_of_one_validator_is_said_of_its_node_and_of_nothing_that_reads_it(
    opened: Opened,
) -> None:
    import torch

    def both(x: Any) -> Any:
        best, place = torch.sort(x)
        return best * 2, place + 1

    session = opened.function(both, torch.randn(3, 4))
    for timing in Timing:
        report = session.analyze(TruncationPolicy(timing=timing))
        assert [f.node for f in report.findings if f.code == "TD103"] == ["sort"]


@pytest.mark.parametrize("timing", list(Timing))
def test_the_engine_of_a_cast_is_one_that_asked_for_it(timing: Timing, opened: Opened) -> None:
    import torch

    def branches(x: Any, y: Any) -> Any:
        a = torch.relu(x * 2.0)
        b = torch.relu(y.float()) + torch.bincount(y.long().flatten(), minlength=4).sum()
        return a + torch.bincount(a.long().flatten(), minlength=4).sum(), x + 1.0, b

    args = torch.rand(3, 4, dtype=torch.float64), torch.ones(3, 4, dtype=torch.float64)
    report = opened.function(branches, *args).analyze(TruncationPolicy(timing=timing))
    names = {engine.index: engine.name for engine in report.engines}
    for cast in report.boundary_casts:
        if cast.direction.value == "into_engine":
            assert cast.engine is not None
            assert names[cast.engine] in cast.asked_by
