"""What timings have in common: a timing that differs says so in its own file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch.fx import GraphModule

from trtdbg.analysis.findings import Evidence
from trtdbg.graphs.graph import Typing
from trtdbg.graphs.splits import Program
from trtdbg.records import ConstantRecord, Counterfactual, LowDecision, TypingKind
from trtdbg.session import reasons
from trtdbg.session.analysed import Context
from trtdbg.session.lowered import Lowered
from trtdbg.session.timings.protocol import Judgements
from trtdbg.stages import narrow as narrowing
from trtdbg.stages.capture import Captured, Recorder, compilation_settings
from trtdbg.stages.network import Network
from trtdbg.stages.partition import Split
from trtdbg.stages.probe import TensorrtAnswer


class OfLowered:
    """Steps on the program as it was lowered: truncated verdicts decide its partition."""

    typing_in_force = TypingKind.TRUNCATED
    validators_ask = False

    def __init__(self, context: Context, lowered: Lowered) -> None:
        self.context = context
        self.lowered = lowered
        self.captured: Captured = lowered.captured
        self.recorder = Recorder.resume(lowered.captured)
        self.decisions: Mapping[str, LowDecision] = {}

    def lower(self) -> GraphModule | None:
        return self.lowered.module

    def narrow_again(
        self,
        split: Split,
        networks: Sequence[Network] | None = None,
        answers: Mapping[str, TensorrtAnswer] | None = None,
    ) -> Typing | None:
        return None

    def listed(
        self, truncated: Typing, judged: Judgements
    ) -> tuple[Typing, Judgements, Judgements | None]:
        return truncated, judged, None

    def deciding(self, judged: Judgements) -> Judgements:
        return judged

    def graph(self, truncated: Typing) -> GraphModule:
        return truncated.module

    def constants(
        self, truncated: Typing, program: Program | None
    ) -> tuple[ConstantRecord, ...]:
        held = narrowing.held_constants(program.module) if program is not None else None
        return narrowing.constant_records(self.lowered.inferred, truncated, held)

    def note(self, evidence: Evidence) -> None:
        pass

    def options(self, *, truncate_double: bool = False) -> object:
        """Returns torch_tensorrt's settings, which validators are asked with."""
        return compilation_settings(self.context.settings, truncate_double=truncate_double)

    def reasons_in_force(
        self, truncated: Typing, judged: Judgements
    ) -> dict[str, Counterfactual]:
        """Returns why nodes are refused in truncated dtypes, else in those of the lowering."""
        self.context.progress("validate", "what would turn the refusals")
        in_force = reasons.explain(
            truncated.module, judged, self.options(), self.typing_in_force
        )
        return {**self.lowered.why_original, **self.lowered.why_refreshed, **in_force}
