"""The graphs inside a graph: branches, bodies and conditions of control flow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.fx import GraphModule, Node

from trtdbg.graphs.graph import (
    args_text,
    as_tuple,
    fetch_attr,
    origin_name,
    recorded_dtype,
    source_of,
    target_name,
    value_shape,
)
from trtdbg.records import GraphNode, Subgraph


def is_subgraph(module: GraphModule, node: Node) -> bool:
    """Returns whether a node stands for a graph that a control-flow operator runs."""
    return node.op == "get_attr" and isinstance(
        fetch_attr(module, str(node.target)), GraphModule
    )


def subgraphs(module: GraphModule) -> tuple[Subgraph, ...]:
    """Returns every graph inside a graph, those inside of others behind them."""
    return tuple(_inside(module, ""))


def _inside(module: GraphModule, path: str) -> Iterator[Subgraph]:
    for node in module.graph.nodes:
        if not is_subgraph(module, node):
            continue
        inner = fetch_attr(module, str(node.target))
        name = f"{path}{node.name}"
        for reader in node.users:
            yield Subgraph(
                name=name,
                owner=f"{path}{reader.name}",
                operator=target_name(reader),
                nodes=tuple(_row(each) for each in inner.graph.nodes),
            )
        yield from _inside(inner, f"{name}.")


def _row(node: Node) -> GraphNode:
    value: Any = node.meta.get("val")
    return GraphNode(
        name=node.name,
        op=node.op,
        target=target_name(node),
        dtype=recorded_dtype(node),
        shape=None if node.op == "output" else value_shape(value),
        args=args_text(node),
        operands=as_tuple(node.all_input_nodes),
        from_node=origin_name(node),
        source=source_of(node),
    )
