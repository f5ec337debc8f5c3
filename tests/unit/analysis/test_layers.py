"""Layers: where they come from, and what the model did not ask for."""

from __future__ import annotations

import msgspec

from tests import canned
from trtdbg.analysis.layers import layer_rows
from trtdbg.records import EngineRecord, LayerRecord, NodeRecord, Report


def report(*nodes: NodeRecord) -> Report:
    return msgspec.structs.replace(canned.UPSTREAM, nodes=nodes)


def node(name: str, **facts: object) -> NodeRecord:
    plain = {
        "name": name,
        "target": f"aten.{name}.default",
        "op": "call_function",
        "operands": (),
    }
    return msgspec.structs.replace(canned.UPSTREAM.nodes[0], **{**plain, **facts})


def remarks(engine: EngineRecord, *nodes: NodeRecord) -> list[str]:
    return [row.remark for row in layer_rows(report(*nodes), engine)]


def engine(*layers: LayerRecord) -> EngineRecord:
    return EngineRecord(index=0, name="e", nodes=(), layers=layers)


def test_a_cast_is_inserted_unless_an_operator_asks_for_it() -> None:
    casts = [LayerRecord(name="c", type="CAST", node=n) for n in (None, "add", "_to_copy")]
    nodes = node("add", tensorrt=None), node("_to_copy", tensorrt=None)
    assert remarks(engine(*casts), *nodes) == ["inserted cast", "inserted cast", ""]


def test_a_constant_is_the_converters_where_the_node_reads_none() -> None:
    made = engine(*(LayerRecord(name="c", type="CONSTANT", node=n) for n in ("add", "linear")))
    weight = node("weight", op="get_attr", tensorrt=None)
    linear = node("linear", operands=("weight",), tensorrt=None)
    said = remarks(made, node("add", tensorrt=None), linear, weight)
    assert said == ["constant made by the converter", ""]


def test_a_value_of_another_dtype_than_typed_is_named_at_its_last_layer() -> None:
    layers = [LayerRecord(name=str(i), type="UNARY", node="exp") for i in range(2)]
    said = remarks(engine(*layers), node("exp", tensorrt="FLOAT", truncated="float16"))
    assert said == ["", "FLOAT, typed as float16"]
    assert remarks(engine(*layers), node("exp", tensorrt="HALF", truncated="float16")) == [
        "",
        "",
    ]
