"""Two sentences say the same where only layers, numbers of nodes and sizes differ."""

import pytest

from trtdbg.analysis.sentence import gist


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "operand.cpp:156: CHECK failed. size (768) should be equal to (12288)",
            "operand.cpp:156:  CHECK failed.\n size (64) should be equal to (4096)",
        ),
        (
            "[ELEMENTWISE]-[aten_ops.mul.Tensor]-[/layers.1/mul_3]: refused",
            "[ELEMENTWISE]-[aten_ops.mul.Tensor]-[mul]: refused",
        ),
        ("failed on node mul_3 with INT64", "failed on node mul with INT64"),
        (
            "ITensor::getDimensions: (mul_3_1) is empty",
            "ITensor::getDimensions: (mul_2) is empty",
        ),
    ],
)
def test_alike(one: str, other: str) -> None:
    assert gist(one) == gist(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mul does not take Bool", "mul does not take Float"),
        ("failed on node mul", "failed on node add"),
        ("[A]-[b]: refused", "[A]-[b]: no kernel"),
    ],
)
def test_not_alike(one: str, other: str) -> None:
    assert gist(one) != gist(other)
