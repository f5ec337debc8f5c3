"""The page that says what the last switch of policy changed, node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from trtdbg.analysis import cause_lines, change_words
from trtdbg.analysis.changes import what_changed
from trtdbg.analysis.conclusions import is_call
from trtdbg.analysis.summary import count
from trtdbg.records import BoundaryCast, Cause, NodeRecord, Report
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.model.switching import PATHS, computes_in, paths_count
from trtdbg_ui.render.dtypes import dtype_span
from trtdbg_ui.render.engines import cast_place
from trtdbg_ui.render.findings import code_and_name
from trtdbg_ui.render.signs import short_operator
from trtdbg_ui.text import BLANK, Line, Tone, join, line, wrap

_MOST = 8
"""Nodes that are named of a group; more are only counted."""


def switched(before: Loaded, after: Loaded, size: int) -> list[Line]:
    """Returns both policies, then what moved, changed its dtype, is cast, or was found."""
    lines = [
        *_policy("before", before.report, after.report, size),
        *_policy("now", after.report, before.report, size),
    ]
    both = [
        (old, new)
        for new in after.report.nodes
        if (old := before.nodes.get(new.name)) is not None
    ]
    pairs = [(old, new) for old, new in both if is_call(new)]
    left = [(old, new) for old, new in pairs if (new.name in after.left)]
    changed = what_changed(before.report, after.report)
    parts = [
        *_causes("Causes gone", changed.causes_gone, size),
        *_causes("New causes", changed.causes_new, size),
        *_group(
            "Engines took",
            [(o, n) for o, n in pairs if o.name in before.left and n.name not in after.left],
            lambda old, new: line(f"PyTorch → {_place(after, new)}"),
            size,
        ),
        *_group(
            "Left to PyTorch",
            [(old, new) for old, new in left if old.name not in before.left],
            lambda old, new: line(f"{_place(before, old)} → PyTorch"),
            size,
        ),
        *_group(
            "Other truncated dtype",
            [(old, new) for old, new in both if old.truncated != new.truncated],
            lambda old, new: line(dtype_span(old.truncated), " → ", dtype_span(new.truncated)),
            size,
        ),
        *_alone("Only before", before, after),
        *_alone("Only now", after, before),
        *_casts("Casts gone", before.report, after.report, size),
        *_casts("New casts", after.report, before.report, size),
        *_findings(before.report, after.report),
    ]
    if not parts:
        parts = [BLANK, line(("Nothing else differs.", Tone.DIM))]
    return [*lines, *parts]


def edited(before: Loaded, after: Loaded, size: int) -> list[Line]:
    """Returns what an edit of the model changed, a line each, as `--watch` says it."""
    told = change_words.lines(what_changed(before.report, after.report))
    return [each for text in told for each in wrap(line(text), size, indent=2)]


def _policy(when: str, report: Report, other: Report, size: int) -> list[Line]:
    """Returns a policy, what it means, its numbers; what the other has not stands out."""
    policy = report.policy
    engines, ops = len(report.engines), len(report.torch_ops)
    casts, found = len(report.boundary_casts), len(report.findings)
    numbers = (
        f"{count(engines, 'engine')}, {count(ops, 'PyTorch op')}, {count(casts, 'cast')}, "
        f"{count(found, 'finding')}"
    )
    return [
        line(
            (f"{when:<8}", Tone.HEAD),
            (f"{policy.timing.value:<8}", Tone.STRONG),
            f"  {numbers}",
        ),
        *wrap(line((f"        {policy.timing.meaning}", Tone.DIM)), size, indent=8),
        *_lists(report, other, size),
    ]


def _lists(report: Report, other: Report, size: int) -> list[Line]:
    """Returns lists, verdicts and settings; those that the other report has not stand out."""
    elsewhere = _choices(other)
    words = [
        (word, Tone.DIM if word in elsewhere else Tone.STRONG) for word in _choices(report)
    ]
    told = join(((word,) for word in words), (", ", Tone.DIM))
    return wrap(line("        ", *told), size, indent=8)


def _choices(report: Report) -> list[str]:
    policy, block = report.policy, f"min block size {report.settings.min_block_size}"
    kept = [short_operator(name) for name in report.settings.torch_executed_ops]
    words = [
        f"engines in {computes_in(policy)}",
        block,
        *(f"{name} kept in PyTorch" for name in kept),
    ]
    if not paths_count(policy):
        return words
    lists = [f"{path} {'+'.join(getattr(policy, path)) or 'none'}" for path in PATHS]
    return [*lists, *words, f"verdicts {policy.verdicts.value}"]


def _place(loaded: Loaded, node: NodeRecord) -> str:
    if node.name in loaded.left:
        return "PyTorch"
    return f"E{node.engine}" if node.engine is not None else "-"


def _group(
    title: str,
    pairs: list[tuple[NodeRecord, NodeRecord]],
    tell: Callable[[NodeRecord, NodeRecord], Line],
    size: int,
) -> list[Line]:
    """Returns nodes under a title, each with what became of it and its source line."""
    if not pairs:
        return []
    targets = Counter(short_operator(new.target) for _, new in pairs)
    lines = [BLANK, line((title, Tone.HEAD), f"  {_counted(targets)}")]
    wide = max(len(new.name) for _, new in pairs[:_MOST])
    for old, new in pairs[:_MOST]:
        told = line(f"  {new.name:<{wide}}  ", *tell(old, new))
        lines += wrap(line(*told, (f"  {new.source or ''}", Tone.DIM)), size, indent=4)
    return [*lines, *_more(len(pairs))]


def _causes(title: str, causes: Sequence[Cause], size: int) -> list[Line]:
    """Returns causes that only one of the reports has, each with its reason."""
    if not causes:
        return []
    lines = [BLANK, line((title, Tone.HEAD), f"  {len(causes)}")]
    for cause in causes[:_MOST]:
        told = line(f"  {cause_lines.heading(cause)}: ", (cause.reason, Tone.DIM))
        lines += wrap(told, size, indent=4)
    return [*lines, *_more(len(causes))]


def _alone(title: str, here: Loaded, there: Loaded) -> list[Line]:
    """Returns how many operators one graph has and the other has not."""
    alone = [n for n in here.report.nodes if is_call(n) and n.name not in there.nodes]
    if not alone:
        return []
    targets = Counter(short_operator(node.target) for node in alone)
    return [BLANK, line((title, Tone.HEAD), f"  {_counted(targets)}")]


def _casts(title: str, here: Report, there: Report, size: int) -> list[Line]:
    """Returns the casts that one report has and the other has not."""
    known = {_cast_key(cast) for cast in there.boundary_casts}
    casts = [cast for cast in here.boundary_casts if _cast_key(cast) not in known]
    if not casts:
        return []
    lines = [BLANK, line((title, Tone.HEAD), f"  {len(casts)}")]
    wide = max(len(cast.value) for cast in casts[:_MOST])
    for cast in casts[:_MOST]:
        told = line(
            f"  {cast.value:<{wide}}  ",
            dtype_span(cast.from_dtype),
            " → ",
            dtype_span(cast.to_dtype),
            (f"  {cast_place(cast)}", Tone.DIM),
        )
        lines += wrap(told, size, indent=4)
    return [*lines, *_more(len(casts))]


def _cast_key(cast: BoundaryCast) -> tuple[str, str, str, str]:
    return cast.value, cast.from_dtype, cast.to_dtype, cast.direction.value


def _findings(before: Report, after: Report) -> list[Line]:
    """Returns the codes that were found another number of times."""
    old = Counter(finding.code for finding in before.findings)
    new = Counter(finding.code for finding in after.findings)
    changed = [code for code in sorted(old | new) if old[code] != new[code]]
    if not changed:
        return []
    lines = [BLANK, line(("Findings", Tone.HEAD))]
    for code in changed:
        tone = Tone.GOOD if new[code] < old[code] else Tone.WARN
        lines.append(line(f"  {code_and_name(code)}  ", (f"{old[code]} → {new[code]}", tone)))
    return lines


def _counted(targets: Counter[str]) -> str:
    return ", ".join(f"{number}× {name}" for name, number in targets.most_common())


def _more(number: int) -> Iterable[Line]:
    if number > _MOST:
        yield line((f"  and {number - _MOST} more", Tone.DIM))
