"""The engine inspector's JSON is read in both of its shapes, and nothing in it is trusted."""

from __future__ import annotations

import json

import pytest

from trtdbg.compat.inspection import fused_layers
from trtdbg.records import LayerTime


def test_names_alone_come_in_the_engines_order_with_their_times() -> None:
    text = json.dumps({"Layers": ["matmul+relu", "softmax"], "Bindings": ["x"]})
    assert fused_layers(text, {"softmax": 0.2, "matmul+relu": 0.1, "copy": 0.05}) == (
        LayerTime(name="matmul+relu", median_ms=0.1),
        LayerTime(name="softmax", median_ms=0.2),
        LayerTime(name="copy", median_ms=0.05),
    )


def test_details_are_types_and_formats() -> None:
    detailed = {
        "Name": "matmul",
        "LayerType": "gemm",
        "Inputs": [{"Name": "x", "Dimensions": [2, 3], "Format/Datatype": "Row major FP32"}],
        "Outputs": [{"Name": "y", "Format/Datatype": "Row major FP16"}],
        "TacticValue": "0x0",
    }
    (layer,) = fused_layers(json.dumps({"Layers": [detailed]}), {})
    assert layer == LayerTime(
        name="matmul", type="gemm", inputs=("Row major FP32",), outputs=("Row major FP16",)
    )


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "not json", '{"Layers": 3}', '{"Layers": [3, {}, {"Name": 1}, null]}'],
)
def test_what_cannot_be_read_leaves_the_profilers_layers(text: str) -> None:
    assert fused_layers(text, {"a": 0.1}) == (LayerTime(name="a", median_ms=0.1),)


def test_strange_details_leave_the_layer() -> None:
    strange = {"Name": "a", "LayerType": [1], "Inputs": "x", "Outputs": [3, {"Format": 1}]}
    assert fused_layers(json.dumps({"Layers": [strange]}), {}) == (LayerTime(name="a"),)
