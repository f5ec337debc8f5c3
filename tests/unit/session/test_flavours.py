"""What the other build of TensorRT would accept, and what by itself makes the difference."""

from __future__ import annotations

from typing import Any

import pytest

from trtdbg.policy import Timing, TruncationPolicy

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")


def lacking(x: Any, rows: Any) -> Any:
    import torch

    summed = torch.cumsum(torch.relu(x), 1)
    put = summed.index_put((rows,), torch.ones(3, 4), accumulate=True)
    return put.sort()[0], torch.bucketize(x, torch.ones(2)), put[x > 0]


def test_the_feature_and_the_plugin_are_told_apart() -> None:
    import torch

    from tests.lowering import Applied, session
    from trtdbg.compat.flavour import is_rtx
    from trtdbg.session.flavours import FEATURE, PLUGIN

    if not is_rtx():
        pytest.skip("standard TensorRT lacks nothing that TensorRT-RTX has")
    opened = session(Applied(lacking), torch.randn(5, 4), torch.tensor([0, 1, 1]))
    report = opened.analyze(TruncationPolicy(timing=Timing.UPSTREAM))
    told = {
        node.target: (node.other_flavour.accepts, node.other_flavour.mechanism)
        for node in report.nodes
        if node.other_flavour is not None
    }
    assert told["aten.cumsum.default"] == (True, FEATURE)
    assert told["aten.index.Tensor"] == (True, FEATURE)
    assert told["aten.index_put.default"] == (True, PLUGIN)
    others = told.keys() - {
        "aten.cumsum.default",
        "aten.index.Tensor",
        "aten.index_put.default",
    }
    assert all(told[target] == (False, None) for target in others)
