"""What a comparison says: its columns, the words in their cells, and what explains them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from trtdbg.analysis.comparison import (
    NumericError,
    PolicyComparison,
    Row,
    policy_name,
    with_precision,
)
from trtdbg.analysis.levels import by_severity
from trtdbg.analysis.numerics import error_text
from trtdbg.analysis.summary import (
    base_name,
    bytes_text,
    count,
    environment_line,
    policy_line,
    settings_line,
)
from trtdbg.errors import ExitCode
from trtdbg.plain import one_line
from trtdbg.policy import Precision
from trtdbg.records import Agreement, Level

NONE = "-"


class ComparisonColumn(StrEnum):
    """The columns; the value is the heading."""

    POLICY = "policy"
    ENGINES = "engines"
    TORCH_OPS = "PyTorch ops"
    CASTS = "casts"
    MOVED = "cast bytes"
    FINDINGS = "findings"
    BUILD = "build"
    SIZE = "size"
    RUN = "run"
    ERROR = "max error"


@dataclass(frozen=True)
class Remark:
    """A sentence under a table."""

    text: str
    level: Level


@dataclass(frozen=True)
class ModelRows:
    """The rows of one program of a model."""

    model: str
    """Its name, with that of the program where the file holds several."""
    rows: tuple[Row, ...]

    @property
    def columns(self) -> tuple[ComparisonColumn, ...]:
        """The columns that say something about any row."""
        left_out = set()
        if not any(row.numerics is not None for row in self.rows):
            left_out.add(ComparisonColumn.ERROR)
        if not any(row.build is not None for row in self.rows):
            left_out |= {ComparisonColumn.BUILD, ComparisonColumn.SIZE}
        if not any(row.run is not None and row.run.median_ms is not None for row in self.rows):
            left_out.add(ComparisonColumn.RUN)
        return tuple(column for column in ComparisonColumn if column not in left_out)


def groups(comparison: PolicyComparison) -> tuple[ModelRows, ...]:
    """Returns the rows by model and program, models of the same name with their folders."""
    paths = dict.fromkeys(row.model for row in comparison.rows)
    names = Counter(base_name(path) for path in paths)

    def named(path: str, program: str | None) -> str:
        name = path if names[base_name(path)] > 1 else base_name(path)
        return one_line(name if program is None else f"{name}, program {program}")

    found = groupby(comparison.rows, key=lambda row: (row.model, row.program))
    return tuple(ModelRows(named(*key), tuple(rows)) for key, rows in found)


def headline(group: ModelRows) -> str:
    """Returns the answer: how many engines at best, under which policies, and what fails."""
    good, failed = _good(group), sum(bool(row.exit_code) for row in group.rows)
    if not good:
        if all(row.error is not None for row in group.rows):
            return f"{group.model}: no row could be made"
        if all(row.engines == 0 and row.broken is None for row in group.rows):
            return f"{group.model}: no engines"
        return f"{group.model}: it fails under every policy"
    numbers = [_pieces(row) for row in good]
    engines, torch_ops = min(numbers)
    text = count(engines, "engine")
    if torch_ops:
        text = f"{text} and {count(torch_ops, 'operator')} left to PyTorch"
    best = best_rows(group)
    if best:
        names = [one_line(row.name) for row in good if row.name in best]
        text = f"{text} at best, under {'; '.join(names)}"
    else:
        text = f"{text} under every policy"
    most = max(number for number, _ in numbers)
    if most > engines:
        text = f"{text}. {most} at worst"
    if failed:
        verb = "fails" if failed == 1 else "fail"
        text = f"{text}. {failed} of {len(group.rows)} {verb}"
    return f"{group.model}: {text}"


def best_rows(group: ModelRows) -> frozenset[str]:
    """Returns the names of the rows with the fewest engines, then operators left to PyTorch.

    A row that fails is not among them. Empty if all are alike.
    """
    good = _good(group)
    least = min(map(_pieces, good), default=None)
    best = frozenset(row.name for row in good if _pieces(row) == least)
    return best if len(best) < len(group.rows) else frozenset()


def _good(group: ModelRows) -> list[Row]:
    """Returns the rows that have an engine and did not fail, with all numbers known."""
    return [
        row
        for row in group.rows
        if row.engines and row.torch_ops is not None and row.exit_code != ExitCode.FAILED
    ]


def _pieces(row: Row) -> tuple[int, int]:
    assert row.engines is not None
    assert row.torch_ops is not None
    return row.engines, row.torch_ops


def cell(row: Row, column: ComparisonColumn) -> str:
    """Returns the text of a cell, `-` where there is nothing to say."""
    match column:
        case ComparisonColumn.POLICY:
            return one_line(row.name)
        case ComparisonColumn.ENGINES:
            return _number(row, row.engines)
        case ComparisonColumn.TORCH_OPS:
            return _number(row, row.torch_ops)
        case ComparisonColumn.CASTS:
            return _number(row, row.casts.count if row.casts else None)
        case ComparisonColumn.MOVED:
            return _moved(row)
        case ComparisonColumn.FINDINGS:
            return _findings(row)
        case ComparisonColumn.BUILD:
            return _build(row)
        case ComparisonColumn.SIZE:
            return _size(row)
        case ComparisonColumn.RUN:
            return run_text(row)
        case ComparisonColumn.ERROR:
            return NONE if row.numerics is None else _numeric(row.numerics)


def _number(row: Row, value: int | None) -> str:
    return NONE if value is None or row.broken else f"{value:,}"


def _moved(row: Row) -> str:
    if row.casts is None or not row.casts.count:
        return NONE
    if not row.casts.unknown:
        return bytes_text(row.casts.bytes)
    return f"≥ {bytes_text(row.casts.bytes)}" if row.casts.bytes else "unknown"


def _findings(row: Row) -> str:
    if row.findings is None:
        return NONE
    by_level = (
        (row.findings.error, "e"),
        (row.findings.warning, "w"),
        (row.findings.note, "n"),
    )
    return " ".join(f"{number}{sign}" for number, sign in by_level if number) or "none"


def _build(row: Row) -> str:
    if row.error is not None:
        return "failed"
    if row.build is None:
        return NONE
    made = row.build
    total = made.built + made.failed + made.unavailable
    if made.failed:
        return f"{made.failed} of {total} failed"
    if made.unavailable:
        return "not available"
    text = NONE if made.seconds is None else f"{made.seconds:.2f} s"
    if made.cached == total:
        return f"{text} (cached)"
    return f"{text} ({made.cached} of {total} cached)" if made.cached else text


def _size(row: Row) -> str:
    # The sum of some engines would look like the smallest of all.
    if row.build is None or row.build.error is not None:
        return NONE
    return bytes_text(row.build.bytes)


def run_text(row: Row) -> str:
    """Returns the run time of a row, or why there is none."""
    if row.run is None:
        return NONE
    if row.run.median_ms is None:
        return row.run.unavailable or NONE
    return f"{row.run.median_ms:.3f} ms"


def _numeric(error: NumericError) -> str:
    if error.agreement is Agreement.NOT_COMPARED:
        return "not compared"
    worst = error_text(error.max_abs_error)
    if error.nan_mismatches:
        worst = "nan"
    elif error.inf_mismatches:
        worst = "inf"
    return f"{worst} (beyond)" if error.agreement is Agreement.BEYOND else worst


def remarks(group: ModelRows) -> tuple[Remark, ...]:
    """Returns what the table of a model has no room for, the worst first."""
    found = [*_errors(group), *_builds(group), *_lows(group)]
    found += [*_run_times(group), *_numerics(group)]
    return tuple(sorted(found, key=lambda remark: by_severity(remark.level)))


def _errors(group: ModelRows) -> Iterator[Remark]:
    errors = {row.error for row in group.rows}
    only = errors.pop() if len(errors) == 1 else None
    if only is not None:
        yield Remark(one_line(only), Level.ERROR)
        return
    for row in group.rows:
        why = row.error or row.broken
        if why is not None:
            yield Remark(f"{one_line(row.name)}: {one_line(why)}", Level.ERROR)


def _builds(group: ModelRows) -> Iterator[Remark]:
    said: dict[str, list[str]] = {}
    for row in group.rows:
        if row.build is not None and row.build.error is not None:
            said.setdefault(one_line(row.build.error), []).append(one_line(row.name))
    for sentence, names in said.items():
        who = "" if len(names) == len(group.rows) else f"{'; '.join(names)}: "
        yield Remark(f"{who}not built: {sentence}", Level.ERROR)


def _lows(group: ModelRows) -> Iterator[Remark]:
    """Yields what each low row costs and saves beside the same policy in float32."""
    plain = {row.policy: row for row in group.rows if not row.policy.is_low}
    for row in group.rows:
        beside = plain.get(with_precision(row.policy, Precision.NONE))
        if row.policy.is_low and beside is not None and row.casts and beside.casts:
            parts = [*_sizes_beside(row, beside), *_casts_beside(row, beside)]
            text = f"{one_line(row.name)} beside {one_line(beside.name)}: {'; '.join(parts)}"
            yield Remark(text, Level.NOTE)


def _sizes_beside(row: Row, beside: Row) -> Iterator[str]:
    mine, other = row.build, beside.build
    if mine is None or other is None or mine.error or other.error:
        return
    if mine.bytes and other.bytes:
        yield f"{mine.bytes / other.bytes:.0%} of the engines' bytes"
    if mine.seconds and other.seconds:
        yield f"{mine.seconds / other.seconds:.0%} of the build time"


def _casts_beside(row: Row, beside: Row) -> Iterator[str]:
    assert row.casts is not None
    assert beside.casts is not None
    more = row.casts.count - beside.casts.count
    yield f"{more:+} boundary casts" if more else "the same boundary casts"
    moved = row.casts.bytes - beside.casts.bytes
    if moved:
        yield f"{'-' if moved < 0 else '+'}{bytes_text(abs(moved))} across boundaries a run"
    inside = row.low_casts
    if inside is not None and inside.count:
        least = "at least " if inside.unknown else ""
        written = f", which write {least}{bytes_text(inside.bytes)} a run"
        yield f"{count(inside.count, 'cast')} inside engines{written if inside.bytes else ''}"


def _run_times(group: ModelRows) -> Iterator[Remark]:
    reasons: dict[str, list[str]] = {}
    for row in group.rows:
        if row.build is None or row.build.error is not None:
            continue
        if row.run is not None and row.run.unavailable is not None:
            reasons.setdefault(row.run.unavailable, []).append(one_line(row.name))
    for reason, names in reasons.items():
        whose = (
            ""
            if len(reasons) == 1 and ComparisonColumn.RUN not in group.columns
            else (f" of {'; '.join(names)}")
        )
        yield Remark(f"Run time{whose} {one_line(reason)}", Level.NOTE)


def _numerics(group: ModelRows) -> Iterator[Remark]:
    measured = [row for row in group.rows if row.numerics is not None]
    for inputs in dict.fromkeys(row.numerics.inputs for row in measured if row.numerics):
        yield Remark(f"max error: largest of any output, on {one_line(inputs)}", Level.NOTE)
    for row in measured:
        if row.numerics is not None and row.numerics.note is not None:
            yield Remark(f"{one_line(row.name)}: {one_line(row.numerics.note)}", Level.NOTE)


def conditions(comparison: PolicyComparison) -> tuple[tuple[str, str], ...]:
    """Returns what was in force for all rows, and where rows differ, each as name and text."""
    made = [row for row in comparison.rows if row.environment is not None]
    found = [("settings", text) for text in _distinct(map(_settings, comparison.rows))]
    found += [("made with", text) for text in _distinct(map(_environment, made))]
    if len({_environment(row) for row in made}) > 1:
        found.append(("beware", "rows were made with different versions or GPUs"))
    targets = _distinct(row.build.target or "" for row in made if row.build)
    found += [("built for", target) for target in targets if target]
    found += _named_policies(comparison)
    if comparison.side_by_side is not None:
        text = (
            f"{comparison.side_by_side} rows at a time: builds and runs slow each other down"
        )
        found.append(("beware", text))
    return tuple(found)


def _settings(row: Row) -> str:
    return settings_line(row.settings)


def _environment(row: Row) -> str:
    return environment_line(row.environment) if row.environment is not None else ""


def _distinct(texts: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _named_policies(comparison: PolicyComparison) -> list[tuple[str, str]]:
    """Returns name and meaning of each policy that has a name of its own."""
    policies = {row.name: (row.policy, row.settings) for row in comparison.rows}
    return [
        (one_line(name), policy_line(policy, settings))
        for name, (policy, settings) in policies.items()
        if name != policy_name(policy)
    ]


def row_line(row: Row) -> str:
    """Returns a finished row as one line."""
    if row.error is not None or row.broken is not None:
        return one_line(row.error or row.broken or "")
    figures = ((row.engines, "engine"), (row.torch_ops, "PyTorch operator"))
    parts = [
        f"{noun}s unknown" if number is None else count(number, noun)
        for number, noun in figures
    ]
    if row.build is not None:
        parts.append(f"build {_build(row)}")
    return ", ".join(parts)


def model_names(groups: Sequence[ModelRows]) -> str:
    """Returns what the comparison is of, as a title."""
    names = [group.model for group in groups]
    return names[0] if len(names) == 1 else f"{len(names)} models"
