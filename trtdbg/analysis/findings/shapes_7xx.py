"""TD7xx: the shapes that an engine with dynamic inputs is built for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from trtdbg.analysis.codes import Code, Explanation
from trtdbg.analysis.findings.making import maker
from trtdbg.analysis.sizes import size_at
from trtdbg.analysis.summary import profile_text
from trtdbg.records import Binding, EngineRecord, Finding, Level, Profile, Report

ENTRIES = (
    Explanation(
        code=Code.TD701,
        name="profile-of-empty-tensors",
        level=Level.ERROR,
        what="An engine is built for an input that has no elements, and for no other.",
        cause="A size without an upper bound gets 4096 times its lower bound as its maximum, "
        "which is 0 where the lower bound is 0: that of a number read with `.item()`. The "
        "engine then serves empty tensors only.",
        cure="Give the number both bounds in the model: `torch._check(n >= 1); "
        "torch._check(n <= 4096)`.",
    ),
    Explanation(
        code=Code.TD702,
        name="missing-upper-bound",
        level=Level.NOTE,
        what="A dynamic size has no upper bound in the program, so that torch_tensorrt takes "
        "4096 times the lower one.",
        cause="The program was exported with `Dim(name)` or `Dim.DYNAMIC` without `max`, or "
        "reads the size from a tensor. TensorRT needs a largest shape, and plans its memory "
        "for it.",
        cure="Give the size the largest value that you run: `Dim(name, max=...)` in the "
        "export, or `torch._check(n <= ...)` in the model.",
    ),
    Explanation(
        code=Code.TD703,
        name="profile-refused",
        level=Level.ERROR,
        what="The shapes that torch_tensorrt sets for an engine's input are not in the order "
        "min <= opt <= max, which TensorRT refuses.",
        cause="The optimum is the size that was exported with. Where the maximum was made up "
        "from a lower bound because there is no upper one, it can lie below the optimum.",
        cure="Give the size both bounds in the export: `Dim(name, min=1, max=...)`.",
    ),
    Explanation(
        code=Code.TD704,
        name="profile-bounds-disagree",
        level=Level.NOTE,
        what="The smallest, or the largest, shapes of an engine's inputs do not fit each "
        "other: sizes that depend on one another are bounded as if they did not.",
        cause="torch_tensorrt reads the range of each size by itself. A size with the lower "
        "bound 2 gets 1, while `2*n` of it keeps 4; a size without an upper bound gets a "
        "multiple of its own lower one.",
        cure="Give the size both bounds in the export, and a lower one of 3 or more: "
        "`Dim(name, min=3, max=...)`.",
    ),
)

_finding = maker(ENTRIES)


def shapes(report: Report) -> Iterator[Finding]:
    """Yields what is wrong with the profile of each dynamic input of an engine."""
    for engine in report.engines:
        for given in engine.inputs:
            if given.profile is not None:
                yield from _profile(engine, given, given.profile)
        yield from _disagreeing(engine)


def _profile(engine: EngineRecord, given: Binding, profile: Profile) -> Iterator[Finding]:
    said = f"engine {engine.index} takes {given.name} with {profile_text(profile)}"
    if not profile.valid:
        message = f"{said}: TensorRT refuses what is not min <= opt <= max"
        yield _finding(Code.TD703, message, engine=engine.index)
    elif profile.empty:
        message = f"{said}: it serves empty tensors only"
        yield _finding(Code.TD701, message, engine=engine.index)
    elif profile.unbounded:
        message = f"{said}; the program sets no upper bound, and the maximum is made up"
        yield _finding(Code.TD702, message, engine=engine.index)


def _disagreeing(engine: EngineRecord) -> Iterator[Finding]:
    """Yields a size whose bound is another than that of the size that it is made of."""
    given = [b for b in engine.inputs if b.profile is not None and b.profile.valid]
    for word in ("min", "max"):
        bounds = list(_bounds(given, word))
        symbols = {size: value for _, size, value in bounds if size.isidentifier()}
        for name, size, value in bounds:
            other = size_at(size, symbols)
            if other is not None and other != value:
                yield _finding(
                    Code.TD704,
                    f"engine {engine.index}: the {word} of {name} is {value} for a size of "
                    f"{size}, which is {other} at the {word} of the others "
                    f"({', '.join(f'{s} = {v}' for s, v in _used(size, symbols))})",
                    engine=engine.index,
                )
                return


def _bounds(given: Iterable[Binding], word: str) -> Iterator[tuple[str, str, int]]:
    """Yields name, size and bound of each dynamic place."""
    for binding in given:
        sizes: tuple[int, ...] = getattr(binding.profile, word)
        for size, value in zip(binding.shape or (), sizes, strict=False):
            if isinstance(size, str):
                yield binding.name, size, value


def _used(size: str, symbols: dict[str, int]) -> Iterator[tuple[str, int]]:
    names = set(re.findall(r"[A-Za-z_]\w*", size))
    return ((name, value) for name, value in symbols.items() if name in names)
