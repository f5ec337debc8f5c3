"""All timings and policies side by side: what each makes of the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trtdbg.analysis import comparison
from trtdbg.analysis.summary import bytes_text, total_text
from trtdbg.policy import TruncationPolicy
from trtdbg.records import BuildStatus, Report
from trtdbg_ui.model.activity import Activity
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.model.questions import choice_of
from trtdbg_ui.model.state import State
from trtdbg_ui.model.switching import paths_count
from trtdbg_ui.render.activity import elapsed, stage_text
from trtdbg_ui.render.columns import Column, Extent, Layout, lay_out, row_line, title_line
from trtdbg_ui.requests.desk import Desk
from trtdbg_ui.text import Line, Span, Tone


@dataclass(frozen=True)
class MatrixRow:
    """One policy and what is known of it."""

    policy: TruncationPolicy
    loaded: Loaded | None
    doing: str = ""
    """What runs or waits for it; empty if nothing does."""
    error: str = ""


def policies(policy: TruncationPolicy) -> tuple[TruncationPolicy, ...]:
    """Returns the policies that `trtdbg compare` compares too, the one in force among them."""
    return comparison.policies(policy, named=policy.timing.follows_lists)


def matrix_rows(desk: Desk, state: State, now: float) -> tuple[MatrixRow, ...]:
    """Returns a row per policy, with what runs or waits for it at the moment."""
    waiting = {choice_of(request) for request in desk.waiting}
    running = choice_of(desk.running) if desk.running is not None else None
    rows = []
    for policy in policies(state.policy):
        choice = (desk.job.settings, policy)
        doing = "waits" if choice in waiting else ""
        if choice == running:
            doing = _doing(state.activity, now)
        error = desk.errors.get(choice, "")
        rows.append(MatrixRow(policy, desk.report(policy), doing, error))
    return tuple(rows)


def _doing(activity: Activity | None, now: float) -> str:
    if activity is None:
        return "… begins"
    stage = f": {stage_text(activity.current)}" if activity.current is not None else ""
    return f"… {activity.verb}{stage} {elapsed(now - activity.started)}"


COLUMNS = (
    Column("timing", ("timing",), least=8, most=8),
    Column("inputs", ("inputs", "in"), least=7, most=13, goes=2),
    Column("constants", ("constants", "const"), least=7, most=13, goes=1),
    Column("computed", ("computed", "comp"), least=7, most=13, goes=3),
    Column("engines", ("engines", "eng"), least=3, most=7, align="right"),
    Column("torch_ops", ("PyTorch ops", "ops"), least=3, most=11, align="right"),
    Column("casts", ("casts",), least=5, most=5, align="right"),
    Column("findings", ("findings", "find."), least=5, most=8, align="right"),
    Column("build", ("build",), least=18, most=18, stretch=True),
)
_NATURAL = {
    "timing": Extent(8, 8),
    "inputs": Extent(13, 13),
    "constants": Extent(13, 13),
    "computed": Extent(13, 13),
    "engines": Extent(7, 7),
    "torch_ops": Extent(11, 11),
    "casts": Extent(5, 5),
    "findings": Extent(8, 8),
    "build": Extent(24, 60),
}


def layout(size: int) -> Layout:
    """Returns the columns for `size` cells."""
    return lay_out(COLUMNS, _NATURAL, size)


def heading(size: int) -> Line:
    """Returns the titles of the columns."""
    return title_line(layout(size))


def matrix_line(
    row: MatrixRow, rows: Sequence[MatrixRow], here: TruncationPolicy, size: int
) -> Line:
    """Returns one row; the best numbers of a column stand out."""
    live = paths_count(row.policy)
    policy = row.policy
    timing = (policy.timing.value, Tone.STRONG if policy == here else Tone.PLAIN)
    cells: dict[str, Span] = {"timing": timing}
    for path in ("inputs", "constants", "computed"):
        names = tuple(
            name.replace("float", "f").replace("int", "i") for name in getattr(policy, path)
        )
        cells[path] = ("+".join(names) or "none", Tone.PLAIN) if live else ("·", Tone.DIM)
    report = row.loaded.report if row.loaded is not None else None
    numbers = _numbers(report)
    best = [_numbers(other.loaded.report) for other in rows if other.loaded is not None]
    for index, key in enumerate(("engines", "torch_ops", "casts", "findings")):
        if numbers is None:
            cells[key] = ("", Tone.DIM)
            continue
        # No engine at all is not fewer engines than one.
        least = min((each[index] for each in best if each and each[0]), default=None)
        tone = Tone.GOOD if numbers[0] and numbers[index] == least else Tone.PLAIN
        cells[key] = (f"{numbers[index]:,}", tone)
    cells["build"] = _state(row, report)
    return row_line(layout(size), cells)


def _numbers(report: Report | None) -> tuple[int, int, int, int] | None:
    if report is None:
        return None
    return (
        len(report.engines),
        len(report.torch_ops),
        len(report.boundary_casts),
        len(report.findings),
    )


def _state(row: MatrixRow, report: Report | None) -> Span:
    if row.doing:
        return row.doing, Tone.DIM if row.doing == "waits" else Tone.WARN
    if row.error:
        return f"✖ {row.error}", Tone.BAD
    if report is None:
        return "not analysed", Tone.DIM
    return build_text(report)


def build_text(report: Report) -> Span:
    """Returns how the builds of a report ended: number, seconds, bytes, run time if known."""
    builds = [engine.build for engine in report.engines]
    failed = sum(build.status is BuildStatus.FAILED for build in builds)
    built = [build for build in builds if build.status is BuildStatus.BUILT]
    if failed:
        return f"✖ {failed} of {len(builds)} failed", Tone.BAD
    if not built:
        return ("not built" if builds else "no engines"), Tone.DIM
    if len(built) < len(builds):
        return f"{len(built)} of {len(builds)} built", Tone.WARN
    took = total_text((build.seconds for build in built), elapsed, "time unknown")
    size = total_text((build.bytes for build in built), bytes_text, "size unknown")
    parts = [f"✓ {took}", size]
    timed = [engine for engine in report.engines if engine.timing is not None]
    if len(timed) == len(builds):
        total = sum(engine.timing.median_ms for engine in timed if engine.timing)
        parts.append(f"runs {total:.3g} ms")
    else:
        parts.append("not timed")
    return ", ".join(parts), Tone.GOOD
