"""The policy bar: timing and the three paths with their keys, the settings, what changed."""

from __future__ import annotations

from collections.abc import Mapping

from trtdbg.analysis.summary import PREBUILT, count
from trtdbg.policy import Settings, Timing, TruncationPolicy, VerdictSource, changed_settings
from trtdbg.records import Environment, Report
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.switching import (
    PATHS,
    TIMINGS,
    PolicySwitch,
    Tally,
    computes_in,
    paths_count,
)
from trtdbg_ui.text import Line, Span, Tone, line, pack, spread, width

_WORDS = ("inputs", "constants", "computed")
_SHORT_WORDS = ("in", "const", "comp")
_GAP: Span = ("   ", Tone.PLAIN)


def keys_to(timing: Timing, goal: Timing) -> str:
    """Returns the fewest keys that go from one timing to another, like `t` or `T T`."""
    ahead = (TIMINGS.index(goal) - TIMINGS.index(timing)) % len(TIMINGS)
    behind = len(TIMINGS) - ahead
    if ahead <= behind:
        return " ".join([key("timing")] * ahead)
    return " ".join([key("previous-timing")] * behind)


_TALLY_WORDS = (
    ("engines", "engines"),
    ("torch_ops", "PyTorch ops"),
    ("boundary_casts", "casts"),
    ("findings", "findings"),
)


def change_line(change: PolicySwitch, size: int) -> Line:
    """Returns what became of the numbers, like `late: engines 13 → 1, PyTorch ops 12 → 0`.

    Fewer is better for each of them.
    """
    title = line((f"{change.title}: ", Tone.STRONG))
    parts: list[tuple[int, Line]] = []
    for importance, (field, word) in enumerate(_TALLY_WORDS):
        old, new = getattr(change.before, field), getattr(change.after, field)
        if old != new:
            tone = Tone.GOOD if new < old else Tone.WARN
            parts.append((importance, line((f"{word} {old} → {new}", tone))))
    if not parts:
        parts.append((0, line(("same engines, casts, findings", Tone.DIM))))
    told = (*title, *pack(parts, size - width(title), (", ", Tone.PLAIN)))
    more = line("  ", (key("what-changed"), Tone.KEY), (" shows", Tone.DIM))
    return (*told, *more) if width(told) + width(more) <= size else told


def policy_line(policy: TruncationPolicy, known: Mapping[Timing, Tally], size: int) -> Line:
    """Returns timing and paths with their keys, as fully as `size` cells allow.

    Args:
        policy: The policy in force.
        known: Numbers of the timings already analysed with the same paths.
        size: Cells available.
    """
    paths, short_paths = _paths(policy, _WORDS), _paths(policy, _SHORT_WORDS)
    one = line((f" {key('timing')} ", Tone.KEY), (policy.timing.value, Tone.STRONG))
    variants = (
        _join((_all_timings(policy, known), *paths)),
        _join((_all_timings(policy, known, short=True), *paths)),
        _join((_all_timings(policy, known, short=True), *short_paths)),
        _join((_all_timings(policy, {}), *paths)),
        _join((_all_timings(policy, {}), *short_paths)),
        _join((one, *paths)),
        _join((one, *short_paths)),
        _join(
            (
                one,
                line(
                    (" ".join(key(path) for path in PATHS), Tone.KEY),
                    (" without effect", Tone.DIM),
                ),
            )
        ),
    )
    return next((v for v in variants if width(v) <= size), variants[-1])


def _join(parts: tuple[Line, ...]) -> Line:
    spans: list[Span] = []
    for part in parts:
        spans.extend((_GAP, *part) if spans else part)
    return tuple(spans)


def _all_timings(
    policy: TruncationPolicy, known: Mapping[Timing, Tally], *, short: bool = False
) -> Line:
    spans: list[Span] = [(f" {key('timing')}", Tone.KEY), (" timing ", Tone.DIM)]
    for timing in TIMINGS:
        here = timing is policy.timing
        text = f"[{timing.value}]" if here else f" {timing.value} "
        spans.append((text, Tone.STRONG if here else Tone.DIM))
        if timing in known:
            gap = " " if here else ""
            told = _engines(known[timing]) if short else _numbers(known[timing])
            spans.append((f"{gap}{told} ", Tone.PLAIN if here else Tone.DIM))
    return tuple(spans)


def _numbers(tally: Tally) -> str:
    return f"({count(tally.engines, 'engine')}, {count(tally.torch_ops, 'op')})"


def _engines(tally: Tally) -> str:
    """Returns the number of engines, with a tick if PyTorch runs nothing beside one."""
    whole = tally.engines == 1 and not tally.torch_ops
    sign = " ✖" if tally.failed else " ✓" if whole else ""
    return f"{tally.engines}{sign}"


def _paths(policy: TruncationPolicy, words: tuple[str, ...]) -> tuple[Line, ...]:
    live = paths_count(policy)
    parts: list[Line] = []
    for path, word in zip(PATHS, words, strict=True):
        value = "+".join(getattr(policy, path)) or "none"
        tone = Tone.STRONG if live else Tone.DIM
        shown = value if live else f"({value})"
        parts.append(line((key(path), Tone.KEY), (f" {word} ", Tone.DIM), (shown, tone)))
    return tuple(parts)


def settings_line(
    policy: TruncationPolicy,
    settings: Settings,
    target: str | None,
    environment: Environment | None,
    right: Line,
    size: int,
) -> Line:
    """Returns the settings in force, and at the right end what changed or what runs."""
    block = settings.min_block_size
    tone = Tone.DIM if block == 1 else Tone.WARN
    blocks = f" {key('larger-blocks')} {key('smaller-blocks')}"
    parts: list[tuple[int, Line]] = [
        (
            1,
            line(
                (blocks, Tone.KEY),
                (f" min block size {block}", tone),
            ),
        ),
        (
            2,
            line(
                (key("precision"), Tone.KEY),
                (
                    f" engines in {computes_in(policy)}",
                    Tone.WARN if policy.is_low else Tone.DIM,
                ),
            ),
        ),
        (5, line((f"{settings.partitioner.value} partitioner", Tone.DIM))),
        (4, line((target_text(target, environment), Tone.DIM))),
        (3, line((key("verdicts"), Tone.KEY), (f" verdicts by {_judge(policy)}", Tone.DIM))),
    ]
    if settings.torch_executed_ops:
        kept = ", ".join(o.removeprefix("torch.ops.") for o in settings.torch_executed_ops)
        parts.append((0, line((f"kept in PyTorch: {kept}", Tone.WARN))))
    for name, value in changed_settings(settings).items():
        parts.append((6, line((f"{name} {str(value).lower()}", Tone.WARN))))
    room = size - (width(right) + 2 if right else 0)
    return spread(pack(parts, max(room, _LEAST), (" · ", Tone.DIM)), right, size)


def prebuilt_lines(report: Report) -> tuple[Line, Line]:
    """Returns what stands in place of policy and settings where they mean nothing."""
    known, _, unknown = PREBUILT.partition("; ")
    return (
        line((f" {report.model.prebuilt}: {known}", Tone.STRONG)),
        line((f" {unknown}", Tone.WARN)),
    )


_LEAST = 22
"""Cells that the settings keep: the minimum block size is always to be seen."""


def room_beside_settings(size: int) -> int:
    """Returns how many cells the right end of the settings line may take at most."""
    return size - _LEAST - 2


def target_text(target: str | None, environment: Environment | None) -> str:
    """Returns what engines are built for; without a GPU and a target that is sm86."""
    if target is not None:
        return f"target {target}"
    if environment is None:
        return "default target"
    return f"target {environment.gpu.compute_capability}" if environment.gpu else "target sm86"


def _judge(policy: TruncationPolicy) -> str:
    return "TensorRT too" if policy.verdicts is VerdictSource.TENSORRT else "validators"
