"""Timing `off`: nothing is truncated."""

from __future__ import annotations

from torch.fx import GraphModule

from trtdbg.graphs.graph import Typing
from trtdbg.records import Counterfactual
from trtdbg.session.timings.protocol import Judgements, Repaired
from trtdbg.session.timings.shared import OfLowered
from trtdbg.stages import boundary


class Off(OfLowered):
    """Partitions the graph as lowered, its dtypes inferred and none of them narrowed."""

    def narrow(self) -> Typing:
        return self.lowered.inferred

    def judge(self, truncated: Typing) -> Judgements:
        return self.lowered.refreshed

    def repair(self, split: GraphModule, truncated: Typing) -> Repaired:
        return Repaired(boundary.leave_unrepaired(split))

    def reasons(self, truncated: Typing, judged: Judgements) -> dict[str, Counterfactual]:
        return {**self.lowered.why_original, **self.lowered.why_refreshed}
