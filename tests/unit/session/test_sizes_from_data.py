"""Sizes that depend on data: a program is lowered again, and again, in one session."""

from __future__ import annotations

from typing import Any

import pytest

from trtdbg.policy import Settings, Timing, TruncationPolicy

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")


def nonzero(x: Any) -> Any:
    import torch

    return torch.nonzero(torch.relu(x)) * 2, x + 1


def selected(x: Any) -> Any:
    return x[x > 0].double().sum() + 1


def item(x: Any) -> Any:
    import torch

    count = x.long().sum().item()
    torch._check(count >= 0)
    torch._check(count <= 3)
    return torch.relu(x.new_ones(count + 1)).double() * 2


@pytest.mark.parametrize("function", [nonzero, selected, item])
def test_every_timing_lowers_a_program_with_sizes_from_data(function: Any) -> None:
    import torch

    from tests.lowering import Applied, session

    opened = session(
        Applied(function),
        torch.ones(3, 1),
        settings=Settings(fallback_data_dependent_ops=True),
    )
    first = opened.analyze(TruncationPolicy(), headline=True)
    assert first.headline is not None
    assert first.headline.compiled.error is None
    for timing in (Timing.EARLY, Timing.OFF, Timing.UPSTREAM, Timing.LATE):
        report = opened.analyze(TruncationPolicy(timing=timing))
        assert [made.error for made in report.passes if made.error] == [], timing
        assert report.nodes
