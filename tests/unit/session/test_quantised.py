"""Quantised graphs: what torch_tensorrt makes of pt2e's and modelopt's operators is told."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch.ao.quantization.fx._decomposed")

from tests.lowering import session  # noqa: E402
from trtdbg.archive.custom import how_to_register  # noqa: E402
from trtdbg.policy import Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import Level  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

LATE = TruncationPolicy(timing=Timing.LATE)
RANGE = (-128, 127, torch.int8)


class Pt2e(torch.nn.Module):
    """A linear layer as pt2e writes it: an int8 weight, activations quantised or not."""

    def __init__(self, activations: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        weight, q = torch.randn(8, 16), torch.ops.quantized_decomposed
        self.activations = activations
        self.register_buffer("scale", weight.abs().amax(1) / 127)
        self.register_buffer("zero", torch.zeros(8, dtype=torch.int64))
        low = q.quantize_per_channel(weight, self.scale, self.zero, 0, *RANGE)
        self.register_buffer("weight", low)

    def forward(self, x: Any) -> Any:
        q = torch.ops.quantized_decomposed
        weight = q.dequantize_per_channel(self.weight, self.scale, self.zero, 0, *RANGE)
        if self.activations:
            low = q.quantize_per_tensor(x, 0.05, 0, *RANGE)
            x = q.dequantize_per_tensor(low, 0.05, 0, *RANGE)
        return torch.relu(torch.nn.functional.linear(x, weight))


def told(report: Any) -> Any:
    (found,) = [each for each in report.findings if each.code == "TD605"]
    return found


def test_a_folded_weight_is_float32_again_and_that_is_said() -> None:
    report = session(Pt2e(activations=False), torch.randn(2, 16)).analyze(LATE)
    found = told(report)
    assert found.level is Level.WARNING
    assert "1 is folded into constants, not quantised any more" in found.message
    assert "from dequantize_per_channel (test_quantised.py:" in found.message
    assert "left to PyTorch" not in found.message
    (weight,) = [node for node in report.nodes if node.op == "get_attr"]
    assert weight.inferred == "float32"


def test_quantised_activations_are_left_to_pytorch_and_that_is_said() -> None:
    report = session(Pt2e(activations=True), torch.randn(2, 16)).analyze(LATE)
    found = told(report)
    assert "3 operators of quantized_decomposed" in found.message
    assert "2 are left to PyTorch" in found.message
    assert found.node == "quantize_per_tensor"
    assert len(report.torch_ops) == 2


def test_a_program_without_quantised_operators_has_nothing_to_tell() -> None:
    report = session(torch.nn.ReLU(), torch.randn(2, 4)).analyze(LATE)
    assert not [each for each in report.findings if each.code == "TD605"]


def test_modelopts_operators_are_registered_by_modelopt() -> None:
    assert "`--import modelopt.torch.quantization`" in how_to_register("tensorrt::quantize_op")
    assert "`--import torch_tensorrt`" in how_to_register("tensorrt::execute_engine")


class Modelopt(torch.nn.Module):
    """A linear layer as modelopt exports it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(16, 8)
        self.register_buffer("weight_max", self.linear.weight.detach().abs().amax())
        self.register_buffer("input_max", torch.tensor(3.0))

    def forward(self, x: Any) -> Any:
        quantize, how = torch.ops.tensorrt.quantize_op, (8, 0, False, True)
        x = quantize(x, self.input_max, *how)
        weight = quantize(self.linear.weight, self.weight_max, *how)
        return torch.nn.functional.linear(x, weight, self.linear.bias)


@pytest.mark.slow
def test_what_modelopt_quantises_is_built_with_its_layers() -> None:
    pytest.importorskip("modelopt.torch.quantization")
    report = session(Modelopt(), torch.randn(4, 16)).build(LATE)
    found = told(report)
    assert found.level is Level.NOTE
    assert "2 are converted to QUANTIZE and DEQUANTIZE in engine 0" in found.message
    kinds = [layer.type for engine in report.engines for layer in engine.layers]
    assert (kinds.count("QUANTIZE"), kinds.count("DEQUANTIZE")) == (2, 2)
    assert report.engines[0].build.status.value == "built"


@pytest.mark.slow
def test_without_modelopt_its_operators_are_folded_and_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if hasattr(torch.ops.tensorrt, "quantize_op"):
        pytest.skip("something registers tensorrt::quantize_op already")
    with torch.library._scoped_library("tensorrt", "FRAGMENT") as library:
        numbers = "int num_bits, int exponent_bits, bool unsigned, bool narrow_range"
        library.define(f"quantize_op(Tensor input, Tensor amax, {numbers}) -> Tensor")
        library.impl(
            "quantize_op",
            lambda x, amax, *_: torch.round(x * 127 / amax) * amax / 127,
            "CompositeExplicitAutograd",
        )
        report = session(Modelopt(), torch.randn(4, 16)).analyze(LATE)
    found = told(report)
    assert "1 is folded into constants" in found.message
    assert "1 is left to PyTorch" in found.message
    assert "`import modelopt.torch.quantization`" in found.message
