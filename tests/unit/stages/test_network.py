from __future__ import annotations

from typing import Any

import pytest

from tests import by_version
from tests.staging import Late, export, late, module, options, torch
from trtdbg.graphs.graph import source_of
from trtdbg.policy import TruncationPolicy
from trtdbg.stages.network import Network, define_network

DOUBLE = torch.float64


def define(repaired: Late, index: int = 0) -> Network:
    name = repaired.split.engine_names[index]
    return define_network(repaired.engine(index), name, options(), truncate_double=True)


def of(
    function: Any, *args: Any, policy: TruncationPolicy | None = None, **buffers: Any
) -> Any:
    return define(late(export(module(function, **buffers), *args), policy))


def test_layers_show_their_dtypes_and_the_node_that_added_them() -> None:
    network = of(lambda self, x: torch.relu(x) + 1, torch.randn(4, dtype=DOUBLE))
    assert network.error is None
    relu = next(layer for layer in network.layers if layer.type == "ACTIVATION")
    assert (relu.inputs, relu.outputs, relu.node) == (("FLOAT",), ("FLOAT",), "relu")
    assert {layer.node for layer in network.layers} >= {"relu", "add"}
    assert network.node_dtypes["add"] == "FLOAT"


def test_bindings_are_declared_and_bound_in_the_truncated_dtype() -> None:
    network = of(lambda self, x: torch.relu(x) + 1, torch.randn(4, dtype=DOUBLE))
    (given,), (returned,) = network.inputs, network.outputs
    assert (given.name, given.declared, given.bound) == ("x", "float32", "float32")
    assert (returned.name, returned.declared, returned.bound) == ("add", "float32", "float32")
    assert returned.shape == (4,)


def test_int64_stays_int64_unless_the_policy_narrows_it() -> None:
    def forward(self: Any, x: Any) -> Any:
        return x.argmax(-1)

    wide = of(forward, torch.randn(3, 4))
    assert wide.outputs[0].bound == "int64"
    policy = TruncationPolicy(computed=("int64",))
    assert of(forward, torch.randn(3, 4), policy=policy).outputs[0].bound == "int32"


def test_a_node_with_several_outputs_has_a_dtype_for_each() -> None:
    network = of(lambda self, x: torch.topk(x, 2), torch.randn(3, 4))
    assert isinstance(network.node_dtypes["topk"], tuple)
    assert len(network.node_dtypes["topk"]) == 2
    assert network.node_dtypes["topk"][0] == "FLOAT"


@by_version.only("bool times bool")
def test_a_refused_layer_is_told_in_tensorrts_words_with_its_node() -> None:
    flags = torch.tensor([True, False])
    network = of(lambda self, a, b: (a * b) & a, flags, flags)
    assert network.error is not None
    assert "__len__" not in network.error
    assert "bool" in network.error.lower()
    assert network.error_node == "mul"
    assert network.log


def test_a_widening_converter_is_named() -> None:
    def forward(self: Any, x: Any, index: Any) -> Any:
        return x.scatter(0, index, 2.0)

    index = torch.tensor([0, 2])
    network = of(forward, torch.randn(4).half(), index)
    assert network.error is None
    assert [node for node, _ in network.widened] == ["scatter"]


def test_a_program_without_float64_widens_nothing() -> None:
    network = of(lambda self, x: torch.relu(x) + 1, torch.randn(4))
    assert network.widened == ()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", "bool"])
def test_narrow_dtypes_are_bound_as_they_are(dtype: str) -> None:
    x = torch.ones(2, 2).to(getattr(torch, dtype))
    network = of(lambda self, x: x.reshape(4), x)
    assert network.error is None
    assert [b.bound for b in (*network.inputs, *network.outputs)] == [dtype, dtype]


def test_defining_a_network_leaves_every_node_in_its_module() -> None:
    class Block(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.relu(x)

    model = torch.nn.Sequential(torch.nn.Sequential(Block())).eval()
    repaired = late(export(model, torch.randn(4)))
    names = [[layer.name for layer in define(repaired).layers] for _ in range(2)]
    assert names[0] == names[1]
    (relu,) = (n for n in repaired.engine(0).graph.nodes if n.op == "call_function")
    assert source_of(relu).module == "0.0"


def test_a_value_that_a_converter_does_not_make_is_laid_at_its_operator() -> None:
    def norm(self: object, x: object) -> object:
        return torch.native_layer_norm(x, [4], None, None, 1e-5)

    engine = late(export(module(norm), torch.randn(3, 4))).engine(0)
    network = define_network(engine, "engine", options(), truncate_double=True)
    assert network.error == "its converter makes no tensor for an output that is read"
    assert network.culprit() == "native_layer_norm"


def test_a_value_that_no_converter_made_is_not_laid_at_the_operator_that_reads_it() -> None:
    def norm(self: object, x: object) -> object:
        made, mean, _ = torch.native_layer_norm(x, [4], None, None, 1e-5)
        return made * 2, mean + 1

    engine = late(export(module(norm), torch.randn(3, 4))).engine(0)
    network = define_network(engine, "engine", options(), truncate_double=True)
    assert network.error == "its converter makes no tensor for an output that is read"
    assert network.culprit() == "native_layer_norm"
