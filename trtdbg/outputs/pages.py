"""What the commands show: a report, a build, a machine, an explanation, as rich renderables.

All fit the width that they are given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from trtdbg.analysis import cause_lines, change_words, explained, summary
from trtdbg.analysis.advice import consequence_lines, suggestion_lines
from trtdbg.analysis.alike import as_one
from trtdbg.analysis.block_sizes import block_size_lines
from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.analysis.causes import coverage_line, why
from trtdbg.analysis.checked import CheckedModel, grouped
from trtdbg.analysis.codes import Explanation
from trtdbg.analysis.headline import build_headline, headline
from trtdbg.analysis.levels import by_severity
from trtdbg.analysis.versions import UNTRIED, unread_line
from trtdbg.outputs import place_tables, tables
from trtdbg.plain import one_line, without_controls
from trtdbg.records import (
    BuildStatus,
    EngineRecord,
    Environment,
    Finding,
    Level,
    Report,
    WhatChanged,
)

SAME_FINDINGS = 5
"""Findings of one code in a report; `trtdbg check` lists all."""

TRUSTED = "opened with --trust: code in the file may have run"

_LEVEL_STYLE = {Level.NOTE: "cyan", Level.WARNING: "yellow", Level.ERROR: "bold red"}


class ControlCharsStripped:
    """A renderable without the control characters that names and messages of a model hold.

    Those that styles need are added afterwards.
    """

    def __init__(self, body: RenderableType) -> None:
        """Takes what is shown."""
        self._body = body

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the segments of the body, cleaned; they take as much room as before."""
        for segment in console.render(self._body, options):
            yield segment._replace(text=without_controls(segment.text))


def report(report: Report, *, all_nodes: bool = False) -> RenderableType:
    """Returns a whole report: the answer first, then what explains it.

    One whose lines or modules were asked for shows these in place of the rest.
    """
    parts: list[RenderableType] = [header(report, headline(report))]
    places = list(place_tables.sections(report, all_rows=all_nodes))
    if places:
        return Group(*parts, *(part for place in places for part in _section(*place)))
    if report.causes:
        parts += _section("Why it is not one engine", _lines(cause_lines.lines(report)))
    else:
        # A report that an older version saved.
        parts += _section("Left to PyTorch", _left_to_pytorch(report))
    parts += _section(
        "If one refused operator were accepted", _lines(consequence_lines(report))
    )
    parts += _section("Other minimum block sizes", _lines(block_size_lines(report)))
    parts += _section("Suggested policy", _lines(suggestion_lines(report)))
    parts += _section("Findings", findings(as_one(report.findings), most=SAME_FINDINGS))
    parts += _section(*tables.numerics(report))
    parts += _section(*tables.passes(report))
    parts += _section(*tables.nodes(report, all_nodes=all_nodes))
    parts += _section(*tables.subgraphs(report))
    parts += _section(*tables.engines(report))
    parts += _section(*tables.boundary_casts(report))
    parts += _section(*tables.constants(report))
    return Group(*parts)


def changes(changed: WhatChanged) -> RenderableType:
    """Returns what changed between two analyses, a line each."""
    names = [summary.base_name(name) for name in (changed.before, changed.after)]
    named = f"{names[0]} → {names[1]}" if names[0] != names[1] else names[0]
    title = Text(one_line(f"{named}: what changed"), style="bold")
    return Group(title, *map(Text, change_words.lines(changed)))


def paragraphs(answers: Sequence[Sequence[str]]) -> RenderableType:
    """Returns answers of several lines each with an empty line between two of them."""
    lines: list[str] = []
    for answer in answers:
        lines += ["", *answer] if lines else answer
    return Group(*map(Text, lines))


def build(report: Report, *, layers: bool = False) -> RenderableType:
    """Returns how the build of each engine ended; TensorRT's own sentence where it failed.

    Args:
        report: with build records.
        layers: whether every layer of each network is shown.
    """
    parts: list[RenderableType] = [header(report, build_headline(report))]
    if not report.engines:
        return Group(*parts)
    parts += [Text(""), tables.build_results(report)]
    for engine in report.engines:
        parts += _failure(engine)
        parts += _warnings(engine)
    parts += _execution_times(report)
    parts += _execution(report)
    if layers:
        for engine in report.engines:
            parts += _section(*tables.layers(report, engine))
            parts += _section(*tables.profile(engine))
    parts += _saved(report)
    return Group(*parts)


def header(report: Report, answer: str) -> RenderableType:
    """Returns the headline and what was in force: policy, settings, versions."""
    title = Text(one_line(f"{summary.model_name(report.model)}: {answer}"), style="bold")
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    if report.model.trusted:
        lines.add_row("trusted", Text(TRUSTED, style="bold red"))
    if report.model.moved_from:
        devices = ", ".join(report.model.moved_from)
        zeros = ", without values: zeros" if "meta" in report.model.moved_from else ""
        lines.add_row("exported on", Text(f"{devices}, read on the CPU{zeros}"))
    if report.model.prebuilt is not None:
        lines.add_row("opened as", Text(f"{report.model.prebuilt}: {summary.PREBUILT}"))
    else:
        lines.add_row("policy", Text(summary.policy_line(report.policy, report.settings)))
        lines.add_row("settings", Text(summary.settings_line(report.settings)))
    covered = coverage_line(report)
    if covered is not None:
        lines.add_row("coverage", Text(covered))
    low = summary.low_line(report)
    if low is not None:
        lines.add_row("low", Text(low))
    if report.model.recorded is not None:
        lines.add_row("recorded", Text(summary.recorded_line(report.model.recorded)))
    lines.add_row("made with", Text(summary.environment_line(report.environment)))
    unasked = summary.unasked_line(report)
    if unasked is not None:
        lines.add_row("not asked", Text(unasked, style="yellow"))
    for record in report.passes:
        if record.error:
            lines.add_row("error", Text(f"pass {record.index} {record.name}: {record.error}"))
    return Group(title, lines)


def findings(
    found: Sequence[Finding],
    *,
    prefix: str = "",
    most: int | None = None,
    with_code: bool = False,
) -> RenderableType | None:
    """Returns one paragraph a finding, the worst first; None if there is none.

    Args:
        found: The findings.
        prefix: What each paragraph begins with, before a colon.
        most: How many of one code and level are shown before the rest is only counted.
        with_code: Whether the text of the source line stands behind the message.
    """
    if not found:
        return None
    lines = []
    seen: Counter[tuple[Level, str]] = Counter()
    totals = Counter((finding.level, finding.code) for finding in found)
    for finding in sorted(found, key=lambda f: (by_severity(f.level), f.code)):
        kind = (finding.level, finding.code)
        seen[kind] += 1
        if most is not None and seen[kind] > most:
            if seen[kind] == totals[kind]:
                rest = totals[kind] - most
                lines.append(Text(f"and {rest} more {finding.code}", style="dim"))
            continue
        line = Text(f"{one_line(prefix)}: " if prefix else "")
        line.append(finding.code, style="bold")
        line.append(f" {finding.level.value}", style=_LEVEL_STYLE[finding.level])
        known = CATALOGUE.get(finding.code)
        line.append(f" {known.name}: " if known else ": ")
        line.append(one_line(finding.message))
        code = finding.source.code if finding.source is not None else None
        if with_code and code:
            line.append(f" | {one_line(code)}", style="dim")
        lines.append(line)
        lines += [Text(f"  {one_line(cure)}") for cure in cause_lines.untold_cures(finding)]
    return Group(*lines)


def checked(result: CheckedModel) -> RenderableType:
    """Returns the answer on a model and its findings, those of one cause as one line."""
    place = summary.model_place(result.model)
    lines = [Text(one_line(f"{place}: {result.headline}"), style="bold")]
    found = findings(grouped(result), prefix=place, with_code=True)
    return Group(*lines, *([found] if found is not None else []))


def environment(environment: Environment) -> RenderableType:
    """Returns versions, TensorRT's flavour, the GPU or its absence, and what is possible."""
    versions = Table.grid(padding=(0, 2, 0, 0))
    versions.add_column(style="dim", no_wrap=True)
    versions.add_column(overflow="fold")
    for name, value in _versions(environment):
        versions.add_row(name, Text(value))
    parts: list[RenderableType] = [versions]
    if environment.capabilities:
        table = tables.make_table("possible here", "", "why")
        table.columns[1].no_wrap = True
        for capability in environment.capabilities:
            style = "green" if capability.possible else "yellow"
            table.add_row(
                capability.name,
                Text("yes" if capability.possible else "no", style=style),
                capability.reason,
            )
        parts += [Text(""), table]
    unread = unread_line(environment)
    parts += [Text(""), Text(unread, style="yellow")] if unread is not None else []
    parts += [Text(""), Text(UNTRIED, style="dim")]
    parts += _section(
        "Printed while torch_tensorrt was imported",
        Group(*(Text(line, style="dim") for line in environment.import_log))
        if environment.import_log
        else None,
    )
    return Group(*parts)


def explanation(
    entry: Explanation, report: Report | None = None, found: Sequence[Finding] = ()
) -> RenderableType:
    """Returns cause and cure of a finding's code.

    Args:
        entry: what is written down about the code.
        report: the findings are of; None if no report is meant.
        found: findings of the code, which are told with operator, dtypes and line.
    """
    title = Text(f"{entry.code} {entry.name}", style="bold")
    title.append(f"  ({entry.level.value})", style=_LEVEL_STYLE[entry.level])
    named = {f.node for f in found}
    node = next((n for n in report.nodes if n.name in named), None) if report else None
    parts: list[RenderableType] = [
        title,
        Text(entry.what),
        Text("\nCause", style="bold"),
        Text(entry.cause),
        Text("\nCure", style="bold"),
        Text(one_line(explained.cure_of(entry, node if len(named) == 1 else None))),
    ]
    if report is not None and found:
        parts += [Text("\nHere", style="bold"), _here(report, found)]
    return Group(*parts)


def _here(report: Report, found: Sequence[Finding]) -> RenderableType:
    lines = []
    for finding in found[:SAME_FINDINGS]:
        first, *rest = explained.here(report, finding) or [finding.message]
        lines += [Text(one_line(first)), *(Text(f"  {one_line(text)}") for text in rest)]
    more = len(found) - SAME_FINDINGS
    if more > 0:
        lines.append(Text(f"and {more} more", style="dim"))
    return Group(*lines)


def catalogue(entries: Iterable[Explanation]) -> RenderableType:
    """Returns the table of all codes."""
    table = tables.make_table("code", "level", "name", "what")
    for column in table.columns[:3]:
        column.no_wrap = True
    for entry in entries:
        level = Text(entry.level.value, style=_LEVEL_STYLE[entry.level])
        table.add_row(Text(entry.code, style="bold"), level, entry.name, entry.what)
    return table


def _section(title: str, body: RenderableType | None) -> list[RenderableType]:
    if body is None:
        return []
    return [Text(f"\n{title}", style="bold underline"), body]


def _lines(lines: Sequence[str]) -> RenderableType | None:
    return Group(*(Text(_clean(text)) for text in lines)) if lines else None


def _clean(text: str) -> str:
    """Returns a line that steers no terminal, its indentation kept."""
    indent = len(text) - len(text.lstrip(" "))
    return " " * indent + one_line(text.lstrip(" "))


def _left_to_pytorch(report: Report) -> RenderableType | None:
    nodes = summary.left_to_pytorch(report)
    if not nodes:
        return None
    lines = []
    for node in nodes[: tables.ROWS]:
        line = Text(node.name, style="bold")
        where = f", {node.source}" if node.source and str(node.source) else ""
        line.append(f" ({summary.operator_text(node.target)}{where}): ", style="not bold")
        line.append(why(report, node), style="not bold")
        lines.append(line)
    if len(nodes) > tables.ROWS:
        lines.append(Text(f"and {len(nodes) - tables.ROWS} more", style="dim"))
    return Group(*lines)


def _failure(engine: EngineRecord) -> list[RenderableType]:
    made = engine.build
    if made.status is BuildStatus.BUILT or not made.error:
        return []
    where = f" while converting {made.node}" if made.node else ""
    return [Text(f"Engine {engine.index}{where}: {made.error}", style="red")]


def _warnings(engine: EngineRecord) -> Iterator[RenderableType]:
    """Yields what TensorRT logged about an engine that it did build, each sentence once."""
    if engine.build.status is not BuildStatus.BUILT:
        return
    for text, times in Counter(map(one_line, engine.build.log)).items():
        often = f" ({times} times)" if times > 1 else ""
        yield Text(f"Engine {engine.index}, TensorRT: {text}{often}", style="yellow")


def _execution_times(report: Report) -> Iterator[RenderableType]:
    times = [summary.execution_time(engine, report.environment) for engine in report.engines]
    if len(set(times)) == 1 and report.engines[0].timing is None:
        yield Text(f"Execution time {times[0]}")
        return
    for engine, time in zip(report.engines, times, strict=True):
        yield Text(f"Execution time of engine {engine.index}: {time}")


def _execution(report: Report) -> Iterator[RenderableType]:
    found = report.execution
    if found is None:
        return
    title = f"Whole program on {found.device}, {found.inputs}"
    yield from _section(title, tables.execution(found))
    for each in found.comparisons:
        yield Text(summary.comparison_line(each))
    for row in found.contenders:
        for said in filter(None, (row.error, row.note)):
            yield Text(one_line(f"{row.name}: {said}"), style="yellow")
    for engine in report.engines:
        if engine.profile_unavailable:
            reason = one_line(engine.profile_unavailable)
            yield Text(f"Profile of engine {engine.index} not available: {reason}")


def _saved(report: Report) -> Iterator[RenderableType]:
    if report.saved is None:
        return
    yield Text(f"Saved to {report.saved.folder}: {', '.join(report.saved.files)}")
    if report.saved.runnable is not None:
        yield Text(f"{report.saved.runnable} runs: load it with torch_tensorrt.load")
    if report.saved.script is not None:
        name = report.saved.script
        yield Text(
            f"{name} runs it where there is the GPU; `python {name} --check` looks first"
        )
    if report.saved.script_missing is not None:
        reason = one_line(report.saved.script_missing)
        yield Text(f"No script to run it: {reason}", style="yellow")
    if report.saved.missing is not None:
        yield Text(f"Missing to run it: {report.saved.missing}", style="yellow")


def _versions(environment: Environment) -> Iterator[tuple[str, str]]:
    missing = "not installed"
    yield "trtdbg", environment.trtdbg
    yield "Python", f"{environment.python} on {environment.platform}"
    cuda = f"CUDA {environment.torch_cuda}" if environment.torch_cuda else "CPU build"
    yield "torch", f"{environment.torch} ({cuda})" if environment.torch else missing
    yield "torch_tensorrt", environment.torch_tensorrt or missing
    flavour = summary.FLAVOURS.get(environment.flavour or "", "TensorRT")
    yield flavour, environment.tensorrt or missing
    gpu = environment.gpu
    if gpu is None:
        yield "GPU", "none"
    else:
        memory = summary.bytes_text(gpu.memory_bytes)
        yield "GPU", f"{gpu.name}, compute capability {gpu.compute_capability}, {memory}"
    yield "build targets", ", ".join(environment.targets) or "only this machine's GPU"
