from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.staging import export, lower, module, torch
from trtdbg.graphs.graph import (
    captured_log,
    copy_graph,
    first_line,
    recorded_dtype,
    refresh_metadata,
    source_of,
    target_name,
    value_dtype,
    value_shape,
)


def node_with(**meta: Any) -> Any:
    node = torch.fx.Graph().placeholder("x")
    node.meta.update(meta)
    return node


def test_a_copy_keeps_names_that_are_builtins() -> None:
    class Model(torch.nn.Module):
        def forward(self, input: Any) -> Any:
            return torch.relu(input)

    graph = export(Model().eval(), torch.randn(2)).graph
    names = [node.name for node in graph.nodes]
    assert "input" in names
    assert [node.name for node in copy_graph(graph).nodes] == names


def test_dtypes_and_shapes_of_several_outputs_are_tuples() -> None:
    value = (torch.zeros(2), None, torch.zeros(3, dtype=torch.int64), 5)
    assert value_dtype(value) == ("float32", None, "int64", None)
    assert value_shape(value) == ((2,), None, (3,), None)
    assert value_dtype((1, 2)) is None
    assert value_dtype(torch.zeros(2, dtype=torch.complex64)) == "complex64"


def test_tensor_meta_stands_in_where_val_is_missing() -> None:
    node = node_with()
    assert recorded_dtype(node) is None
    refresh_metadata(node, torch.zeros(2, dtype=torch.float16))
    del node.meta["val"]
    assert recorded_dtype(node) == "float16"


def test_metadata_of_a_number_has_no_tensor_meta_left() -> None:
    node = node_with()
    refresh_metadata(node, torch.zeros(2))
    refresh_metadata(node, 3)
    assert node.meta["val"] == 3
    assert "tensor_meta" not in node.meta


@pytest.mark.parametrize(
    ("frames", "shown"),
    [
        (
            ["model.py:4", "/env/lib/site-packages/torch/nn/modules/linear.py:134"],
            "model.py:4",
        ),
        (["samples/vit.py:4", "torch/nn/modules/linear.py:134"], "vit.py:4"),
        (["samples/vit.py:4", "transformers/models/vit.py:31"], "vit.py:31"),
        (["/a/torch/model.py:7"], "model.py:7"),
        (["/env/site-packages/torch/nn/modules/linear.py:134"], "linear.py:134"),
    ],
)
def test_the_source_is_the_innermost_frame_outside_torch(
    frames: list[str], shown: str
) -> None:
    lines = []
    for frame in frames:
        file, line = frame.rsplit(":", 1)
        lines.append(f'  File "{file}", line {line}, in forward\n    x = y')
    source = source_of(node_with(stack_trace="\n".join(lines)))
    assert source is not None
    assert (str(source), source.code) == (shown, "x = y")


def test_without_a_trace_the_module_path_is_the_source() -> None:
    stack = {"a": ("", "Model"), "b": ("layers.0", "Layer")}
    source = source_of(node_with(nn_module_stack=stack))
    assert source is not None
    assert (source.module, source.file) == ("layers.0", None)
    assert source_of(node_with()) is None


def test_targets_are_spelled_as_users_write_them() -> None:
    graph = lower(export(module(lambda self, x: x.topk(2)[0]), torch.randn(3, 4))).graph
    names = {target_name(node) for node in graph.nodes if node.op == "call_function"}
    assert names == {"aten.topk.default", "operator.getitem"}


def test_the_first_line_of_an_exception_names_its_class() -> None:
    assert first_line(ValueError("\n  bad\nworse")) == "ValueError: bad"
    assert first_line(KeyError()) == "KeyError"


def test_a_captured_log_is_collected_and_the_logger_restored() -> None:
    logger = logging.getLogger("trtdbg_test_of_captured_log")
    logger.setLevel(logging.ERROR)
    with captured_log(logger.name) as lines:
        logger.getChild("child").debug("said %s", "quietly")
    logger.debug("not heard")
    assert lines == ["said quietly"]
    assert (logger.level, logger.propagate, logger.handlers) == (logging.ERROR, True, [])
