"""The list of passes: numbered, by phase, with what each added, removed and retyped."""

from __future__ import annotations

from trtdbg.analysis.summary import count, failed_pass
from trtdbg.records import PassRecord, Phase, Report
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.pass_steps import Heading, is_telling
from trtdbg_ui.render.signs import counts
from trtdbg_ui.text import Line, Span, Tone, fit, spread, width

PHASE_TITLE = {
    Phase.LOAD: "load",
    Phase.PRE_EXPORT: "pre-export",
    Phase.DECOMPOSITION: "decomposition",
    Phase.POST_LOWERING: "post-lowering",
    Phase.TRUNCATION: "truncation",
    Phase.PARTITION: "partition",
    Phase.BOUNDARY: "boundary repair",
}


def heading_line(heading: Heading, size: int) -> Line:
    """Returns the name of a phase."""
    return ((fit(PHASE_TITLE[heading.phase], size), Tone.HEAD),)


def pass_line(report: Report, place: int, size: int) -> Line:
    """Returns one pass: number, name, counts, time."""
    record = report.passes[place]
    tone = Tone.PLAIN if is_telling(report, place) else Tone.DIM
    did = _did(record, place)
    time: Line = ()
    # The program was not made by a pass: its number of nodes stands in the place of a time.
    if size >= _ROOM_FOR_TIMES and (place or record.seconds):
        time = ((f" {_time(record.seconds):>6}", Tone.DIM),)
    room = size - 4 - width(did)
    return (
        (f"{record.index:>3} ", Tone.DIM),
        (fit(record.name, max(room - width(time), 1)), tone),
        *did,
        *time,
    )


_ROOM_FOR_TIMES = 30
"""Cells from which on the times have a column; in fewer they would leave no room for names."""


def _time(seconds: float | None) -> str:
    """Returns a duration in six cells, as every cell is one less for a name."""
    if not seconds:
        return ""
    if seconds < 0.9995:
        milliseconds = seconds * 1000
        return f"{milliseconds:.{0 if milliseconds >= 9.95 else 1}f} ms"
    return f"{seconds:.{0 if seconds >= 99.95 else 1}f} s"


def _did(record: PassRecord, place: int) -> tuple[Span, ...]:
    if record.error is not None:
        return ((" ✖ raised", Tone.BAD),)
    if place == 0:
        return ((f" {record.nodes} nodes", Tone.DIM),)
    if record.phase is Phase.PARTITION and record.removed:
        return ((f" {len(record.removed)} into engines", Tone.KEY),)
    did = counts(len(record.added), len(record.removed), len(record.retyped))
    if did:
        return ((" ", Tone.PLAIN), *did)
    return ((" *", Tone.KEY),) if record.changed else ()


def result_line(report: Report, size: int) -> Line:
    """Returns the last entry: what comes out of all passes."""
    left: Line = ((f"  {key('result')} ", Tone.KEY), ("result", Tone.STRONG))
    if failed_pass(report) is not None:
        return spread(left, ((" ✖ none", Tone.BAD),), size)
    engines, ops = len(report.engines), len(report.torch_ops)
    tone = Tone.GOOD if engines == 1 and not ops else Tone.WARN
    long: Line = ((f"{count(engines, 'engine')}, {count(ops, 'PyTorch op')}", tone),)
    if width(left) + width(long) + 2 <= size:
        return spread(left, long, size)
    return spread(left, ((f"{engines} E, {ops} ops", tone),), size)
