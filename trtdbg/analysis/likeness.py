"""What two nodes must share to be shown as one, wherever blocks of a model repeat."""

from __future__ import annotations

from collections.abc import Hashable

from trtdbg.records import NodeRecord


def node_look(node: NodeRecord) -> Hashable:
    """Returns what is the same for nodes that are alike.

    Operator, shape, dtypes, verdict, and whether an engine holds it; of a constant its name
    inside its module. Which engine holds it makes no difference.
    """
    dtypes = (node.original, node.inferred, node.truncated, node.tensorrt)
    target = node.target.rpartition(".")[2] if node.op == "get_attr" else node.target
    return node.op, target, node.shape, dtypes, node.verdict, node.engine is None
