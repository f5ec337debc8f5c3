"""The numbers of the first line, of real programs."""

from __future__ import annotations

from typing import Any

import pytest

from trtdbg.policy import Partitioner, Settings, Timing, TruncationPolicy

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

UPSTREAM = TruncationPolicy(timing=Timing.UPSTREAM)


def session(module: Any, *args: Any, settings: Settings | None = None) -> Any:
    import torch

    from trtdbg.archive.load import LoadedProgram
    from trtdbg.session.session import Session
    from trtdbg.worker.messages import Job

    program = torch.export.export(module.eval(), args)
    loaded = LoadedProgram(program, "model", "m.pt2", "", 0, None)
    return Session(Job(model="m.pt2", settings=settings or Settings()), lambda _: None, loaded)


def island() -> tuple[Any, Any]:
    import torch

    class Island(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            y = torch.relu(x + 1).double()
            return (y.sin() * 2).float() - x

    return Island(), torch.randn(3, 4)


def test_today_here_and_late_are_counted_by_the_real_partitioner() -> None:
    module, x = island()
    opened = session(module, x)
    made = opened.analyze(UPSTREAM, headline=True).headline
    assert made is not None
    assert made.compiled.settings == Settings.as_compiled()
    assert made.compiled.truncate_double is False
    assert (made.here.engines, made.here.torch_ops) == (2, 1)
    assert made.late is not None
    late = opened.analyze(TruncationPolicy())
    counted = (made.late.engines, made.late.torch_ops, made.late.casts)
    assert counted == (len(late.engines), len(late.torch_ops), len(late.boundary_casts))
    own = session(module, x, settings=Settings.as_compiled()).analyze(UPSTREAM)
    assert made.compiled.engines == len(own.engines)
    assert made.compiled.torch_ops == len(own.torch_ops)


def test_under_late_there_is_no_second_late() -> None:
    module, x = island()
    made = session(module, x).analyze(TruncationPolicy(), headline=True).headline
    assert made is not None
    assert made.late is None
    assert made.here.engines == 1


def test_what_lowers_differently_is_lowered_with_its_own_settings() -> None:
    import torch

    class Attention(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.nn.functional.scaled_dot_product_attention(x, x, x)

    settings = Settings(decompose_attention=True)
    opened = session(Attention(), torch.randn(1, 2, 4, 8), settings=settings)
    made = opened.analyze(UPSTREAM, headline=True).headline
    assert made is not None
    assert made.compiled.settings.decompose_attention is False
    assert made.compiled.settings.partitioner is Partitioner.FAST


def test_an_engine_that_tensorrt_refuses_is_counted_as_refused() -> None:
    import torch

    class Nine(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.reshape(1, 2, 2, 2, 2, 2, 2, 2, 4).permute(8, *range(8)).cos()

    made = session(Nine(), torch.randn(8, 64)).analyze(UPSTREAM, headline=True).headline
    assert made is not None
    assert made.late is not None
    assert (made.here.failed, made.late.failed) == (1, 1)


def test_the_repair_does_nothing_where_torch_tensorrt_truncates_nothing() -> None:
    module, x = island()
    own = session(module, x, settings=Settings.as_compiled()).analyze(UPSTREAM)
    assert not own.boundary_casts
    assert all(node.truncated == node.inferred for node in own.nodes)
    codes = {finding.code for finding in own.findings}
    assert "TD101" in codes, "truncation before the verdicts would still help"


def test_truncate_double_is_a_cure_of_engines_that_fail_over_float64() -> None:
    import torch

    from trtdbg.records import CureKind

    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.Linear(4, 4).double()

        def forward(self, x: Any) -> Any:
            return torch.relu(self.norm(x))

    x = torch.randn(3, 4, dtype=torch.float64)
    settings = Settings(truncate_double=False)
    opened = session(Scaled(), x, settings=settings)
    report = opened.cures(UPSTREAM, 120.0)
    assert any(engine.build.error for engine in report.engines)
    cures = [cure for cause in report.causes for cure in cause.cures]
    (found,) = [cure for cure in cures if cure.kind is CureKind.SETTING]
    assert found.settings is not None
    assert found.settings.truncate_double is True
    assert found.numbers is not None, "what changes the numbers was compared"
    assert found.type is not None
    assert "truncate_double = true in a --settings file" in found.type
    after = opened.variant(settings=found.settings).analyze(UPSTREAM)
    assert not [engine for engine in after.engines if engine.build.error]
