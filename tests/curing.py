"""Applies a cure by other code than that which tried it, and looks whether it is true."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.utils._pytree import tree_flatten, tree_unflatten

from trtdbg.archive.load import LoadedProgram
from trtdbg.compat.shape_ranges import drop_derived_ranges
from trtdbg.graphs.editing import Editor
from trtdbg.graphs.rewrites import Rewrite, float64_dropped, rewrites
from trtdbg.policy import Settings
from trtdbg.records import Cause, CauseKind, Cure, CureKind, Report
from trtdbg.session.outcomes import Outcome
from trtdbg.session.session import Session
from trtdbg.stages.capture import copy_program
from trtdbg.stages.inputs import program_inputs
from trtdbg.worker.messages import Job

Rewritten = Callable[[Cure], ExportedProgram | None]
"""Exports a model whose source line is the cure's; None where the line cannot be found."""


def session_of(
    program: ExportedProgram,
    args: Any = None,
    settings: Settings | None = None,
    probe_seconds: float = 60.0,
) -> Session:
    """Returns a session of a program that is read from a file, as a user's is."""
    loaded = LoadedProgram(
        _again(program), "model", "m.pt2", "", 0, args or program.example_inputs
    )
    job = Job(model="m.pt2", settings=settings or Settings(), probe_seconds=probe_seconds)
    return Session(job, lambda event: None, loaded)


def check_cures(session: Session, report: Report, rewritten: Rewritten) -> int:
    """Checks every cure of a report; returns how many were offered.

    Args:
        session: made the report, with cures tried.
        report: under any timing.
        rewritten: exports the model with a line of its source changed.
    """
    offered = [(cause, cure) for cause in report.causes for cure in cause.cures]
    for cause, cure in offered:
        check_cure(session, report, cause, cure, rewritten)
    return sum(cure.kind is not CureKind.NONE for _, cure in offered)


def check_cure(
    session: Session, report: Report, cause: Cause, cure: Cure, rewritten: Rewritten
) -> None:
    """Checks that a cure does what it says: engines, operators, and the same outputs."""
    told = f"{cause.reason} | {cure.say} | {cure.type}"
    before = Outcome.of(report)
    if cure.kind is CureKind.NONE:
        assert len(cause.cures) == 1, told
        if cure.settings is not None:
            kept = _with(session, cure.settings).analyze(report.policy)
            assert Outcome.of(kept).is_better(before), told
        return
    assert cure.engines_before == len(report.engines), told
    assert cure.torch_ops_before == len(report.torch_ops), told
    after, edited = _applied(session, report, cause, cure, rewritten)
    outcome = Outcome.of(after)
    assert outcome.engines == cure.engines_after, told
    assert outcome.torch_ops == cure.torch_ops_after, told
    assert outcome.is_better(before) or outcome.holds_more(before), told
    if edited is not None:
        check_outputs(session, edited, cure, told)


def check_outputs(session: Session, edited: ExportedProgram, cure: Cure, told: str) -> None:
    """Checks that an edited program returns what the model returns, in the same dtypes."""
    assert cure.numbers is not None, told
    given = program_inputs(session.program, session.loaded.example_inputs)
    worst = 0.0
    for one, other in zip(
        _run(session.program, given.values), _run(edited, given.values), strict=True
    ):
        assert type(one) is type(other), told
        if not isinstance(one, torch.Tensor):
            assert one == other, told
            continue
        assert one.dtype is other.dtype, told
        torch.testing.assert_close(
            other,
            one,
            rtol=1e-4,
            atol=1e-5,
            equal_nan=True,
            msg=lambda text: f"{told}: {text}",
        )
        if one.numel() and one.dtype is not torch.bool and not one.is_complex():
            apart = (one.double() - other.double()).abs()
            worst = max(worst, _max(apart))
    assert worst <= cure.numbers + 1e-12, told


def _max(apart: Any) -> float:
    finite = apart[torch.isfinite(apart)]
    return float(finite.max()) if finite.numel() else 0.0


def _run(program: ExportedProgram, values: Any) -> list[Any]:
    copies = [v.clone() if isinstance(v, torch.Tensor) else v for v in values]
    args, kwargs = tree_unflatten(copies, program.call_spec.in_spec)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        returned: list[Any] = tree_flatten(program.module()(*args, **kwargs))[0]
    return returned


def _applied(
    session: Session, report: Report, cause: Cause, cure: Cure, rewritten: Rewritten
) -> tuple[Report, ExportedProgram | None]:
    """Returns the report with a cure applied, and the program if that was edited."""
    if cure.policy is not None:
        return _with(session, session.settings).analyze(cure.policy), None
    if cure.settings is not None:
        return _with(session, cure.settings).analyze(report.policy), None
    edited = rewritten(cure) if cure.line is not None else None
    edited = edited or _edited(session, report, cause, cure)
    again = _with(session, session.settings, edited)
    return again.analyze(report.policy), edited


def _with(
    session: Session, settings: Settings, program: ExportedProgram | None = None
) -> Session:
    return session_of(
        program or session.program,
        session.loaded.example_inputs,
        settings,
        session._probe_seconds,
    )


def _edited(session: Session, report: Report, cause: Cause, cure: Cure) -> ExportedProgram:
    """Returns the program with the edit made that a cure tells."""
    group = next(
        group
        for group in _groups(session.program, report, cause)
        if cure.say.startswith(f"{group[0].say}: ")
        and (group[0].line or group[0].call) in str(cure.type)
    )
    editor = Editor(copy_program(session.program))
    for each in group:
        each.make(editor)
    return _again(editor.finished())


def _again(program: ExportedProgram) -> ExportedProgram:
    """Returns a program as it is after it was saved and read."""
    written = io.BytesIO()
    torch.export.save(program, written)
    written.seek(0)
    read = torch.export.load(written)
    drop_derived_ranges(read)
    return read


def _groups(program: ExportedProgram, report: Report, cause: Cause) -> Iterator[list[Rewrite]]:
    nodes = {node.name: node for node in program.graph.nodes}
    rows = {row.name: row for row in report.nodes}
    failed = next((p.node for p in report.passes if p.error and p.node), None)
    names = (failed,) if failed in rows else cause.nodes
    if cause.kind is CauseKind.PARTITION_FAILED:
        # It is cured with the validator that raised.
        crashed = [c for c in report.causes if c.kind is CauseKind.VALIDATOR_CRASHED]
        names = crashed[0].nodes if crashed else cause.nodes
    named = [n for name in names for n in (rows[name].from_node, name)]
    origins = [nodes[name] for name in dict.fromkeys(named) if name in nodes]
    for each in float64_dropped(origins):
        yield [each]
    by_node = [{each.key: each for each in rewrites(node)} for node in origins]
    for key in dict.fromkeys(key for own in by_node for key in own):
        yield [own[key] for own in by_node if key in own]
