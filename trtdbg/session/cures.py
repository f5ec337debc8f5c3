"""Tries cures of a break in the model itself: each is applied, lowered and partitioned again.

Nothing is offered that was not tried, that brings nothing, or that changes the numbers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from torch.export import ExportedProgram
from torch.fx import Node

from trtdbg.analysis.cure_words import (
    becomes,
    edit_text,
    flags,
    policy_words,
    reproducing,
    setting_text,
    value_text,
)
from trtdbg.analysis.summary import count, failed_pass, operator_text
from trtdbg.errors import TrtdbgError
from trtdbg.graphs.deviations import Tolerance
from trtdbg.graphs.editing import EditError, Editor
from trtdbg.graphs.graph import first_line, source_of
from trtdbg.graphs.replay import ProgramInputs
from trtdbg.graphs.rewrites import Rewrite, float64_dropped, rewrites
from trtdbg.policy import (
    Partitioner,
    Settings,
    Timing,
    TruncationPolicy,
)
from trtdbg.records import Agreement as NodeAgreement
from trtdbg.records import (
    Cause,
    CauseKind,
    Cure,
    CureKind,
    NodeError,
    NodeRecord,
    RefusalKind,
    Report,
    Verdict,
)
from trtdbg.session.outcomes import Outcome, is_refused_by_tensorrt
from trtdbg.stages import agreement, subgraph
from trtdbg.stages.agreement import OutputAgreement
from trtdbg.stages.capture import copy_program
from trtdbg.stages.inputs import program_inputs
from trtdbg.worker.messages import DEFAULT_ATOL, DEFAULT_RTOL

if TYPE_CHECKING:
    from trtdbg.session.session import Session

MOST_ALONE = 6
"""Other ways to write one operator that are tried on it alone."""

_TOLERANCE = Tolerance(DEFAULT_ATOL, DEFAULT_RTOL)


@dataclass(frozen=True)
class TriedCure:
    """A cure with what it leaves."""

    cure: Cure
    outcome: Outcome


class Trials:
    """Tries cures for the breaks of one analysis, under one budget of time."""

    def __init__(self, session: Session, policy: TruncationPolicy, seconds: float) -> None:
        """Starts the clock.

        Args:
            session: of the model.
            policy: the analysis whose breaks are to be cured.
            seconds: after which no further trial is begun.
        """
        self.session = session
        self.policy = policy
        self.seconds = seconds
        self.report = session.analyze(policy)
        self.now = Outcome.of(self.report)
        self.rows = {node.name: node for node in self.report.nodes}
        self.deadline = time.monotonic() + seconds
        self.tried = 0
        self.unrun: str | None = None
        """Why an edit that brings something could not be compared, if one could not."""

    def cures(self, one: Cause) -> tuple[Cure, ...]:
        """Returns what helps against a break, the best first; one of kind `none` if nothing.

        Of what brings the same, that comes first which leaves the model as it is. Empty if the
        time was up before everything was tried and nothing helped until then.
        """
        self.unrun = None
        found = [*self._policies(one), *self._settings(one), *self._edits(one)]
        if not found:
            return () if self.is_over() else (self._nothing(one),)
        found.sort(key=lambda tried: tried.outcome.rank)
        return tuple(tried.cure for tried in found)

    def all_cures(self, causes: Sequence[Cause]) -> tuple[Cause, ...]:
        """Returns causes with their cures, in their order.

        What makes a validator answer that ended the partition is the cure of that end too.
        """
        cured: dict[int, tuple[Cure, ...]] = {}
        for place, one in enumerate(causes):
            if one.kind is not CauseKind.PARTITION_FAILED:
                cured[place] = self.cures(one)
        mended = next(
            (
                cured[place]
                for place, one in enumerate(causes)
                if one.kind is CauseKind.VALIDATOR_CRASHED
                and any(cure.kind is not CureKind.NONE for cure in cured[place])
            ),
            None,
        )
        for place, one in enumerate(causes):
            if one.kind is CauseKind.PARTITION_FAILED:
                cured[place] = mended or self.cures(one)
        return tuple(
            msgspec.structs.replace(one, cures=cured[place])
            for place, one in enumerate(causes)
        )

    def is_over(self) -> bool:
        """Returns whether the time for trials is used up."""
        return time.monotonic() >= self.deadline

    # Policies.

    def _policies(self, one: Cause) -> Iterator[TriedCure]:
        for policy in self._other_policies(one):
            if self.is_over():
                return
            report = self._analysed(self.session, policy)
            if report is None or not self._resolves(one, report):
                continue
            numbers = self._numbers_under(policy)
            if numbers is None:
                continue
            command = flags(policy)
            yield self._cure(
                CureKind.POLICY,
                f"build with trtdbg, {policy_words(policy)}",
                f"trtdbg build MODEL {command} --save DIR, or trtdbg.compile in Python",
                report,
                numbers,
                policy=policy,
            )
            return

    def _other_policies(self, one: Cause) -> Iterator[TruncationPolicy]:
        late = TruncationPolicy(timing=Timing.LATE)
        if _lowering_raises(one) and self.policy.timing is not Timing.EARLY:
            # Only `early` gives lowering another graph.
            return
        if self.policy.timing is not Timing.LATE:
            yield late
        if any(_holds(self.rows[name], "int64") for name in one.nodes if name in self.rows):
            every = ("float64", "int64")
            narrow = msgspec.structs.replace(
                late, inputs=every, constants=every, computed=every
            )
            if narrow != self.policy:
                yield narrow

    def _numbers_under(
        self, policy: TruncationPolicy, session: Session | None = None
    ) -> OutputAgreement | None:
        """Returns how far the program is from itself under a policy, None if too far."""
        try:
            measured = (session or self.session).numerics(policy).numerics
        except TrtdbgError as error:
            return OutputAgreement(True, None, f"numbers not compared: {error}")
        if measured is None or measured.note is not None:
            note = measured.note if measured is not None else None
            return OutputAgreement(True, None, f"numbers not compared: {note}")
        if any(row.agreement is NodeAgreement.BEYOND for row in measured.outputs):
            return None
        missing = [r for r in measured.outputs if r.agreement is NodeAgreement.NOT_COMPARED]
        if missing:
            return OutputAgreement(True, None, _uncompared(measured.outputs, missing))
        errors = [row.max_abs_error for row in measured.outputs if row.max_abs_error]
        return OutputAgreement(
            True, max(errors, default=0.0), f"compared on {measured.inputs}"
        )

    # Settings.

    def _settings(self, one: Cause) -> Iterator[TriedCure]:
        for name, settings in self._other_settings(one):
            if self.is_over():
                return
            report = self._analysed(self.session.variant(settings=settings), self.policy)
            if report is None or not self._resolves(one, report):
                continue
            value = getattr(settings, name)
            numbers: OutputAgreement | None = OutputAgreement(
                True, None, "numbers not compared: the program stays the same"
            )
            if name == "truncate_double":
                changed = self.session.variant(settings=settings)
                numbers = self._numbers_under(self.policy, changed)
            if numbers is None:
                continue
            yield self._cure(
                CureKind.SETTING,
                f"set {name} to {value_text(value)}",
                setting_text(name, value),
                report,
                numbers,
                settings=settings,
            )
            return

    def _other_settings(self, one: Cause) -> Iterator[tuple[str, Settings]]:
        now = self.session.settings
        rows = [self.rows[name] for name in self._places(one) if name in self.rows]
        if self.policy.timing.is_upstream and not now.truncate_double and self.now.failing:
            yield "truncate_double", _with(now, truncate_double=True)
        excluded = [n for n in rows if _is_kind(n, RefusalKind.EXCLUDED)]
        if now.torch_executed_ops and excluded:
            targets = {f"torch.ops.{node.target}" for node in excluded}
            left = tuple(op for op in now.torch_executed_ops if op not in targets)
            yield "torch_executed_ops", _with(now, torch_executed_ops=left)
        if now.fallback_data_dependent_ops and excluded:
            yield (
                "fallback_data_dependent_ops",
                _with(now, fallback_data_dependent_ops=False),
            )
        accepted = all(node.verdict is Verdict.ACCEPT for node in rows)
        if accepted and not is_refused_by_tensorrt(one) and not _lowering_raises(one):
            if now.min_block_size > 1:
                yield "min_block_size", _with(now, min_block_size=1)
            fast = now.partitioner is Partitioner.FAST
            other = Partitioner.GLOBAL if fast else Partitioner.FAST
            yield "partitioner", _with(now, partitioner=other)
            return
        if any(_is_symbolic(n) for n in rows) and not now.assume_dynamic_shape_support:
            yield (
                "assume_dynamic_shape_support",
                _with(now, assume_dynamic_shape_support=True),
            )
        if not now.enable_experimental_decompositions and not excluded:
            yield (
                "enable_experimental_decompositions",
                _with(now, enable_experimental_decompositions=True),
            )
        if any("attention" in n.target for n in rows) and not now.decompose_attention:
            yield "decompose_attention", _with(now, decompose_attention=True)

    # Edits of the exported program.

    def _edits(self, one: Cause) -> Iterator[TriedCure]:
        program = self.session.program
        nodes = {node.name: node for node in program.graph.nodes}
        rows = [self.rows[name] for name in self._places(one) if name in self.rows]
        named = [row.name if row.name in nodes else row.from_node for row in rows]
        if not _lowering_raises(one):
            named = [row.from_node for row in rows]
        origins = [nodes[name] for name in dict.fromkeys(named) if name in nodes]
        for group in self._grouped(origins) if origins else ():
            if self.is_over():
                return
            first = group[0]
            if not first.everywhere and not self._promises(nodes[first.node], first.key):
                continue
            tried = self._tried_edit(one, group)
            if tried is not None:
                yield tried
                return

    def _places(self, one: Cause) -> Sequence[str]:
        """Returns the nodes that a break is about: the one at which lowering raised."""
        failed = failed_pass(self.report)
        if not _lowering_raises(one) or failed is None:
            return one.nodes
        return (failed.node,) if failed.node is not None else ()

    def _grouped(self, origins: Sequence[Node]) -> Iterator[list[Rewrite]]:
        """Yields each edit of the first operator with the same of the others."""
        for each in float64_dropped(list(origins)):
            yield [each]
        by_node = [{each.key: each for each in rewrites(node)} for node in origins]
        for key in dict.fromkeys(key for own in by_node for key in own):
            yield [own[key] for own in by_node if key in own]

    def _promises(self, node: Node, key: str) -> bool:
        """Returns whether the edit of an operator alone is accepted, and means the same."""
        alone = self._alone_program(node)
        if alone is None:
            return True
        twin = next((n for n in alone.graph.nodes if n.target is node.target), None)
        edit = next((e for e in rewrites(twin) if e.key == key), None) if twin else None
        if edit is None:
            return True
        try:
            edited = _edited(alone, [edit])
        except EditError:
            return False
        hard = [agreement.hard_inputs(alone, seed) for seed in (1, 2)]
        same = agreement.compare(alone, edited, hard, _TOLERANCE)
        if not same.same and not same.note.startswith(agreement.NOT_RUN):
            return False
        report = self._analysed(self.session.variant(program=edited), self.policy)
        if report is None:
            return False
        outcome = Outcome.of(report)
        return not (outcome.broken or outcome.failing or outcome.torch_ops)

    def _alone_program(self, node: Node) -> ExportedProgram | None:
        """Returns one operator as a program of its own, None if it cannot be cut out."""
        module = self.session.program.graph_module
        try:
            pieces = subgraph.pieces(module)
            place = next(i for i, piece in enumerate(pieces) if piece[0] is node)
            return subgraph.exported(subgraph.cut(module, {place}))
        except (TrtdbgError, StopIteration):
            return None

    def _tried_edit(self, one: Cause, group: list[Rewrite]) -> TriedCure | None:
        program = self.session.program
        try:
            edited = _edited(program, group)
        except EditError:
            return None
        first = group[0]
        with first.patched():
            report = self._analysed(self.session.variant(program=edited), self.policy)
        if report is None or not self._mends(one, report):
            return None
        # Other values than those of the example may be what the edit leaves out.
        given = self._inputs()[:1] if first.narrows else self._inputs()
        numbers = agreement.compare(program, edited, given, _TOLERANCE)
        if not numbers.same:
            if numbers.note.startswith(agreement.NOT_RUN):
                self.unrun = numbers.note
            return None
        nodes = {node.name: node for node in program.graph.nodes}
        source = source_of(nodes[first.node])
        names = [name for each in group for name in (each.node, *each.also)]
        places = [source_of(nodes[name]) for name in names]
        return self._cure(
            CureKind.EDIT,
            first.say,
            edit_text(first.call, first.line, source, places),
            report,
            numbers,
            source=source,
            line=first.line,
        )

    def _inputs(self) -> list[ProgramInputs]:
        loaded = self.session.loaded
        given = [program_inputs(loaded.program, loaded.example_inputs)]
        if loaded.example_inputs is not None:
            given.append(program_inputs(loaded.program, None, None, 1))
        return given

    # What is common.

    def _nothing(self, one: Cause) -> Cure:
        """Returns that nothing tried helps, and what builds at least, if that was needed."""
        node = one.nodes[0] if one.nodes else None
        say = "nothing that was tried helps"
        if self.unrun is not None:
            say = f"an edit that brings more is not offered, as {self.unrun}"
        if one.kind in (CauseKind.NO_CONVERTER, CauseKind.OTHER_OVERLOAD):
            say = "no setting helps: this operator needs a converter"
        raises = _lowering_raises(one)
        how = None if node is None or raises else reproducing(node, self.policy)
        broken = (self.now.failing or self.now.broken) and not raises
        kept = self._kept_out(one) if broken else None
        if kept is not None:
            names = ",".join(map(operator_text, kept[1].torch_executed_ops))
            rest = "the rest is partitioned" if self.now.broken else "fewer engines fail"
            say = f"{say}; --torch-executed-ops {names} keeps it in PyTorch, and {rest}"
        return Cure(kind=CureKind.NONE, say=say, type=how, settings=kept[1] if kept else None)

    def _kept_out(self, one: Cause) -> tuple[Report, Settings] | None:
        """Returns the report with the operators of a break kept in PyTorch, if that helps."""
        now = self.session.settings
        targets = {f"torch.ops.{self.rows[n].target}" for n in one.nodes if n in self.rows}
        kept = tuple(sorted({*now.torch_executed_ops, *targets}))
        if kept == now.torch_executed_ops:
            return None
        settings = _with(now, torch_executed_ops=kept)
        report = self._analysed(self.session.variant(settings=settings), self.policy)
        if report is None or not Outcome.of(report).is_better(self.now):
            return None
        return report, settings

    def _analysed(self, session: Session, policy: TruncationPolicy) -> Report | None:
        self.tried += 1
        try:
            return session.analyze(policy)
        except TrtdbgError:
            return None

    def _resolves(self, one: Cause, report: Report) -> bool:
        """Returns whether a report of the same program is better, and the break is gone."""
        after_it = Outcome.of(report)
        # A setting that keeps operators out is told with what it costs to let them in.
        lets_in = one.kind is CauseKind.SETTING and after_it.holds_more(self.now)
        if not after_it.is_better(self.now) and not lets_in:
            return False
        if is_refused_by_tensorrt(one):
            return after_it.failing < self.now.failing
        if not one.nodes or _lowering_raises(one):
            return True
        after = {node.name: node for node in report.nodes}
        gone = [name for name in one.nodes if name not in after or _is_held(after[name])]
        return bool(gone)

    def _mends(self, one: Cause, report: Report) -> bool:
        """Returns whether a report of an edited program is better, and the break is less.

        The edit may name nodes anew: what is counted are operators of the same kind outside.
        """
        after = Outcome.of(report)
        if not after.is_better(self.now):
            return False
        if self.now.broken or after.failing < self.now.failing:
            return True
        targets = {self.rows[name].target for name in one.nodes if name in self.rows}
        left = sum(target in targets for target in report.torch_ops)
        now = sum(target in targets for target in self.report.torch_ops)
        return left < now or after.unusable < self.now.unusable

    def _cure(
        self,
        kind: CureKind,
        say: str,
        typed: str,
        report: Report,
        numbers: OutputAgreement,
        **more: Any,
    ) -> TriedCure:
        after = Outcome.of(report)
        brings = becomes(self.now.state, after.state)
        plain = self._plain(kind, f"{say}: {brings}", typed, after)
        reason = numbers.note if numbers.error is None else None
        cure = msgspec.structs.replace(
            plain, numbers=numbers.error, numbers_reason=reason, **more
        )
        return TriedCure(cure, after)

    def _plain(self, kind: CureKind, say: str, typed: str, after: Outcome) -> Cure:
        return Cure(
            kind=kind,
            say=say,
            type=typed,
            engines_before=self.now.engines,
            engines_after=after.engines,
            torch_ops_before=self.now.torch_ops,
            torch_ops_after=after.torch_ops,
        )


def _uncompared(outputs: Sequence[NodeError], missing: Sequence[NodeError]) -> str:
    """Returns which outputs were not compared and why, and what the others show."""
    first = missing[0]
    why = first.note or f"the original is not finite behind {first.after_not_finite}"
    compared = [row.max_abs_error or 0.0 for row in outputs if row not in missing]
    told = f"{len(missing)} of {count(len(outputs), 'output')} not compared ({why})"
    if not compared:
        return f"numbers not compared: {why}"
    worst = max(compared)
    return f"{told}, the others {f'differ by {worst:.3g} at most' if worst else 'the same'}"


def _edited(program: ExportedProgram, edits: Sequence[Rewrite]) -> ExportedProgram:
    """Returns a copy of a program with edits made in it.

    Raises:
        EditError: one cannot be made.
    """
    editor = Editor(copy_program(program))
    try:
        for edit in edits:
            edit.make(editor)
        return editor.finished()
    except EditError:
        raise
    except Exception as error:
        # FX and meta kernels refuse a graph in whatever exception they like.
        raise EditError(first_line(error)) from error


def _lowering_raises(one: Cause) -> bool:
    return one.kind is CauseKind.LOWERING_FAILED


def _is_held(node: NodeRecord) -> bool:
    return node.engine is not None


def _is_kind(node: NodeRecord, kind: RefusalKind) -> bool:
    return node.counterfactual is not None and node.counterfactual.kind is kind


def _is_symbolic(node: NodeRecord) -> bool:
    return node.shape is not None and any(isinstance(size, str) for size in node.shape)


def _holds(node: NodeRecord, dtype: str) -> bool:
    return dtype in str(node.inferred) or dtype in str(node.counterfactual)


def _with(settings: Settings, **changes: Any) -> Settings:
    return msgspec.structs.replace(settings, **changes)
