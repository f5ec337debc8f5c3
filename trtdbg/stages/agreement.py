"""Runs a program and an edited one on the same values on the CPU, and compares the outputs."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.utils._pytree import tree_flatten, tree_unflatten

from trtdbg.graphs.deviations import IncomparableError, Tolerance, deviation
from trtdbg.graphs.graph import captured_log, first_line
from trtdbg.graphs.raised import why_not_run
from trtdbg.graphs.replay import ProgramInputs

NOT_RUN = "the program does not run on the CPU"
"""What a note begins with where nothing can be compared."""

LARGEST_INTEGER = 2**31 - 1
"""Integers that an operator alone is tried on are up to this: what int32 holds."""


@dataclass(frozen=True)
class OutputAgreement:
    """How far the outputs of two programs are apart."""

    same: bool
    error: float | None
    """Largest absolute error of a finite float or integer; None if there is none."""
    note: str
    """What was compared, or why nothing could be."""


def compare(
    original: ExportedProgram,
    edited: ExportedProgram,
    inputs: Sequence[ProgramInputs],
    tolerance: Tolerance,
    *,
    floats_alike: bool = False,
) -> OutputAgreement:
    """Returns whether both programs give the same outputs within a tolerance.

    The first inputs have to run; of the others those that the original refuses are left out.
    Random operators draw the same in both. Dtypes have to be the same, unless `floats_alike`:
    then floats of any dtype are compared, each output to `rtol` times its largest magnitude.
    """
    one, other = original.module(), edited.module()
    worst: float | None = None
    compared: list[str] = []
    for given in inputs:
        try:
            expected = _run(original, one, given)
        except Exception as refusal:
            if compared:
                continue
            return OutputAgreement(False, None, f"{NOT_RUN}: {why_not_run(refusal)}")
        try:
            error = _error(
                expected, _run(edited, other, given), tolerance, floats_alike=floats_alike
            )
        except Exception as reason:
            return OutputAgreement(False, None, f"on {given.origin}: {first_line(reason)}")
        worst = error if worst is None else max(worst, error)
        compared.append(given.origin)
    return OutputAgreement(True, worst, f"compared on {', '.join(compared)}")


def _error(
    expected: Sequence[Any],
    computed: Sequence[Any],
    tolerance: Tolerance,
    *,
    floats_alike: bool,
) -> float:
    worst = 0.0
    for before, after in zip(expected, computed, strict=True):
        alike = floats_alike and _is_float(before) and _is_float(after)
        if not alike and _dtype(before) != _dtype(after):
            raise IncomparableError(f"an output is {_dtype(after)}, not {_dtype(before)}")
        if alike and before.numel():
            largest = float(before.double().nan_to_num(posinf=0.0, neginf=0.0).abs().max())
            tolerance = Tolerance(tolerance.rtol * largest, tolerance.rtol)
        found = deviation(before, after, tolerance)
        if found.beyond:
            raise IncomparableError(
                f"{found.beyond} of {found.elements} elements of an output differ, "
                f"by up to {found.max_abs_error}"
            )
        worst = max(worst, found.max_abs_error or 0.0)
    return worst


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype.is_floating_point


def _dtype(value: Any) -> str:
    return str(value.dtype) if isinstance(value, torch.Tensor) else type(value).__name__


def _run(program: ExportedProgram, module: torch.nn.Module, given: ProgramInputs) -> list[Any]:
    values = [v.clone() if isinstance(v, torch.Tensor) else v for v in given.values]
    args, kwargs = tree_unflatten(values, program.call_spec.in_spec)
    with _seeded(given.seed), torch.no_grad():
        returned: list[Any] = tree_flatten(module(*args, **kwargs))[0]
    return returned


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with captured_log("torch.export", logging.CRITICAL), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def hard_inputs(program: ExportedProgram, seed: int) -> ProgramInputs:
    """Returns random values for an operator alone, integers as large as int32 holds."""
    generator = torch.Generator().manual_seed(seed)
    values = []
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs:
            values.append(_hard(node.meta.get("val"), generator))
    return ProgramInputs(tuple(values), f"random values, seed {seed}", seed)


def _hard(value: Any, generator: torch.Generator) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    shape = [
        int(size) if isinstance(size, int) else int(size.node.hint) for size in value.shape
    ]
    if value.dtype is torch.bool:
        return torch.randint(0, 2, shape, generator=generator).to(torch.bool)
    if value.dtype.is_floating_point or value.dtype.is_complex:
        return torch.randn(shape, generator=generator).to(value.dtype)
    limits = torch.iinfo(value.dtype)
    low, high = max(limits.min, -LARGEST_INTEGER), min(limits.max, LARGEST_INTEGER)
    drawn = torch.randint(low, high, shape, generator=generator)
    return drawn.to(value.dtype)
