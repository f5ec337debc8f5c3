"""The answer to the first question: why does my model not become one engine?"""

from __future__ import annotations

from collections.abc import Sequence

from trtdbg.analysis.causes import operator_count
from trtdbg.analysis.conclusions import REFUSED, answer_on, saved_by_truncation
from trtdbg.analysis.headline import headline
from trtdbg.analysis.summary import count, failed_pass
from trtdbg.dtypes import NARROWED
from trtdbg.policy import Timing
from trtdbg.records import BuildStatus, Dtype, NodeRecord, Report, TypingKind
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.render.causes import cause_lines
from trtdbg_ui.render.dtypes import dtype_span
from trtdbg_ui.render.policy import keys_to
from trtdbg_ui.render.signs import short_operator
from trtdbg_ui.text import Line, Span, Tone, line, pack


def answer(loaded: Loaded, size: int, *, read_only: bool = False) -> list[Line]:
    """Returns the headline, the first cause and what can be done about it.

    Args:
        loaded: The report.
        size: Cells available.
        read_only: Name no keys that switch the policy: a saved report has only one.
    """
    report = loaded.report
    failed = failed_pass(report)
    if failed is not None:
        return [
            line(("✖ No engines: ", Tone.BAD), (f"{failed.name} raised", Tone.STRONG)),
            line("  ", failed.error or ""),
            *_beside(report),
        ]
    first = loaded.causes[:1]
    told = [found for cause in first for found in cause_lines(loaded, cause, size, read_only)]
    lost = any(constant.overflowed for constant in loaded.narrowed)
    constants = _constants(loaded, size)
    return [
        _headline(loaded),
        *_builds(loaded),
        *(constants if lost else []),
        *told,
        *_beside(report),
        *_saved(loaded, size, read_only),
        *([] if lost else constants),
    ]


def _headline(loaded: Loaded) -> Line:
    report, failed = loaded.report, loaded.failed_engines
    if report.model.prebuilt is not None:
        return line((headline(report), Tone.STRONG))
    engines, ops = len(report.engines), len(report.torch_ops)
    total = operator_count(report)
    casts = len(report.boundary_casts)
    tail: Line = ((f", {count(casts, 'boundary cast')}", Tone.PLAIN),) if casts else ()
    if failed and engines > 1:
        tail = ((f", TensorRT refuses {count(len(failed), 'engine')}", Tone.BAD), *tail)
    if engines == 1 and not ops:
        words = f"holds {'the one operator' if total == 1 else f'all {total:,} operators'}"
        head = ("✗ One engine ", Tone.BAD) if failed else ("✓ One engine ", Tone.GOOD)
        refused: Line = ((", and TensorRT refuses it", Tone.BAD),) if failed else ()
        return (head, (words, Tone.PLAIN), *tail, *refused)
    if not engines:
        words = (
            f"PyTorch runs all {total:,} operators" if total else "the graph has no operators"
        )
        return (("✗ No engine: ", Tone.BAD), (words, Tone.PLAIN))
    many = f"✗ {count(engines, 'engine')}{'' if engines == 1 else ', not one'}: "
    if not ops:
        return (
            (many, Tone.BAD),
            (f"TensorRT takes all {total:,} operators, the partitioner cut them", Tone.PLAIN),
            *tail,
        )
    stay = "stays" if ops == 1 else "stay"
    words = f"{ops:,} of {count(total, 'operator')} {stay} in PyTorch"
    return ((many, Tone.BAD), (words, Tone.STRONG), *tail)


def _beside(report: Report) -> list[Line]:
    """Returns what `torch_tensorrt.compile` does today and what `late` would bring."""
    return [] if report.headline is None else [line(("  " + headline(report), Tone.PLAIN))]


def _builds(loaded: Loaded) -> list[Line]:
    """Returns a line for an engine that does not build, unless the first cause names it."""
    named = frozenset(index for cause in loaded.causes[:1] for index in cause.engines)
    failed = [
        engine
        for engine in loaded.report.engines
        if engine.build.status is BuildStatus.FAILED and engine.index not in named
    ]
    return [
        line(
            (f"✖ E{engine.index} does not build: ", Tone.BAD),
            (engine.build.error or "TensorRT gives no reason", Tone.PLAIN),
        )
        for engine in failed
    ]


def _keys(report: Report, goal: Timing) -> str:
    return keys_to(report.policy.timing, goal)


_GAP: Span = ("  ", Tone.PLAIN)


def _where(nodes: Sequence[NodeRecord]) -> str:
    places = dict.fromkeys(str(node.source) for node in nodes if node.source)
    places.pop("", None)
    if not places:
        return ""
    first, *rest = places
    return first + (f" and {len(rest)} more" if rest else "")


def _saved(loaded: Loaded, size: int, read_only: bool) -> list[Line]:
    """Returns what truncation before the verdicts gained, under the timings that do so."""
    report = loaded.report
    if not report.policy.timing.follows_lists:
        return []
    saved = [node for node in report.nodes if saved_by_truncation(node)]
    if not saved:
        return []
    targets: dict[str, int] = {}
    for node in saved:
        targets[node.target] = targets.get(node.target, 0) + 1
    named = ", ".join(f"{n}× {short_operator(target)}" for target, n in targets.items())
    wide = next((w for node in saved if (w := _wide_of(loaded, node))), None)
    why = line("as written")
    if wide is not None:
        why = line("as ", dtype_span(wide), ", ", ("✓", Tone.GOOD), " as ")
        why = (*why, dtype_span(NARROWED[wide]))
    gained = line((f"  {named} ", Tone.STRONG), ("✗ ", Tone.BAD), *why)
    keeps = line(f"truncation {report.policy.timing.value} keeps them in")
    keys = (_keys(report, Timing.UPSTREAM), Tone.KEY)
    parts = [(0, gained), (2, keeps)]
    if not read_only:
        parts.append((1, line(keys, " upstream, as torch_tensorrt")))
    return [pack([*parts, (1, line((_where(saved), Tone.DIM)))], size, _GAP)]


def _constants(loaded: Loaded, size: int) -> list[Line]:
    """Returns whether the values of narrowed constants survive it."""
    narrowed = loaded.narrowed
    if not narrowed:
        return []
    what = count(len(narrowed), "constant")
    head = line((f"  {what} narrowed: ", Tone.STRONG))
    bad = [each for each in narrowed if each.overflowed]
    if bad:
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        dtypes = sorted({each.truncated for each in bad})
        words = f"✖ {bad[0].name}{more} does not fit {' and '.join(dtypes)}"
        verdict = line((words, Tone.BAD))
    else:
        errors = [e.max_rel_error for e in narrowed if e.max_rel_error is not None]
        largest = max(errors, default=0.0)
        integers = [each for each in narrowed if each.truncated.startswith("int")]
        fits = "every integer fits" if integers else "every value fits"
        if largest:
            fits += f", largest relative change {largest:.2g}"
        verdict = line((f"✓ {fits}", Tone.GOOD))
    keys = line((key("engines"), Tone.KEY), " lists them")
    return [pack([(0, line(*head, *verdict)), (1, keys)], size, _GAP)]


def _wide_of(loaded: Loaded, node: NodeRecord) -> str | None:
    """Returns the wide dtype that makes validators refuse a node, its own or an operand's."""
    if answer_on(node, TypingKind.ORIGINAL) not in REFUSED:
        return None
    dtypes: list[Dtype] = [node.original, node.inferred, node.recorded]
    dtypes += [found.inferred for name in node.operands if (found := loaded.nodes.get(name))]
    for dtype in dtypes:
        for name in dtype if isinstance(dtype, tuple) else (dtype,):
            if name in NARROWED:
                return name
    return None
