"""Why nodes are not in engines: one sentence for a node, which everything else repeats."""

from __future__ import annotations

from trtdbg.analysis.summary import refusal
from trtdbg.records import NodeRecord, Report


def why(report: Report, node: NodeRecord) -> str:
    """Returns why no engine holds a node, in one sentence.

    It is the reason of the node's cause; of a node that is in no cause, such as an element
    that is taken out of a result, what its verdicts say.
    """
    for cause in report.causes:
        if node.name in cause.nodes:
            return cause.reason
    return refusal(report, node)
