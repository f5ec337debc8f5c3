"""Which nodes a switch of policy or settings changed."""

from __future__ import annotations

from trtdbg.analysis.conclusions import is_call
from trtdbg.records import NodeRecord
from trtdbg_ui.model.loaded import Loaded


def changed_nodes(before: Loaded, after: Loaded) -> frozenset[str]:
    """Returns the nodes of `after` that moved, or have another dtype or verdict, or are new.

    Engines are numbered anew by each partition: a node moves if it goes from PyTorch into
    an engine or back.
    """
    return frozenset(node.name for node in after.report.nodes if _differs(before, after, node))


def _differs(before: Loaded, after: Loaded, node: NodeRecord) -> bool:
    old = before.nodes.get(node.name)
    if old is None:
        return is_call(node)
    moved = (node.name in before.left) is not (node.name in after.left)
    known = old.truncated, old.low, old.verdict
    return moved or known != (node.truncated, node.low, node.verdict)
