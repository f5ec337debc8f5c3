"""Types a lowered graph, plainly and under a truncation policy, on copies."""

from __future__ import annotations

from torch.fx import GraphModule

from trtdbg.graphs.graph import Typing, copy_graph_module
from trtdbg.graphs.inference import Inference
from trtdbg.policy import TruncationPolicy


def infer(module: GraphModule) -> Typing:
    """Infers every dtype and shape of a lowered graph with nothing truncated.

    Works on a copy. A node whose kernel raises keeps its recorded value and stands in `stale`.
    """
    return Inference(copy_graph_module(module), None, {}).run()


def infer_truncated(inferred: Typing, policy: TruncationPolicy) -> Typing:
    """Infers every dtype of a lowered graph under a policy, from its plain inference.

    Works on a copy, and again only downstream of what the policy changes:

    1. A program input of a wide dtype in `policy.inputs` is narrow.
    2. A constant of a wide dtype in `policy.constants` is narrow.
    3. A dtype keyword or positional dtype in `policy.computed` is narrow, unless an operand
       has that dtype: then the operator does not create it.
    4. An operator that creates a dtype in `policy.computed` from operands that do not have it
       gets a `dtype` keyword if its schema has one, and is typed narrow otherwise (argmax).
    5. An operator whose PyTorch kernel refuses the result is typed as its untruncated self,
       each result narrow whose wide dtype an operand has lost. It stands in `refused`.
    6. A float argument beyond the range of the narrow dtype that it meets becomes inf, and a
       number that does not survive stands in `scalars`.
    """
    copy = copy_graph_module(inferred.module)
    values = {node.name: node.meta.get("val") for node in inferred.module.graph.nodes}
    typing = Inference(copy, policy, values).run()
    typing.stale.update(inferred.stale)
    return typing
