"""Reports, builds and environments as rich renderables that fit the width they are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trtdbg.outputs import summary
from trtdbg.outputs.explain import CATALOGUE, Explanation
from trtdbg.records import (
    BuildStatus,
    Dtype,
    EngineRecord,
    Environment,
    Finding,
    Level,
    NodeRecord,
    PassRecord,
    Report,
    Verdict,
    dtype_text,
    shape_text,
)

NODE_ROWS = 40
"""Rows of the node table unless all are asked for."""

CONSTANT_ROWS = 20
"""Rows of the constants table unless all are asked for."""

_STACK_BELOW = 110
"""Columns under which node and operator share one column."""

_LEVEL_STYLE = {Level.NOTE: "cyan", Level.WARNING: "yellow", Level.ERROR: "bold red"}

_VERDICT_STYLE = {
    Verdict.ACCEPT: "green",
    Verdict.REJECT: "bold red",
    Verdict.CRASHED: "bold red",
    Verdict.NOT_APPLICABLE: "yellow",
    Verdict.NOT_CHECKED: "dim",
}

_STATUS_STYLE = {BuildStatus.BUILT: "green", BuildStatus.FAILED: "bold red"}

_DTYPE_STYLE = {"float64": "magenta", "complex128": "magenta", "int64": "blue"}
"""Wide dtypes alone are coloured; the word stands there in any case."""


class _Nodes:
    """The node table; node and operator share a column where eight columns do not fit."""

    def __init__(self, nodes: Sequence[NodeRecord]) -> None:
        self._nodes = nodes

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        stacked = options.max_width < _STACK_BELOW
        names = ["node, operator"] if stacked else ["node", "operator"]
        table = _table(*names, "original", "inferred", "truncated", "TensorRT", "verdict")
        table.add_column("engine", justify="right", no_wrap=True)
        for column in table.columns[len(names) : -2]:
            column.min_width = 7
        for node in self._nodes:
            called = node.op.startswith("call_")
            operator = Text(
                summary.operator_text(node.target) if called else node.op, style="dim"
            )
            name = Text(node.name)
            label = [Text("\n ").join((name, operator))] if stacked else [name, operator]
            table.add_row(
                *label,
                *(_dtype(d) for d in (node.original, node.inferred, node.truncated)),
                Text(dtype_text(node.tensorrt)),
                _verdict(node.verdict),
                _index(node.engine),
            )
        yield table


def report(report: Report, *, all_nodes: bool = False) -> RenderableType:
    """Returns a whole report: the answer first, then what explains it."""
    parts: list[RenderableType] = [header(report)]
    parts += _section("Left to PyTorch", _left_to_pytorch(report))
    parts += _section("Findings", findings(report.findings))
    parts += _section(_pass_title(report), _passes(report.passes))
    parts += _section(*_nodes(report, all_nodes=all_nodes))
    parts += _section("Engines", _engines(report))
    parts += _section("Boundary casts", _boundary_casts(report))
    parts += _section(*_constants(report, all_rows=all_nodes))
    return Group(*parts)


def build(report: Report) -> RenderableType:
    """Returns how the build of each engine ended; TensorRT's own sentence where it failed."""
    parts: list[RenderableType] = [header(report), Text("")]
    parts.append(Text(summary.build_line(report), style="bold"))
    if not report.engines:
        return Group(*parts)
    table = _table("engine", "nodes", "layers", "result", "seconds", "size", "target")
    for column in (0, 1, 2, 4, 5):
        table.columns[column].justify = "right"
    for engine in report.engines:
        made = engine.build
        table.add_row(
            str(engine.index),
            str(len(engine.nodes)),
            str(len(engine.layers)) if engine.layers else "-",
            _status(made.status),
            "-" if made.seconds is None else f"{made.seconds:.2f}",
            summary.bytes_text(made.bytes),
            made.target or "this GPU",
        )
    parts.append(table)
    for engine in report.engines:
        parts += _failure(engine)
    parts += _execution_times(report)
    return Group(*parts)


def header(report: Report) -> RenderableType:
    """Returns the headline and what was in force: policy, settings, versions."""
    title = Text(f"{summary.base_name(report.model.path)}: ", style="bold")
    title.append(summary.headline(report))
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    lines.add_row("policy", Text(summary.policy_line(report.policy)))
    lines.add_row("settings", Text(summary.settings_line(report.settings)))
    lines.add_row("made with", Text(summary.environment_line(report.environment)))
    for record in report.passes:
        if record.error:
            lines.add_row("error", Text(f"pass {record.index} {record.name}: {record.error}"))
    return Group(title, lines)


def findings(found: Sequence[Finding], *, prefix: str = "") -> RenderableType | None:
    """Returns one paragraph a finding, the worst first; None if there is none."""
    if not found:
        return None
    order = (Level.ERROR, Level.WARNING, Level.NOTE)
    lines = []
    for finding in sorted(found, key=lambda f: (order.index(f.level), f.code)):
        line = Text(prefix)
        line.append(finding.code, style="bold")
        line.append(f" {finding.level.value}", style=_LEVEL_STYLE[finding.level])
        known = CATALOGUE.get(finding.code)
        line.append(f" {known.name}: " if known else ": ")
        line.append(finding.message)
        lines.append(line)
    return Group(*lines)


def environment(environment: Environment) -> RenderableType:
    """Returns versions, TensorRT's flavour, the GPU or its absence, and what is possible."""
    versions = Table.grid(padding=(0, 2, 0, 0))
    versions.add_column(style="dim", no_wrap=True)
    versions.add_column(overflow="fold")
    for name, value in _versions(environment):
        versions.add_row(name, Text(value))
    parts: list[RenderableType] = [versions]
    if environment.capabilities:
        table = _table("possible here", "", "why")
        table.columns[1].no_wrap = True
        for capability in environment.capabilities:
            style = "green" if capability.possible else "yellow"
            table.add_row(
                capability.name,
                Text("yes" if capability.possible else "no", style=style),
                capability.reason,
            )
        parts += [Text(""), table]
    parts += _section(
        "Printed while torch_tensorrt was imported",
        Group(*(Text(line, style="dim") for line in environment.import_log))
        if environment.import_log
        else None,
    )
    return Group(*parts)


def explanation(entry: Explanation) -> RenderableType:
    """Returns cause and cure of a finding's code."""
    title = Text(f"{entry.code} {entry.name}", style="bold")
    title.append(f"  ({entry.level.value})", style=_LEVEL_STYLE[entry.level])
    return Group(
        title,
        Text(entry.what),
        Text("\nCause", style="bold"),
        Text(entry.cause),
        Text("\nCure", style="bold"),
        Text(entry.cure),
    )


def catalogue(entries: Iterable[Explanation]) -> RenderableType:
    """Returns the table of all codes."""
    table = _table("code", "level", "name", "what")
    for column in table.columns[:3]:
        column.no_wrap = True
    for entry in entries:
        level = Text(entry.level.value, style=_LEVEL_STYLE[entry.level])
        table.add_row(Text(entry.code, style="bold"), level, entry.name, entry.what)
    return table


def _table(*headers: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    for name in headers:
        table.add_column(Text(name), overflow="fold")
    return table


def _section(title: str, body: RenderableType | None) -> list[RenderableType]:
    if body is None:
        return []
    return [Text(f"\n{title}", style="bold underline"), body]


def _dtype(dtype: Dtype) -> Text:
    text = dtype_text(dtype)
    return Text(text, style=_DTYPE_STYLE.get(text, ""))


def _verdict(verdict: Verdict) -> Text:
    return Text(summary.VERDICT_WORDS[verdict], style=_VERDICT_STYLE[verdict])


def _status(status: BuildStatus) -> Text:
    return Text(status.value.replace("_", " "), style=_STATUS_STYLE.get(status, ""))


def _index(index: int | None) -> str:
    return "-" if index is None else str(index)


def _left_to_pytorch(report: Report) -> RenderableType | None:
    nodes = summary.left_to_pytorch(report)
    if not nodes:
        return None
    lines = []
    for node in nodes[:NODE_ROWS]:
        line = Text(node.name, style="bold")
        where = f", {node.source}" if node.source and str(node.source) else ""
        line.append(f" ({summary.operator_text(node.target)}{where}): ", style="not bold")
        line.append(summary.refusal(report, node), style="not bold")
        lines.append(line)
    if len(nodes) > NODE_ROWS:
        lines.append(Text(f"and {len(nodes) - NODE_ROWS} more", style="dim"))
    return Group(*lines)


def _pass_title(report: Report) -> str:
    changed = sum(record.changed for record in report.passes)
    return f"Passes ({changed} of {len(report.passes)} changed the graph)"


def _passes(passes: Sequence[PassRecord]) -> RenderableType | None:
    telling = [record for record in passes if record.changed or record.error]
    if not telling:
        return None
    table = _table("#", "phase", "pass", "nodes", "added", "removed", "retyped", "time")
    for column in (0, 3, 4, 5, 6, 7):
        table.columns[column].justify = "right"
        table.columns[column].no_wrap = True
    for record in telling:
        name = Text(record.name)
        if record.error:
            name.append("\nfailed", style="bold red")
        table.add_row(
            str(record.index),
            record.phase.value.replace("_", " "),
            name,
            str(record.nodes),
            *(str(len(n) or "-") for n in (record.added, record.removed, record.retyped)),
            summary.seconds_text(record.seconds),
        )
    return table


def _nodes(report: Report, *, all_nodes: bool) -> tuple[str, RenderableType | None]:
    total = len(report.nodes)
    if not total:
        return "Nodes", None
    if all_nodes:
        return f"Nodes (all {total})", _Nodes(report.nodes)
    telling = summary.nodes_that_matter(report)
    if not telling:
        return "Nodes", Text(f"none of {total} refused or retyped; --all-nodes shows all")
    shown = telling[:NODE_ROWS]
    title = f"Nodes ({len(shown)} of {total}: refused or retyped; --all-nodes shows all)"
    if len(shown) < len(telling):
        title = (
            f"Nodes (the first {len(shown)} of {len(telling)} refused or retyped, "
            f"{total} in all; --all-nodes shows all)"
        )
    return title, _Nodes(shown)


def _engines(report: Report) -> RenderableType | None:
    if not report.engines:
        return None
    parts: list[RenderableType] = []
    for engine in report.engines:
        parts.append(Text(_engine_line(engine)))
        rows = [("in", b) for b in engine.inputs] + [("out", b) for b in engine.outputs]
        if not rows:
            continue
        table = _table("", "binding", "shape", "declared", "bound")
        for column in table.columns[3:]:
            column.min_width = 8
        for way, binding in rows:
            differs = binding.bound is not None and binding.bound != binding.declared
            table.add_row(
                way,
                binding.name,
                shape_text(binding.shape),
                _dtype(binding.declared),
                Text(binding.bound or "-", style="bold yellow" if differs else ""),
            )
        parts.append(Padding(table, (0, 0, 0, 2)))
    return Group(*parts)


def _engine_line(engine: EngineRecord) -> str:
    layers = f", {summary.count(len(engine.layers), 'layer')}" if engine.layers else ""
    made = engine.build
    state = made.status.value.replace("_", " ")
    if made.status is BuildStatus.BUILT:
        target = f" for {made.target}" if made.target else ""
        size = summary.bytes_text(made.bytes)
        state = f"built in {summary.seconds_text(made.seconds)}, {size}{target}"
    elif made.error:
        state = f"{state}: {made.error}"
    nodes = summary.count(len(engine.nodes), "node")
    return f"Engine {engine.index} ({engine.name}): {nodes}{layers}; {state}"


def _boundary_casts(report: Report) -> RenderableType | None:
    if not report.boundary_casts:
        return None
    table = _table("value", "from", "to", "direction", "engine", "bytes", "asked by")
    for column in (4, 5):
        table.columns[column].justify = "right"
    table.columns[5].no_wrap = True
    for cast in report.boundary_casts:
        table.add_row(
            cast.value,
            _dtype(cast.from_dtype),
            _dtype(cast.to_dtype),
            cast.direction.value.replace("_", " "),
            _index(cast.engine),
            summary.bytes_text(cast.bytes),
            ", ".join(cast.asked_by) or "-",
        )
    return table


def _constants(report: Report, *, all_rows: bool) -> tuple[str, RenderableType | None]:
    telling = summary.constants_that_matter(report.constants)
    title = f"Constants ({len(telling)} of {len(report.constants)} narrowed)"
    if not telling:
        return title, None
    shown = telling if all_rows else telling[:CONSTANT_ROWS]
    if len(shown) < len(telling):
        title = title.replace(")", f", the {len(shown)} most damaged)")
    table = _table("constant", "from", "to", "max error", "relative", "overflow", "underflow")
    for column in table.columns[3:]:
        column.justify = "right"
        column.no_wrap = True
    for constant in shown:
        table.add_row(
            constant.name,
            _dtype(constant.original),
            _dtype(constant.truncated),
            _error(constant.max_abs_error),
            _error(constant.max_rel_error),
            str(constant.overflowed or "-"),
            str(constant.underflowed or "-"),
        )
    return title, table


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}" if value else "0"


def _failure(engine: EngineRecord) -> list[RenderableType]:
    made = engine.build
    if made.status is BuildStatus.BUILT or not made.error:
        return []
    where = f" while converting {made.node}" if made.node else ""
    return [Text(f"Engine {engine.index}{where}: {made.error}", style="red")]


def _execution_times(report: Report) -> Iterator[RenderableType]:
    times = [summary.execution_time(engine, report.environment) for engine in report.engines]
    if len(set(times)) == 1 and report.engines[0].timing is None:
        yield Text(f"Execution time {times[0]}")
        return
    for engine, time in zip(report.engines, times, strict=True):
        yield Text(f"Execution time of engine {engine.index}: {time}")


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
    yield "build targets", ", ".join(environment.targets) or "this machine's GPU alone"
