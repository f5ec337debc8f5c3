"""Tries the cure of a mixed-precision leak: float32 constants converted to the model's type.

All that leak are converted together, as one that is left would make the same float32.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import torch
from torch.export import ExportedProgram

from trtdbg.analysis import leaks
from trtdbg.analysis.leaks import Leak
from trtdbg.analysis.summary import count
from trtdbg.errors import TrtdbgError
from trtdbg.graphs.deviations import Tolerance
from trtdbg.graphs.editing import EditError, Editor
from trtdbg.graphs.graph import first_line, refresh_metadata, torch_dtype
from trtdbg.policy import TruncationPolicy
from trtdbg.records import Cure, CureKind, Report
from trtdbg.session.outcomes import Outcome
from trtdbg.stages import agreement
from trtdbg.stages.capture import copy_program, with_tensors
from trtdbg.stages.inputs import program_inputs

if TYPE_CHECKING:
    from trtdbg.session.session import Session

NAMED = 3
"""Constants that are named before the rest is only counted."""

TIMES_EPSILON = 10
"""What the outputs may differ by, in steps of the low type at their largest magnitude."""


def leak_cures(session: Session, policy: TruncationPolicy, report: Report) -> dict[str, Cure]:
    """Returns what converting the leaking constants brings, by the nodes that leak.

    Empty if nothing leaks, or if none of it is a parameter, a buffer or a constant of the
    program: an input is the caller's, and of what lowering folded there is nothing to convert.
    """
    program = session.program
    named = set(_held(program).values())
    all_leaks = leaks.leaks(report)
    found = [leak for leak in all_leaks if leak.constants and named >= set(leak.constants)]
    if not found:
        return {}
    places = _places(found)
    try:
        edited = converted(program, places, torch_dtype(found[0].low))
        after = session.variant(program=edited).analyze(policy)
    except (TrtdbgError, EditError) as error:
        cure = _nothing(found, f"does not lower: {first_line(error)}")
    else:
        cure = _judged(session, edited, found, report, after)
    return {leak.node: cure for leak in found}


def converted(
    program: ExportedProgram, places: Collection[str], dtype: torch.dtype
) -> ExportedProgram:
    """Returns a copy of a program with some of its tensors in another dtype.

    Raises:
        EditError: PyTorch refuses an operator in its new dtypes, or the program writes one.
    """
    held = _held(program)
    written = set(program.graph_signature.buffers_to_mutate.values()) & set(places)
    if written:
        raise EditError(f"the program writes {min(written)}")
    tensors = {**program.state_dict, **program.constants}
    new = {name: _as_dtype(tensors[name], dtype) for name in places}
    editor = Editor(with_tensors(copy_program(program), new))
    for node in editor.graph.nodes:
        if node.op == "placeholder" and held.get(node.name) in new:
            refresh_metadata(node, node.meta["val"].to(dtype))
    try:
        editor.refresh()
        return editor.finished()
    except EditError:
        raise
    except Exception as error:
        # FX refuses a graph in whatever exception it likes.
        raise EditError(first_line(error)) from error


def _held(program: ExportedProgram) -> dict[str, str]:
    """Returns the names of a program's tensors by the placeholders that hold them."""
    signature = program.graph_signature
    return {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }


def _as_dtype(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    made = tensor.detach().to(dtype)
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(made, requires_grad=tensor.requires_grad)
    return made


def _judged(
    session: Session, edited: ExportedProgram, found: list[Leak], before: Report, after: Report
) -> Cure:
    """Returns the cure, or none where it leaks still, costs engines or moves numbers."""
    still = {name for leak in leaks.leaks(after) for name in leak.constants}
    left = still & set(_places(found))
    was, now = leaks.wide_operators(before), leaks.wide_operators(after)
    if left or now >= was:
        return _nothing(found, f"leaves {now} of {count(was, 'operator')} in float32")
    if Outcome.of(before).is_better(Outcome.of(after)):
        return _nothing(found, f"makes {count(len(after.engines), 'engine')} of the model")
    loaded = session.loaded
    given = [program_inputs(loaded.program, loaded.example_inputs)]
    step = TIMES_EPSILON * torch.finfo(torch_dtype(found[0].low)).eps
    numbers = agreement.compare(
        session.program, edited, given, Tolerance(0.0, step), floats_alike=True
    )
    if not numbers.same:
        return _nothing(found, f"changes the numbers: {numbers.note}")
    low = found[0].low
    casts, fewer = leaks.casts_between(before, low), leaks.casts_between(after, low)
    back = f", {_become(casts, 'cast', fewer)}" if casts != fewer else ""
    return Cure(
        kind=CureKind.EDIT,
        say=f"convert {_names(found)} to {low}: {_become(was, 'float32 operator', now)}{back}",
        type=_statement(session.program, found),
        engines_before=len(before.engines),
        engines_after=len(after.engines),
        torch_ops_before=len(before.torch_ops),
        torch_ops_after=len(after.torch_ops),
        numbers=numbers.error,
        numbers_reason=numbers.note if numbers.error is None else None,
    )


def _become(before: int, noun: str, after: int) -> str:
    return f"{count(before, noun)} become{'s' if before == 1 else ''} {after or 'none'}"


def _nothing(found: list[Leak], why: str) -> Cure:
    return Cure(kind=CureKind.NONE, say=f"to convert {_names(found)} to {found[0].low} {why}")


def _places(found: list[Leak]) -> list[str]:
    return sorted({name for leak in found for name in leak.constants})


def _names(found: list[Leak]) -> str:
    names = _places(found)
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _statement(program: ExportedProgram, found: list[Leak]) -> str | None:
    """Returns what converts them in Python; None where one is no parameter or buffer.

    What is made inside `forward` is converted where it stands.
    """
    signature, places = program.graph_signature, _places(found)
    for get, names in (
        ("get_parameter", signature.parameters),
        ("get_buffer", signature.buffers),
    ):
        if set(names) >= set(places):
            held = f"model.{get}(name)"
            return f"for name in {places}: {held}.data = {held}.data.to(torch.{found[0].low})"
    return None
