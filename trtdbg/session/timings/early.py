"""Timing `early`: the exported program is narrowed before it is lowered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch.export.graph_signature import InputKind
from torch.fx import GraphModule, Node

from trtdbg.analysis.findings import Evidence
from trtdbg.graphs.graph import Typing, origin_name, source_of, target_name
from trtdbg.graphs.splits import Program, placeholders
from trtdbg.policy import KeepRule, TruncationPolicy
from trtdbg.records import ConstantRecord, Counterfactual, LowDecision, Phase, RefusalKind
from trtdbg.session.analysed import Context
from trtdbg.session.lowered import Lowered
from trtdbg.session.timings import early_low
from trtdbg.session.timings.protocol import Judgements, Repaired
from trtdbg.session.timings.shared import OfLowered
from trtdbg.stages import boundary, early, infer, validate
from trtdbg.stages import narrow as narrowing
from trtdbg.stages.capture import (
    Recorder,
    capture,
    copy_program,
)


class Early(OfLowered):
    """Lowers and partitions a program that computes in narrow dtypes, PyTorch's part too."""

    def __init__(self, context: Context, policy: TruncationPolicy, lowered: Lowered) -> None:
        super().__init__(context, lowered)
        self.recorder = Recorder()
        self.policy = policy
        self.narrowed: early.NarrowedProgram | None = None
        """The narrowed program; None until it is lowered."""
        self.decided: Mapping[str, LowDecision] = {}
        """What was decided of each exported node under a low precision."""

    def lower(self) -> GraphModule | None:
        recorder = Recorder()
        program = self.context.program
        recorder.snapshot(Phase.LOAD, "exported program", program.graph, 0.0)
        start = time.perf_counter()
        self.context.progress("truncate", "early, in the exported program")
        self.narrowed = early.narrow_program(
            copy_program(program), self.policy, self.lowered.narrowings
        )
        if self.policy.is_low:
            self.narrowed = self._lower_precision(self.narrowed)
        seconds = time.perf_counter() - start
        graph = self.narrowed.program.graph
        recorder.snapshot(Phase.TRUNCATION, "truncate (early)", graph, seconds)
        self.captured = capture(
            self.narrowed.program,
            self.context.settings,
            truncate_double=False,
            emit=self.context.progress,
            recorder=recorder,
            front=self.context.front,
        )
        self.recorder = Recorder.resume(self.captured)
        if self.captured.module is not None:
            nodes = self.captured.module.graph.nodes
            origins = {n.name: origin_name(n) for n in nodes if n.op == "call_function"}
            self.decisions = early_low.told(self.decided, origins)
        return self.captured.module

    def _lower_precision(self, narrowed: early.NarrowedProgram) -> early.NarrowedProgram:
        wanted = KeepRule.RANGE in self.policy.keep_rules
        ranges = self.context.ranges() if wanted else {}
        program, self.decided = early_low.lower_program(
            narrowed.program, self.policy, early_low.exported_ranges(self.lowered, ranges)
        )
        return replace(narrowed, program=program)

    def narrow(self) -> Typing:
        assert self.captured.module is not None
        return infer.infer(self.captured.module)

    def judge(self, truncated: Typing) -> Judgements:
        return validate.judge(truncated.module, self.options())

    def repair(self, split: GraphModule, truncated: Typing) -> Repaired:
        assert self.narrowed is not None
        promised = self._promised_inputs(self.narrowed, split)
        return Repaired(
            boundary.repair_program(split, promised, self.narrowed.promised_outputs)
        )

    def reasons(self, truncated: Typing, judged: Judgements) -> dict[str, Counterfactual]:
        return self.reasons_in_force(truncated, judged)

    def constants(
        self, truncated: Typing, program: Program | None
    ) -> tuple[ConstantRecord, ...]:
        # They were narrowed before lowering: what the lists do to them shows in a late typing.
        late = self.lowered.truncated(self.policy)
        return narrowing.constant_records(self.lowered.inferred, late)

    def note(self, evidence: Evidence) -> None:
        """Notes what narrowing widened and lost, and which refusals it resolved.

        A node that was refused because of its dtype and is gone is a refusal that timing
        `early` resolved. Drops from `lowered` what was said of nodes that are gone.
        """
        assert self.narrowed is not None
        evidence.widened = self.narrowed.typing.refused
        evidence.exported_scalars = self.narrowed.typing.scalars
        kept, gone = self._survivors()
        for node in gone:
            why = self.lowered.why_refreshed.get(node.name)
            if why is not None and why.kind is RefusalKind.DTYPE and why.changes:
                evidence.dissolved[node.name] = (target_name(node), why.text, source_of(node))
        self.lowered = _only(self.lowered, kept)

    def _survivors(self) -> tuple[set[str], list[Node]]:
        """Returns the nodes that the narrowed lowering still has, and those it lost."""
        assert self.captured.module is not None
        now = {_identity(node) for node in self.captured.module.graph.nodes}
        kept, gone = set(), []
        for node in self.lowered.module.graph.nodes:
            if _identity(node) in now:
                kept.add(node.name)
            else:
                gone.append(node)
        return kept, gone

    def _promised_inputs(
        self, narrowed: early.NarrowedProgram, split: GraphModule
    ) -> dict[str, torch.dtype]:
        """Returns the dtypes that callers pass, by the placeholders' names after lowering.

        They stand in the exported order; a name like `input`, which hides a builtin, is
        another one by then.
        """
        specs = self.context.program.graph_signature.input_specs
        names = [spec.arg.name for spec in specs if spec.kind is InputKind.USER_INPUT]
        pairs = zip(placeholders(split), names, strict=True)
        promised = narrowed.promised_inputs
        return {node.name: promised[name] for node, name in pairs if name in promised}


def _identity(node: Node) -> tuple[str, str, str | None]:
    return node.name, target_name(node), origin_name(node)


def _only(lowered: Lowered, kept: set[str]) -> Lowered:
    """Returns what is known of a lowering, of the nodes named only."""
    inferred = lowered.inferred
    dtypes = {n: d for n, d in inferred.dtypes.items() if n in kept}
    return replace(
        lowered,
        inferred=replace(inferred, dtypes=dtypes),
        original={n: j for n, j in lowered.original.items() if n in kept},
        refreshed={n: j for n, j in lowered.refreshed.items() if n in kept},
        why_original={n: c for n, c in lowered.why_original.items() if n in kept},
        why_refreshed={n: c for n, c in lowered.why_refreshed.items() if n in kept},
    )
