"""What `trtdbg compare` knows of each policy on each model: one row, made from its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from trtdbg.analysis.summary import broken_end, execution_time
from trtdbg.errors import ExitCode, TrtdbgError, WorkerBugError
from trtdbg.policy import KeepRule, Precision, Settings, Timing, TruncationPolicy
from trtdbg.records import (
    Agreement,
    BuildStatus,
    Environment,
    Level,
    LowCastTotals,
    NodeError,
    Numerics,
    Record,
    Report,
)

COMPARE_SCHEMA = "trtdbg.compare/1"

_PATHS = ("inputs", "constants", "computed")
_KEPT = ("keep_nodes", "keep_modules", "keep_operators", "keep_rules", "keep_measured")
_USUAL = TruncationPolicy()


class NamedPolicy(Record, frozen=True, kw_only=True):
    """A policy with the name that its rows have."""

    name: str
    policy: TruncationPolicy


class Casts(Record, frozen=True, kw_only=True):
    """The casts at the boundaries of a partition."""

    count: int
    bytes: int
    """Written per run by those whose size is known."""
    unknown: int
    """Casts of which a size has no example value."""


class FindingCounts(Record, frozen=True, kw_only=True):
    """Findings by level."""

    error: int
    warning: int
    note: int


class BuildTotals(Record, frozen=True, kw_only=True):
    """How the builds of all engines of a row ended."""

    built: int
    failed: int
    unavailable: int = 0
    cached: int = 0
    """Engines taken from the cache; their seconds are those of their real build."""
    seconds: float | None
    """Sum over the engines that are built; None if none is, as for `bytes`."""
    bytes: int | None
    error: str | None = None
    """What the first engine that is not built says."""
    target: str | None = None


class RunTime(Record, frozen=True, kw_only=True):
    """How long all engines take to run, one after the other."""

    median_ms: float | None = None
    unavailable: str | None = None
    """Why there is no time; None if there is one."""


class NumericError(Record, frozen=True, kw_only=True):
    """The worst of any program output, as `trtdbg report --numerics` measures it."""

    agreement: Agreement
    outputs: int
    max_abs_error: float | None = None
    """Largest error of elements finite in both programs; None where there are none."""
    max_rel_error: float | None = None
    nan_mismatches: int = 0
    inf_mismatches: int = 0
    inputs: str = ""
    """What the programs ran on."""
    note: str | None = None


class Row(Record, frozen=True, kw_only=True):
    """One policy on one model. Where there is an `error`, nothing else is known."""

    model: str
    name: str
    """What the policy is called."""
    policy: TruncationPolicy
    settings: Settings
    sha256: str | None = None
    """Of the model's file."""
    program: str | None = None
    """Name of the program, where the file holds several or one was named."""
    environment: Environment | None = None
    """Versions and GPU of the machine that made the row."""
    engines: int | None = None
    torch_ops: int | None = None
    casts: Casts | None = None
    low_casts: LowCastTotals | None = None
    """Inside engines; None without a low precision."""
    findings: FindingCounts | None = None
    build: BuildTotals | None = None
    """None if nothing was to be built, or there are no engines."""
    run: RunTime | None = None
    """None if nothing was built."""
    numerics: NumericError | None = None
    """None if nobody asked."""
    broken: str | None = None
    """What ended the analysis before there was a partition."""
    error: str | None = None
    """Why there is no row: the model cannot be read, or the worker died."""
    traceback: str | None = None
    """Of an error that is a bug of trtdbg."""
    exit_code: int = 0
    """What `trtdbg build` by itself ends with."""
    seconds: float = 0.0
    """Wall time of the row, starting its worker included."""


class PolicyComparison(Record, frozen=True, kw_only=True):
    """All rows, model by model, in the order in which models and policies were given."""

    schema: str = COMPARE_SCHEMA
    rows: tuple[Row, ...]
    side_by_side: int | None = None
    """Rows that ran at a time on this machine, disturbing each other's times."""


def policies(base: TruncationPolicy, *, named: bool = True) -> tuple[TruncationPolicy, ...]:
    """Returns what is compared unless somebody names policies.

    Every timing, and the timing of `base` with each of the three paths switched: off where it
    narrows something, else on for float64. Where a timing has no paths, nothing is switched.

    Args:
        base: what is varied.
        named: whether somebody chose the timing of `base`; else it is the first row, and the
            paths of `late` are switched.
    """
    timings = Timing if named else dict.fromkeys((base.timing, *Timing))
    found = [at(base, timing) for timing in timings]
    switching = base if named else at(base, Timing.LATE)
    if switching.timing.follows_lists:
        for path in _PATHS:
            switched: tuple[str, ...] = () if getattr(switching, path) else ("float64",)
            found.append(msgspec.structs.replace(switching, **{path: switched}))
    return tuple(found)


def at(base: TruncationPolicy, timing: Timing) -> TruncationPolicy:
    """Returns a policy with another timing, and the judge that the timing allows."""
    changed = msgspec.structs.replace(base, timing=timing)
    if timing.is_upstream:
        # torch_tensorrt asks only its validators.
        changed = msgspec.structs.replace(changed, verdicts=_USUAL.verdicts)
    if timing is Timing.OFF:
        changed = with_precision(changed, Precision.NONE)
    return changed


def with_precision(base: TruncationPolicy, precision: Precision) -> TruncationPolicy:
    """Returns a policy in another low precision, with what it keeps in float32.

    In float32, and under `off`, which lowers nothing, there is nothing to keep.
    """
    if precision is Precision.NONE or base.timing is Timing.OFF:
        return msgspec.structs.replace(
            base, **{name: getattr(_USUAL, name) for name in ("precision", *_KEPT)}
        )
    return msgspec.structs.replace(base, precision=precision)


def policy_name(policy: TruncationPolicy) -> str:
    """Returns `late`, and what is unusual about it: `late, inputs none`."""
    parts = [policy.timing.value]
    if policy.timing.follows_lists:
        parts += [
            f"{path} {'+'.join(getattr(policy, path)) or 'none'}"
            for path in _PATHS
            if getattr(policy, path) != getattr(_USUAL, path)
        ]
    if policy.verdicts is not _USUAL.verdicts:
        parts.append(f"verdicts {policy.verdicts.value}")
    if policy.is_low:
        parts += _low_parts(policy)
    return ", ".join(parts)


def _low_parts(policy: TruncationPolicy) -> Iterator[str]:
    yield f"low {policy.precision.value}"
    if set(policy.keep_rules) != set(KeepRule):
        yield f"rules {'+'.join(policy.keep_rules) or 'none'}"
    kept = sum(len(getattr(policy, name)) for name in _KEPT if name != "keep_rules")
    if kept:
        yield f"{kept} kept"


def row_of(model: str, name: str, report: Report, build: BuildTotals | None) -> Row:
    """Returns the row that a report makes.

    Args:
        model: path of the model as the user gave it.
        name: what the policy is called.
        report: with numerics if they were asked for.
        build: how the builds ended; None if there was nothing to build.
    """
    levels = Counter(finding.level for finding in report.findings)
    sizes = [cast.bytes for cast in report.boundary_casts]
    broken = broken_end(report)
    return Row(
        model=model,
        name=name,
        policy=report.policy,
        settings=report.settings,
        sha256=report.model.sha256,
        program=report.model.program,
        # What importing printed is no part of a figure, and stands in reports.
        environment=msgspec.structs.replace(report.environment, import_log=()),
        engines=len(report.engines),
        torch_ops=len(report.torch_ops),
        casts=Casts(
            count=len(sizes),
            bytes=sum(size for size in sizes if size is not None),
            unknown=sizes.count(None),
        ),
        low_casts=report.low_casts,
        findings=FindingCounts(**{level.value: levels[level] for level in Level}),
        build=build,
        run=_run_time(report) if build is not None else None,
        numerics=_numeric_error(report.numerics) if report.numerics is not None else None,
        broken=broken,
        exit_code=int(_exit_code(broken, build)),
    )


def without_figures(
    model: str, name: str, policy: TruncationPolicy, settings: Settings, error: TrtdbgError
) -> Row:
    """Returns the row of which there is only the error."""
    return Row(
        model=model,
        name=name,
        policy=policy,
        settings=settings,
        error=str(error),
        traceback=error.traceback if isinstance(error, WorkerBugError) else None,
        exit_code=int(error.exit_code),
    )


def build_totals(report: Report) -> BuildTotals | None:
    """Returns how the builds of a report's engines ended together; None without engines."""
    if not report.engines:
        return None
    builds = [engine.build for engine in report.engines]
    built = [build for build in builds if build.status is BuildStatus.BUILT]
    others = [build for build in builds if build.status is not BuildStatus.BUILT]
    return BuildTotals(
        built=len(built),
        failed=sum(b.status in (BuildStatus.FAILED, BuildStatus.CANCELLED) for b in others),
        unavailable=sum(build.status is BuildStatus.UNAVAILABLE for build in others),
        cached=sum(build.cached for build in built),
        seconds=_total(build.seconds for build in built),
        bytes=_total(build.bytes for build in built),
        error=next((build.error for build in others if build.error), None),
        target=next((build.target for build in builds), None),
    )


def no_builds(report: Report, why: str) -> BuildTotals | None:
    """Returns the same for a machine that cannot build; None without engines."""
    number = len(report.engines)
    if not number:
        return None
    return BuildTotals(
        built=0, failed=0, unavailable=number, seconds=None, bytes=None, error=why
    )


def worst_code(rows: Iterable[Row]) -> ExitCode:
    """Returns the highest exit code of any row."""
    return ExitCode(max((row.exit_code for row in rows), default=0))


Number = TypeVar("Number", int, float)


def _total(values: Iterable[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _exit_code(broken: str | None, totals: BuildTotals | None) -> ExitCode:
    if broken is not None or (totals is not None and totals.failed):
        return ExitCode.FAILED
    unavailable = totals is not None and totals.unavailable
    return ExitCode.UNAVAILABLE if unavailable else ExitCode.CLEAN


def _run_time(report: Report) -> RunTime:
    for engine in report.engines:
        if engine.timing is None:
            return RunTime(unavailable=execution_time(engine, report.environment))
    medians = (engine.timing.median_ms for engine in report.engines if engine.timing)
    return RunTime(median_ms=sum(medians))


_WORST_FIRST = (Agreement.BEYOND, Agreement.NOT_COMPARED, Agreement.WITHIN)


def _numeric_error(measured: Numerics) -> NumericError:
    outputs = measured.outputs
    return NumericError(
        agreement=min(
            (row.agreement for row in outputs),
            key=_WORST_FIRST.index,
            default=Agreement.NOT_COMPARED,
        ),
        outputs=len(outputs),
        max_abs_error=_worst(outputs, "max_abs_error"),
        max_rel_error=_worst(outputs, "max_rel_error"),
        nan_mismatches=sum(row.nan_mismatches for row in outputs),
        inf_mismatches=sum(row.inf_mismatches for row in outputs),
        inputs=measured.inputs,
        note=measured.note,
    )


def _worst(outputs: Iterable[NodeError], field: str) -> float | None:
    known = [value for row in outputs if (value := getattr(row, field)) is not None]
    return max(known, default=None)
