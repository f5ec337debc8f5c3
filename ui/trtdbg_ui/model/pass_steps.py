"""The passes that a list shows, and the steps from one to the next."""

from __future__ import annotations

from dataclasses import dataclass

from trtdbg.records import Phase, Report


@dataclass(frozen=True)
class Heading:
    """Starts the passes of one phase."""

    phase: Phase


@dataclass(frozen=True)
class Entry:
    """One pass that can be selected; `place` None is the result, after all passes."""

    place: int | None


def entries(
    report: Report, hide_unchanged: bool, keep: int | None
) -> tuple[Heading | Entry, ...]:
    """Returns the passes with a heading where a phase begins, and the result at the end.

    Args:
        report: The report whose passes are listed.
        hide_unchanged: Leave out what changed nothing; the first graph and failures stay.
        keep: Place of the selected pass, which stays in any case.
    """
    listed: list[Heading | Entry] = []
    phase = None
    for place, record in enumerate(report.passes):
        if hide_unchanged and place != keep and not is_telling(report, place):
            continue
        if record.phase is not phase:
            listed.append(Heading(record.phase))
            phase = record.phase
        listed.append(Entry(place))
    listed.append(Entry(None))
    return tuple(listed)


def is_telling(report: Report, place: int) -> bool:
    """Returns whether a pass changed the graph, failed, or is the loaded program."""
    record = report.passes[place]
    return place == 0 or record.changed or record.error is not None


def neighbour(
    report: Report, place: int | None, step: int, *, telling: bool, hide_unchanged: bool
) -> int | None:
    """Returns the place `step` passes on (1 or -1); the result (None) follows the last pass.

    Args:
        report: The report whose passes are stepped through.
        place: Where to start from; None is the result.
        step: 1 for the next pass, -1 for the previous one.
        telling: Step only to passes that changed something.
        hide_unchanged: As in the list: what is hidden is stepped over.
    """
    here = len(report.passes) if place is None else place
    target = here + step
    while 0 <= target < len(report.passes):
        if not (telling or hide_unchanged) or is_telling(report, target):
            return target
        target += step
    return None if target >= len(report.passes) else place
