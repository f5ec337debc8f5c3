"""The answer in one line: what `torch_tensorrt.compile` does today, and what `late` would."""

from __future__ import annotations

import msgspec

from trtdbg.analysis.causes import refused_in_engines
from trtdbg.analysis.summary import broken_end, build_line, count
from trtdbg.policy import truncates_double
from trtdbg.records import BuildStatus, Counts, Report


def headline(report: Report) -> str:
    """Returns the answer: how many engines, what is left to PyTorch, and under which timing.

    Where the report has the numbers, first what `torch_tensorrt.compile` does with its own
    settings, last what timing `late` would bring.
    """
    return "; ".join(lines(report))


def lines(report: Report) -> tuple[str, ...]:
    """Returns the parts of the answer: today, under these settings if that differs, late."""
    made, here = report.headline, counts(report)
    if report.model.prebuilt is not None:
        return (f"{_words(here, ', ', 'in PyTorch')}, {report.model.prebuilt}",)
    if made is None:
        colon = ": " if here.error is not None else ", "
        return (f"{_words(here, colon, 'left to PyTorch')} under {here.timing.value}",)
    if here.timing.is_upstream and _numbers(made.compiled) == _numbers(here):
        found = [f"today (upstream): {_words(here)}"]
    else:
        found = [
            f"today (torch_tensorrt.compile): {_words(made.compiled)}",
            f"here ({_how(made.compiled, here)}): {_words(here)}",
        ]
    if made.late is not None:
        found.append(f"late: {_words(made.late)}")
    return tuple(found)


def build_headline(report: Report) -> str:
    """Returns the answer of a build: how many engines ended how, what is left to PyTorch."""
    if broken_end(report) is not None or not report.engines:
        return headline(report)
    left = f"{count(len(report.torch_ops), 'operator')} left to PyTorch"
    return f"{build_line(report)}; {left} under {report.policy.timing.value}"


def counts(report: Report) -> Counts:
    """Returns the partition of a report in numbers, with what its builds have shown."""
    blank = Counts(
        timing=report.policy.timing,
        settings=report.settings,
        truncate_double=truncates_double(report.policy, report.settings),
    )
    broken = broken_end(report)
    if broken is not None:
        return msgspec.structs.replace(blank, error=broken)
    return msgspec.structs.replace(
        blank,
        engines=len(report.engines),
        torch_ops=len(report.torch_ops),
        casts=len(report.boundary_casts),
        failed=len(failing_engines(report)),
    )


def failing_engines(report: Report) -> frozenset[int]:
    """Returns the engines that TensorRT refuses, or an operator of which it refuses."""
    failed = {e.index for e in report.engines if e.build.status is BuildStatus.FAILED}
    culprits = {node.engine for node in refused_in_engines(report)}
    return frozenset(failed | {index for index in culprits if index is not None})


def _words(made: Counts, colon: str = ": ", left: str = "in PyTorch") -> str:
    """Returns `5 engines, 4 operators in PyTorch, 3 boundary casts`."""
    if made.error is not None:
        return f"no engines{colon}{made.error}"
    engines, operators = made.engines or 0, made.torch_ops or 0
    parts = [count(engines, "engine")]
    if made.failed:
        which = "" if engines == 1 else f"{made.failed} of them "
        parts.append(f"{which}refused by TensorRT")
    elif engines == 1 and not operators:
        parts = ["1 engine holds every operator"]
    if operators or engines != 1:
        parts.append(f"{count(operators, 'operator')} {left}")
    if made.casts:
        parts.append(count(made.casts, "boundary cast"))
    return ", ".join(parts)


def _numbers(made: Counts) -> tuple[int | str | None, ...]:
    return made.engines, made.torch_ops, made.failed, made.error


def _how(compiled: Counts, here: Counts) -> str:
    """Returns the timing in force, and the telling settings that compile would not have."""
    parts = [here.timing.value]
    for name in ("min_block_size", "partitioner"):
        own, other = getattr(here.settings, name), getattr(compiled.settings, name)
        if own != other:
            parts.append(f"{name} {own}")
    if here.truncate_double and here.timing.is_upstream:
        parts.append("truncate_double")
    return ", ".join(parts)
