"""What stays true of an earlier report when another worker answers anew."""

from __future__ import annotations

from msgspec.structs import replace

from trtdbg.records import BuildRecord, BuildStatus, EngineRecord, Finding, Report


def kept(old: Report, new: Report) -> Report:
    """Returns the new report with builds and measurements that only the old one has.

    A worker that is cancelled or dies takes its memory with it; the next one knows nothing of
    the engines that were built or of the numbers that were measured. Both reports are about
    the same program, settings and policy.
    """
    if old.model.sha256 != new.model.sha256:
        return new
    before = {engine.index: engine for engine in old.engines}
    engines = tuple(_engine(before.get(engine.index), engine) for engine in new.engines)
    lost = old.numerics is not None and new.numerics is None
    return replace(
        new,
        engines=engines,
        numerics=old.numerics if lost else new.numerics,
        findings=(*new.findings, *_measured(old, new)) if lost else new.findings,
        consequences=new.consequences or old.consequences,
        suggestion=new.suggestion or old.suggestion,
        headline=new.headline or old.headline,
    )


def _engine(old: EngineRecord | None, new: EngineRecord) -> EngineRecord:
    if old is None or old.nodes != new.nodes or not _unbuilt(new.build):
        return new
    if old.build.status is not BuildStatus.BUILT:
        return new
    return replace(
        new, build=old.build, timing=old.timing, timing_unavailable=old.timing_unavailable
    )


def _unbuilt(build: BuildRecord) -> bool:
    return build.status in (BuildStatus.NOT_BUILT, BuildStatus.CANCELLED)


def _measured(old: Report, new: Report) -> tuple[Finding, ...]:
    """Returns the findings that the measurement added to the old report."""
    known = set(new.findings)
    codes = ("TD401", "TD402")
    return tuple(f for f in old.findings if f.code in codes and f not in known)
