"""Runs a program with some operators in a low type, again and again, against its original."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_leaves, tree_map_only

from trtdbg.graphs.deviations import IncomparableError, Tolerance, deviation
from trtdbg.graphs.flat import Flat, FlatStep, flatten
from trtdbg.graphs.low_arithmetic import LowArithmetic
from trtdbg.graphs.replay import Missing, ProgramInputs, Replay, is_drawn


@dataclass(frozen=True)
class OutputDistance:
    """How far the outputs of one run are from the original's."""

    times_tolerance: float
    """The largest error as a multiple of what is tolerated there; inf where an element is
    nan or infinite in one of both only, or an output was not computed."""
    outputs: tuple[float, ...] = ()
    """The same of each output."""
    max_abs_error: float | None = None
    first_inf: str | None = None
    """The first operator that made infinite values of finite ones, and no original did."""
    first_nan: str | None = None


@dataclass
class LowRuns:
    """One program on several inputs, its original outputs kept."""

    module: GraphModule
    """A lowered graph in float32; it is not changed."""
    given: tuple[ProgramInputs, ...]
    arithmetic: LowArithmetic
    tolerance: Tolerance
    originals: list[tuple[Any, ...]] = field(default_factory=list)
    local: dict[str, float] = field(default_factory=dict)
    """Error of each operator that is low by itself, on original operands; see `measure`."""
    largest: dict[str, float] = field(default_factory=dict)
    """The largest finite magnitude that an operator reads or makes."""
    drawn: list[dict[Node, Any]] = field(default_factory=list)
    atol: tuple[float, ...] = ()
    """Of each output, in place of the tolerance's."""

    @functools.cached_property
    def _flat(self) -> Flat:
        """The steps of the program, which every run goes through."""
        return flatten(self.module)

    def _outputs(self, replay: Replay) -> tuple[Any, ...]:
        outputs = self._flat.outputs
        return tuple(replay.values[v] if isinstance(v, Node) else v for v in outputs)

    def measure(self, candidates: frozenset[str]) -> None:
        """Runs the original, and each candidate low on the original's operands.

        Fills `originals`, and `local`: the largest error as a multiple of
        `atol + rtol * |largest value of the result|`, inf where a finite value is lost.
        """
        for given in self.given:
            replay, drawn = Replay(self._flat, given.values, Counter(), given.seed), {}
            for step in self._flat.steps:
                args, kwargs = replay.operands(step)
                value = replay.compute(step, args, kwargs)
                if is_drawn(step):
                    drawn[step.node] = value
                if step.node.name in candidates:
                    self._measure(replay, step, args, kwargs, value)
                replay.keep(step.node, value)
            self.drawn.append(drawn)
            self.originals.append(self._outputs(replay))

    def _measure(
        self, replay: Replay, step: FlatStep, args: Any, kwargs: Any, value: Any
    ) -> None:
        low = self._low(replay, step, args, kwargs)
        name = step.node.name
        self.local[name] = max(self.local.get(name, 0.0), self._local(value, low))
        seen = max(
            (largest_finite(each) for each in tree_leaves((args, kwargs, value))), default=0.0
        )
        self.largest[name] = max(self.largest.get(name, 0.0), seen)

    def _local(self, value: Any, low: Any) -> float:
        worst = 0.0
        for one, other in zip(tree_leaves(value), tree_leaves(low), strict=False):
            if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
                continue
            if not one.dtype.is_floating_point or not one.numel():
                continue
            lost = torch.isfinite(one) & ~torch.isfinite(other)
            if bool(lost.any()):
                return float("inf")
            finite = torch.isfinite(one)
            if not bool(finite.any()):
                continue
            error = (one - other)[finite].abs().max()
            scale = self.tolerance.atol + self.tolerance.rtol * one[finite].abs().max()
            worst = max(worst, float(error / scale) if float(scale) else float("inf"))
        return worst

    def evaluate(self, low: frozenset[str]) -> OutputDistance:
        """Returns the errors of the outputs with these operators low, on the worst input."""
        worst: OutputDistance | None = None
        for place, given in enumerate(self.given):
            found = self._evaluate(given, low, place)
            if worst is None or found.times_tolerance > worst.times_tolerance:
                worst = found
        assert worst is not None
        return worst

    def _evaluate(
        self, given: ProgramInputs, low: frozenset[str], place: int
    ) -> OutputDistance:
        replay = Replay(self._flat, given.values, Counter(), given.seed)
        first: dict[str, str] = {}
        for step in self._flat.steps:
            args, kwargs = replay.operands(step)
            if step.node in self.drawn[place]:
                value = self.drawn[place][step.node]
            elif step.node.name in low:
                value = self._low(replay, step, args, kwargs)
                _note_not_finite(first, step.node.name, args, kwargs, value)
            else:
                value = replay.compute(step, args, kwargs)
            replay.keep(step.node, value)
        errors = [
            self._error(one, other, tolerance)
            for one, other, tolerance in zip(
                self.originals[place],
                self._outputs(replay),
                self._tolerances(place),
                strict=True,
            )
        ]
        times = tuple(each for each, _ in errors)
        absolute = [each for _, each in errors if each is not None]
        return OutputDistance(
            max(times, default=0.0),
            times,
            max(absolute, default=None),
            first.get("inf"),
            first.get("nan"),
        )

    def _low(self, replay: Replay, step: FlatStep, args: Any, kwargs: Any) -> Any:
        def compute(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return replay.compute(step, args, kwargs)

        if any(isinstance(leaf, Missing) for leaf in tree_leaves((args, kwargs))):
            return replay.compute(step, args, kwargs)
        value = self.arithmetic.value(step.node, args, kwargs, compute)
        return tree_map_only(torch.Tensor, self._wide, value)

    def _wide(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(torch.float32) if value.dtype == self.arithmetic.type else value

    def _tolerances(self, place: int) -> list[Tolerance]:
        count, tolerance = len(self.originals[place]), self.tolerance
        absolute = self.atol or (tolerance.atol,) * count
        return [Tolerance(each, tolerance.rtol) for each in absolute]

    def _error(
        self, original: Any, computed: Any, tolerance: Tolerance
    ) -> tuple[float, float | None]:
        if isinstance(original, Missing) or isinstance(computed, Missing):
            return float("inf"), None
        try:
            found = deviation(original, computed, tolerance)
        except IncomparableError:
            return float("inf"), None
        if found.nan_mismatches or found.inf_mismatches:
            return float("inf"), found.max_abs_error
        exact = not any(
            isinstance(leaf, torch.Tensor) and leaf.dtype.is_floating_point
            for leaf in tree_leaves(original)
        )
        if exact:
            return (float("inf") if found.beyond else 0.0), found.max_abs_error
        return found.times_tolerance or 0.0, found.max_abs_error


def _note_not_finite(
    first: dict[str, str], name: str, args: Any, kwargs: Any, value: Any
) -> None:
    for kind, test in (("inf", torch.isinf), ("nan", torch.isnan)):
        if kind in first or not _any(test, value):
            continue
        if not _any(test, (args, kwargs)):
            first[kind] = name


def _any(test: Any, value: Any) -> bool:
    return any(
        bool(test(leaf).any())
        for leaf in tree_leaves(value)
        if isinstance(leaf, torch.Tensor) and leaf.dtype.is_floating_point
    )


def largest_finite(leaf: Any) -> float:
    """Returns the largest finite magnitude in a floating tensor; 0 if there is none."""
    if not isinstance(leaf, torch.Tensor) or not leaf.dtype.is_floating_point:
        return 0.0
    finite = leaf[torch.isfinite(leaf)]
    return float(finite.abs().max()) if finite.numel() else 0.0
