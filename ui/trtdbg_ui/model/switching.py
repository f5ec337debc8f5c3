"""The next policy of a key, and the numbers by which two policies are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from trtdbg.analysis.headline import failing_engines
from trtdbg.policy import Precision, Timing, TruncationPolicy, VerdictSource
from trtdbg.records import Report

PATHS = ("inputs", "constants", "computed")
"""The paths of a policy, each also the id of the action that switches it."""


TIMINGS = tuple(Timing)


_CHOICES: tuple[tuple[str, ...], ...] = (
    (),
    ("float64",),
    ("float64", "int64"),
    ("int64",),
)


def next_timing(policy: TruncationPolicy, step: int) -> TruncationPolicy:
    """Returns the policy with the next (1) or previous (-1) timing.

    Under upstream only validators decide, as they do in torch_tensorrt.
    """
    timing = TIMINGS[(TIMINGS.index(policy.timing) + step) % len(TIMINGS)]
    if timing.is_upstream:
        return replace(policy, timing=timing, verdicts=VerdictSource.VALIDATORS)
    return replace(policy, timing=timing)


def next_path(policy: TruncationPolicy, path: str, step: int) -> TruncationPolicy:
    """Returns the policy with the next set of wide dtypes narrowed on `path`."""
    current: tuple[str, ...] = getattr(policy, path)
    index = (_CHOICES.index(current) + step) % len(_CHOICES)
    return replace(policy, **{path: _CHOICES[index]})


def next_verdicts(policy: TruncationPolicy) -> TruncationPolicy:
    """Returns the policy with the other judge of what an engine may hold."""
    asks_tensorrt = policy.verdicts is VerdictSource.TENSORRT
    other = VerdictSource.VALIDATORS if asks_tensorrt else VerdictSource.TENSORRT
    return replace(policy, verdicts=other)


def next_precision(policy: TruncationPolicy) -> TruncationPolicy:
    """Returns the policy under which engines compute in the next dtype.

    Where nothing is truncated there is no low precision either: timing `off` becomes `late`.
    """
    order = tuple(Precision)
    precision = order[(order.index(policy.precision) + 1) % len(order)]
    timing = Timing.LATE if policy.timing is Timing.OFF else policy.timing
    return replace(policy, precision=precision, timing=timing)


def computes_in(policy: TruncationPolicy) -> str:
    """Returns the dtype that engines compute float32 values in."""
    return policy.precision.value if policy.is_low else "float32"


def paths_count(policy: TruncationPolicy) -> bool:
    """Returns whether the lists of the three paths have an effect."""
    return policy.timing.follows_lists


@dataclass(frozen=True)
class Tally:
    """The numbers of a report by which two policies are compared."""

    engines: int
    torch_ops: int
    boundary_casts: int | None
    """None where the policy was only partitioned, as for `findings`."""
    findings: int | None
    failed: int = 0
    """Engines that TensorRT refuses."""

    @classmethod
    def of(cls, report: Report) -> Tally:
        """Returns the numbers of a report."""
        return cls(
            len(report.engines),
            len(report.torch_ops),
            len(report.boundary_casts),
            len(report.findings),
            len(failing_engines(report)),
        )


def tallies(policy: TruncationPolicy, reports: Iterable[Report]) -> dict[Timing, Tally]:
    """Returns the numbers of the timings analysed already, all else being as in `policy`."""
    known = tuple(r for r in reports if r.policy.precision is policy.precision)
    found: dict[Timing, Tally] = {}
    for report in known:
        timing = report.policy.timing
        paths = paths_count(report.policy)
        if report.policy == replace(policy, timing=timing) or (
            not paths and report.policy.verdicts is policy.verdicts
        ):
            found[timing] = Tally.of(report)
    for report in known:
        made = report.headline
        for each in (made.compiled, made.late) if made is not None else ():
            if each is None or each.engines is None or each.torch_ops is None:
                continue
            if each.settings == report.settings and not each.truncate_double:
                tally = Tally(each.engines, each.torch_ops, None, None, each.failed)
                found.setdefault(each.timing, tally)
    return found


@dataclass(frozen=True)
class PolicySwitch:
    """What a switch from one policy to another changed."""

    title: str
    before: Tally
    after: Tally


def change(before: Report, after: Report) -> PolicySwitch:
    """Returns the difference of two reports under different policies."""
    title = _title(before, after)
    return PolicySwitch(title, Tally.of(before), Tally.of(after))


def _title(old: Report, new: Report) -> str:
    """Returns what a switch of policy set, like `late` or `inputs float64+int64`."""
    before, after = old.policy, new.policy
    parts = [after.timing.value] if after.timing is not before.timing else []
    for path in PATHS:
        if getattr(after, path) != getattr(before, path):
            parts.append(f"{path} {'+'.join(getattr(after, path)) or 'none'}")
    if computes_in(after) != computes_in(before):
        parts.append(f"engines in {computes_in(after)}")
    if after.verdicts is not before.verdicts:
        parts.append(f"verdicts {after.verdicts.value}")
    if new.settings.min_block_size != old.settings.min_block_size:
        parts.append(f"min block size {new.settings.min_block_size}")
    if new.settings.torch_executed_ops != old.settings.torch_executed_ops:
        parts.append("other operators kept in PyTorch")
    return ", ".join(parts)
