"""A low precision under timing early: PyTorch's part computes low too, outputs do not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")

from tests.lowering import HALF, lows, session  # noqa: E402
from trtdbg.policy import Settings, Timing  # noqa: E402
from trtdbg.records import BuildStatus, LowRule  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

EARLY = msgspec.structs.replace(HALF, timing=Timing.EARLY)


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 4)
        self.table = torch.nn.Embedding(9, 8)

    def forward(self, x: Any, ids: Any) -> Any:
        hidden = torch.relu(self.first(x) + self.table(ids))
        return torch.softmax(self.second(hidden), -1), hidden, ids + 1


def net(**settings: Any) -> Any:
    torch.manual_seed(1)
    args = torch.randn(2, 8), torch.tensor([1, 2])
    return session(Net(), *args, settings=Settings(**settings))


def test_engines_build_and_outputs_are_cast_back() -> None:
    report = net().build(EARLY)
    assert [each.build.status for each in report.engines] == [BuildStatus.BUILT]
    assert [o.bound for o in report.model.outputs] == ["float32", "float32", "int64"]
    assert lows(report)["linear"].rule is LowRule.LOW
    assert lows(report)["_softmax"].rule is LowRule.OPERATOR_CLASS
    rows = {node.name: node for node in report.nodes}
    assert rows["linear"].tensorrt == "HALF"


def test_pytorchs_part_computes_low() -> None:
    report = net(torch_executed_ops=("torch.ops.aten.relu.default",)).build(EARLY)
    assert report.torch_ops.count("aten.relu.default") == 1
    rows = {node.name: node for node in report.nodes}
    assert (rows["relu"].recorded, rows["relu"].engine) == ("float16", None)
    assert all(each.build.status is BuildStatus.BUILT for each in report.engines)
    measured = net().numerics(EARLY, rtol=1e-2, atol=1e-2).numerics
    assert all(row.agreement == "within" for row in measured.outputs)


def test_buffers_that_are_written_keep_their_dtype() -> None:
    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(4))

        def forward(self, x: Any) -> Any:
            self.seen.add_(x * 2)
            return x * self.seen

    report = session(Counting(), torch.ones(4)).analyze(EARLY)
    assert not [f for f in report.findings if f.code == "TD501"]
    assert [o.bound for o in report.model.outputs] == ["float32"]


def test_off_has_no_low_precision() -> None:
    report = net().analyze(msgspec.structs.replace(HALF, timing=Timing.OFF))
    assert not lows(report)
