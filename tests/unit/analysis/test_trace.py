from __future__ import annotations

from typing import Any

import pytest

from tests import canned
from trtdbg.analysis.trace import OriginKind, lines, trace
from trtdbg.errors import UsageError
from trtdbg.records import NodeRecord, Report, Source


def node(name: str, target: str, dtype: Any, *operands: str, **more: Any) -> NodeRecord:
    fields: dict[str, Any] = {"op": "call_function", "args": ", ".join(operands)} | more
    return NodeRecord(
        name=name,
        target=target,
        original=dtype,
        inferred=dtype,
        truncated=dtype,
        operands=operands,
        **fields,
    )


def graph(*nodes: NodeRecord) -> Report:
    import msgspec

    return msgspec.structs.replace(canned.LATE, nodes=nodes)


X = node("x", "x", "float32", op="placeholder")
WIDE = node("w", "w", "float64", op="placeholder")
IDS = node("ids", "ids", "int64", op="placeholder")


def cause(report: Report, name: str) -> tuple[OriginKind, str, list[str]]:
    found = trace(report, name)
    assert found is not None
    return found.kind, found.cause, [step.node for step in found.steps]


def test_a_dtype_keyword_is_where_the_way_back_ends() -> None:
    report = graph(
        WIDE,
        node(
            "cast",
            "aten._to_copy.default",
            "float64",
            "w",
            dtype_argument="float64",
            source=Source(file="model.py", line=41),
        ),
        node("softmax", "aten._softmax.default", "float64", "cast"),
        node("mul", "aten.mul.Tensor", "float64", "softmax", "softmax"),
    )
    assert cause(report, "mul") == (
        OriginKind.KEYWORD,
        "dtype=float64 is written in cast (model.py:41)",
        ["mul", "softmax", "cast"],
    )


def test_a_value_is_wide_because_of_an_input_and_also_of_a_constant() -> None:
    constant = node("c", "scale", "float64", op="get_attr", constant="scale")
    report = graph(WIDE, constant, node("add", "aten.add.Tensor", "float64", "w", "c"))
    found = trace(report, "add")
    assert found is not None
    assert (found.kind, found.cause) == (OriginKind.INPUT, "program input w is float64")
    assert found.others == ("constant scale is float64",)


def test_a_number_takes_the_default_dtype() -> None:
    ids = node("i", "i", "int32", op="placeholder")
    half = node("half", "aten.mul.Tensor", "float64", "i", args="i, 0.5")
    kind, why, _ = cause(graph(ids, half), "half")
    assert kind is OriginKind.SCALAR
    assert why == "the number 0.5 in half takes the default dtype float64"


def test_what_is_made_from_nothing_has_its_dtype_by_default() -> None:
    steps = node("steps", "aten.arange.default", "int64", args="4")
    kind, why, _ = cause(graph(steps), "steps")
    assert kind is OriginKind.SCALAR
    assert why == "steps makes int64 by default (aten.arange.default)"


def test_an_operator_that_always_makes_int64_is_not_traced_through() -> None:
    report = graph(IDS, node("top", "aten.argmax.default", "int64", "ids"))
    kind, why, way = cause(report, "top")
    assert (kind, way) == (OriginKind.OPERATOR, ["top"])
    assert why == "aten.argmax.default always makes int64"


def test_values_of_a_sort_have_the_dtype_of_its_input_and_indices_their_own() -> None:
    report = graph(
        IDS,
        node("sort", "aten.sort.default", ("int64", "int64"), "ids"),
        node("values", "operator.getitem", "int64", "sort", args="sort, 0"),
        node("indices", "operator.getitem", "int64", "sort", args="sort, 1"),
    )
    assert cause(report, "values")[0] is OriginKind.INPUT
    assert cause(report, "indices")[1] == "aten.sort.default always makes int64"


def test_indices_do_not_make_what_they_pick_wide() -> None:
    constant = node("table", "table", "int64", op="get_attr", constant="table")
    report = graph(IDS, constant, node("pick", "aten.index.Tensor", "int64", "table", "ids"))
    found = trace(report, "pick")
    assert found is not None
    assert found.kind is OriginKind.CONSTANT
    assert found.others == ()


def test_a_count_of_bools_is_the_operators_own_doing() -> None:
    report = graph(
        X,
        node("gt", "aten.gt.Scalar", "bool", "x"),
        node("sum_1", "aten.sum.dim_IntList", "int64", "gt", args="gt, [-1]"),
    )
    kind, why, _ = cause(report, "sum_1")
    assert kind is OriginKind.OPERATOR
    assert why == "aten.sum.dim_IntList makes int64 from bool in sum_1"


def test_a_complex_value_is_followed_to_the_float64_that_it_was_made_of() -> None:
    pair = node("pair", "aten.view_as_complex.default", "complex128", "w")
    kind, why, way = cause(graph(WIDE, pair), "pair")
    assert (kind, way) == (OriginKind.INPUT, ["pair", "w"])
    assert why == "program input w is float64"


def test_the_nearest_cause_is_followed() -> None:
    far = [node("n0", "aten.neg.default", "float64", "w")]
    far += [node(f"n{i}", "aten.neg.default", "float64", f"n{i - 1}") for i in range(1, 4)]
    cast = node("cast", "aten._to_copy.default", "float64", "x", dtype_argument="float64")
    report = graph(
        WIDE, X, *far, cast, node("add", "aten.add.Tensor", "float64", "n3", "cast")
    )
    assert cause(report, "add")[2] == ["add", "cast"]


def test_the_text_is_a_path_and_its_cause() -> None:
    report = graph(WIDE, node("neg", "aten.neg.default", "float64", "w"))
    assert lines(report, "neg") == [
        "neg  aten.neg.default  float64",
        "w    placeholder       float64",
        "because program input w is float64",
    ]


def test_any_dtype_is_followed_to_where_it_begins() -> None:
    half = node("h", "h", "float16", op="placeholder")
    gain = node("gain", "gain", "float32", op="get_attr", constant="block.gain")
    product = node("mul", "aten.mul.Tensor", "float32", "h", "gain")
    report = graph(half, gain, product, node("relu", "aten.relu.default", "float32", "mul"))
    assert cause(report, "relu") == (
        OriginKind.CONSTANT,
        "constant block.gain is float32",
        ["relu", "mul", "gain"],
    )
    assert cause(report, "h") == (OriginKind.INPUT, "program input h is float16", ["h"])
    ids = node("i", "i", "int32", op="placeholder")
    scaled = node("mul", "aten.mul.Tensor", "float32", "i", args="i, 0.5")
    below = node("lt", "aten.lt.Scalar", "bool", "mul", args="mul, 2.0")
    report = graph(ids, scaled, below)
    assert cause(report, "mul")[:2] == (
        OriginKind.SCALAR,
        "the number 0.5 in mul takes the default dtype float32",
    )
    assert cause(report, "lt")[1] == "aten.lt.Scalar makes bool from float32 in lt"


def test_what_holds_no_tensor_has_no_trace() -> None:
    size = node("size", "aten.sym_size.int", None)
    assert trace(graph(size), "size") is None
    with pytest.raises(UsageError, match="size holds no tensor"):
        lines(graph(size), "size")


def test_a_misspelled_name_is_answered_with_what_is_meant() -> None:
    with pytest.raises(UsageError, match="no node 'softmex'; did you mean softmax"):
        trace(graph(node("softmax", "aten._softmax.default", "float64")), "softmex")
