"""The tables of a report and of its build, one function each, and the words in their cells."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trtdbg.analysis import numerics as values
from trtdbg.analysis import summary
from trtdbg.analysis.conclusions import is_call
from trtdbg.analysis.layers import layer_rows
from trtdbg.analysis.node_columns import IN_TERMINAL, NodeColumn, shown_columns
from trtdbg.plain import one_line
from trtdbg.records import (
    Agreement,
    Binding,
    BoundaryCast,
    BuildStatus,
    Direction,
    Dtype,
    EngineRecord,
    Execution,
    NodeError,
    NodeRecord,
    Report,
    Verdict,
    dtype_text,
    shape_text,
)

Section = tuple[str, RenderableType | None]
"""A title, and what stands under it; None leaves the section out."""

NODE_ROWS = 25
"""Rows of the node table unless all are asked for."""

ROWS = 40
"""Rows of any other table; the JSON holds all."""

_STACK_BELOW = 110
"""Columns under which node and operator share one column."""

_VERDICT_STYLE = {
    Verdict.ACCEPT: "green",
    Verdict.REJECT: "bold red",
    Verdict.CRASHED: "bold red",
    Verdict.NOT_APPLICABLE: "yellow",
    Verdict.NOT_CHECKED: "dim",
}

_AGREEMENT_STYLE = {Agreement.WITHIN: "green", Agreement.BEYOND: "bold red"}

_STATUS_STYLE = {BuildStatus.BUILT: "green", BuildStatus.FAILED: "bold red"}

_DTYPE_STYLE = {"float64": "magenta", "complex128": "magenta", "int64": "blue"}
"""Only wide dtypes are coloured; the word stands there in any case."""


class _Nodes:
    """The node table; node and operator share a column where eight columns do not fit."""

    def __init__(self, nodes: Sequence[NodeRecord]) -> None:
        self._nodes = nodes

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        stacked = options.max_width < _STACK_BELOW
        name, operator, *others = shown_columns(IN_TERMINAL, self._nodes)
        titles = [name.title, operator.title]
        names = [", ".join(titles)] if stacked else titles
        table = make_table(*names, *(column.title for column in others))
        engine = table.columns[-1]
        engine.justify, engine.no_wrap, engine.overflow = "right", True, "ellipsis"
        for column in table.columns[len(names) : -2]:
            column.min_width = 7
        for node in self._nodes:
            target = operator.text(node)
            if stacked:
                # The overload that nearly all have; whole names stand where there is room.
                target = target.removesuffix(".default")
            label = [Text(name.text(node)), Text(target, style="dim")]
            table.add_row(
                *([Text("\n ").join(label)] if stacked else label),
                *(_cell(column, node) for column in others),
            )
        yield table


def _cell(column: NodeColumn, node: NodeRecord) -> Text:
    text = column.text(node) or "-"
    if column.key == "verdict":
        return Text(text, style=_VERDICT_STYLE[node.verdict] if is_call(node) else "dim")
    return Text(text, style=_DTYPE_STYLE.get(text, ""))


def make_table(*headers: str) -> Table:
    """Returns an empty table that spends no room on borders and cuts no cell short."""
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


def passes(report: Report) -> Section:
    """Returns the passes that changed the graph or failed."""
    changed = sum(record.changed for record in report.passes)
    title = f"Passes ({changed} of {len(report.passes)} changed the graph)"
    telling = [record for record in report.passes if record.changed or record.error]
    if not telling:
        return title, None
    table = make_table("#", "phase", "pass", "nodes", "+", "-", "retyped", "time")
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
            _milliseconds(record.seconds),
        )
    return title, table


def _milliseconds(seconds: float) -> str:
    return "<1 ms" if seconds < 0.001 else f"{seconds * 1000:.0f} ms"


def nodes(report: Report, *, all_nodes: bool) -> Section:
    """Returns the nodes that matter, or all."""
    total = len(report.nodes)
    if not total:
        return "Nodes", None
    if all_nodes:
        return f"Nodes (all {total})", _Nodes(report.nodes)
    telling = summary.nodes_that_matter(report)
    if not telling:
        return "Nodes", Text(f"none of {total} refused or retyped; --all-nodes shows all")
    shown = telling[:NODE_ROWS]
    kept = any(node.low is not None for node in report.nodes)
    which = f"{len(telling)} refused{', kept' if kept else ''} or retyped"
    if len(shown) < len(telling):
        which = f"first {len(shown)} of {which}"
    return f"Nodes ({which}; --all-nodes shows all {total})", _Nodes(shown)


def subgraphs(report: Report) -> Section:
    """Returns the operators inside of control flow."""
    inside = summary.subgraph_operators(report)
    if not inside:
        return "", None
    table = make_table("node", "operator", "dtype", "shape")
    for path, node in inside[:NODE_ROWS]:
        table.add_row(
            one_line(path),
            one_line(summary.operator_text(node.target)),
            _dtype(node.dtype),
            shape_text(node.shape),
        )
    rest = len(inside) - NODE_ROWS
    more = f", the first {NODE_ROWS} of {len(inside)}" if rest > 0 else ""
    return f"Inside of control flow ({summary.SUBGRAPHS}{more})", table


def engines(report: Report) -> Section:
    """Returns each engine with its inputs and outputs."""
    if not report.engines:
        return "Engines", None
    parts: list[RenderableType] = []
    for engine in report.engines:
        parts.append(Text(_engine_line(engine)))
        rows = [("in", b) for b in engine.inputs] + [("out", b) for b in engine.outputs]
        if not rows:
            continue
        dynamic = any(binding.profile is not None for _, binding in rows)
        headers = ("", "binding", "shape", "declared", "bound")
        table = make_table(*headers, *(["built for shapes"] if dynamic else []))
        for column in table.columns[3:5]:
            column.min_width = 8
        for way, binding in rows:
            differs = binding.bound is not None and binding.bound != binding.declared
            table.add_row(
                way,
                binding.name,
                shape_text(binding.shape),
                _dtype(binding.declared),
                Text(binding.bound or "-", style="bold yellow" if differs else ""),
                *([_profile(binding)] if dynamic else []),
            )
        parts.append(Padding(table, (0, 0, 0, 2)))
    return "Engines", Group(*parts)


def _profile(binding: Binding) -> str:
    return "-" if binding.profile is None else summary.profile_text(binding.profile)


def _engine_line(engine: EngineRecord) -> str:
    layers = f", {summary.count(len(engine.layers), 'layer')}" if engine.layers else ""
    made = engine.build
    state = made.status.value.replace("_", " ")
    if made.status is BuildStatus.BUILT:
        target = f" for {made.target}" if made.target else ""
        size = summary.bytes_text(made.bytes)
        took = f" in {summary.seconds_text(made.seconds)}" if made.seconds is not None else ""
        state = f"built{took}, {size}{target}"
    elif made.error:
        state = f"{state}: {made.error}"
    nodes = summary.count(len(engine.nodes), "node")
    return f"Engine {engine.index} ({engine.name}): {nodes}{layers}; {state}"


def boundary_casts(report: Report) -> Section:
    """Returns the casts at the boundaries, with who asked for them."""
    casts = report.boundary_casts
    title = "Boundary casts"
    if not casts:
        return title, None
    if len(casts) > ROWS:
        title = f"Boundary casts (first {ROWS} of {len(casts)})"
    names = {engine.name: f"engine {engine.index}" for engine in report.engines}
    table = make_table("value", "from", "to", "direction", "bytes", "asked by")
    for column in table.columns[1:5]:
        column.no_wrap = True
    table.columns[4].justify = "right"
    for cast in casts[:ROWS]:
        table.add_row(
            cast.value,
            _dtype(cast.from_dtype),
            _dtype(cast.to_dtype),
            _direction(cast),
            summary.bytes_text(cast.bytes),
            ", ".join(names.get(who, who.split(" (")[0]) for who in cast.asked_by) or "-",
        )
    return title, table


def _direction(cast: BoundaryCast) -> str:
    words = cast.direction.value.replace("_", " ")
    crosses = cast.direction in (Direction.INTO_ENGINE, Direction.OUT_OF_ENGINE)
    return f"{words} {cast.engine}" if crosses and cast.engine is not None else words


def constants(report: Report) -> Section:
    """Returns what narrowing does to constants, the worst first."""
    narrowed = [c for c in report.constants if c.original != c.truncated]
    if not narrowed:
        return "Constants", None
    telling = summary.constants_that_matter(narrowed)
    title = f"Constants ({len(narrowed)} of {len(report.constants)} narrowed"
    if not telling:
        return f"{title})", Text("none of them loses anything")
    rest = f", first {ROWS}" if len(telling) > ROWS else ""
    title = f"{title}, {len(telling)} with a loss{rest})"
    table = make_table(
        "constant", "from", "to", "max error", "relative", "overflow", "underflow"
    )
    for column in table.columns[3:]:
        column.justify = "right"
        column.no_wrap = True
    for constant in telling[:ROWS]:
        table.add_row(
            constant.name,
            _dtype(constant.original),
            _dtype(constant.truncated),
            values.error_text(constant.max_abs_error),
            values.error_text(constant.max_rel_error),
            str(constant.overflowed or "-"),
            str(constant.underflowed or "-"),
        )
    return title, table


def numerics(report: Report) -> Section:
    """Returns what truncation did to values in a run: outputs, then the nodes that differ."""
    measured = report.numerics
    if measured is None:
        return "Numerics", None
    title = f"Numerics ({values.conditions(measured)})"
    wrong = values.original_line(report)
    parts: list[RenderableType] = [] if wrong is None else [Text(wrong, style="bold red")]
    parts.append(Text(values.headline(measured), style="bold"))
    if measured.outputs:
        parts.append(_errors("output", measured.outputs))
    if measured.first_beyond is not None:
        first = next(row for row in measured.nodes if row.name == measured.first_beyond)
        node = next((n for n in report.nodes if n.name == first.name), None)
        place = f" ({node.source})" if node is not None and str(node.source or "") else ""
        parts.append(
            Text(
                f"The first node beyond the tolerance is {first.name}{place}: "
                f"{values.largest_error(first)}"
            )
        )
    worst = values.worst_nodes(measured)
    if worst:
        rest = (
            f", the worst {values.WORST} of {len(worst)}" if len(worst) > values.WORST else ""
        )
        parts.append(Text(f"Nodes that differ{rest}:"))
        parts.append(_errors("node", worst[: values.WORST]))
    parts += [
        Text(text, style="dim") for text in values.unusual_lines(measured)[: values.WORST]
    ]
    return title, Group(*parts)


def _errors(kind: str, rows: Sequence[NodeError]) -> Table:
    table = make_table(kind, "original", "computed", "agreement", "max error", "relative")
    for name in ("beyond", "wrapped"):
        table.add_column(name)
    for column in table.columns[4:]:
        column.justify = "right"
        column.no_wrap = True
    for row in rows:
        word = row.agreement.value.replace("_", " ")
        table.add_row(
            row.name,
            _dtype(row.original),
            _dtype(row.computed),
            Text(word, style=_AGREEMENT_STYLE.get(row.agreement, "yellow")),
            values.worst_error(row),
            values.percent_text(row.max_rel_error),
            f"{row.beyond}/{row.elements}" if row.elements else "-",
            str(row.wrapped or "-"),
        )
    return table


def build_results(report: Report) -> RenderableType:
    """Returns how the build of each engine ended."""
    results = make_table(
        "engine", "nodes", "layers", "result", "seconds", "memory", "size", "target"
    )
    for column in (0, 1, 2, 4, 5, 6):
        results.columns[column].justify = "right"
    for engine in report.engines:
        made = engine.build
        results.add_row(
            str(engine.index),
            str(len(engine.nodes)),
            str(len(engine.layers)) if engine.layers else "-",
            Text("cached", style="green") if made.cached else _status(made.status),
            "-" if made.seconds is None else f"{made.seconds:.2f}",
            summary.bytes_text(made.peak_bytes),
            summary.bytes_text(made.bytes),
            made.target or ("this GPU" if report.environment.gpu is not None else "-"),
        )
    return results


def execution(found: Execution) -> RenderableType:
    """Returns how long the program ran in each way, and how far its outputs are apart."""
    table = make_table(
        "run as", "median ms", "10th", "90th", "runs", "against it", "95 % bounds", "max error"
    )
    for column in range(1, 8):
        table.columns[column].justify = "right"
    against = {each.against: each for each in found.comparisons}
    for row in found.contenders:
        timing, ratio = row.timing, against.get(row.name)
        times: tuple[str, ...] = ("-",) * 4
        if timing is not None:
            values = (timing.median_ms, timing.p10_ms, timing.p90_ms)
            times = (*(f"{value:.3f}" for value in values), str(timing.runs))
        table.add_row(
            row.name,
            *times,
            f"{ratio.ratio:.2f}x" if ratio is not None else "-",
            f"{ratio.low:.2f} to {ratio.high:.2f}" if ratio is not None else "-",
            f"{row.max_abs_error:.2g}" if row.max_abs_error is not None else "-",
        )
    return table


def profile(engine: EngineRecord) -> tuple[str, RenderableType | None]:
    """Returns the layers that TensorRT runs for an engine, the slowest first."""
    if not engine.profile:
        return "", None
    table = make_table("layer that TensorRT runs", "type", "outputs", "median ms", "share")
    table.columns[3].justify = table.columns[4].justify = "right"
    total = sum(layer.median_ms or 0.0 for layer in engine.profile)
    slowest = sorted(engine.profile, key=lambda layer: -(layer.median_ms or 0.0))
    for layer in slowest:
        took = layer.median_ms
        table.add_row(
            one_line(layer.name),
            one_line(layer.type or "-"),
            one_line(", ".join(layer.outputs)) or "-",
            f"{took:.4f}" if took is not None else "-",
            f"{took / total:.0%}" if took is not None and total else "-",
        )
    return f"Profile of engine {engine.index}", table


def layers(report: Report, engine: EngineRecord) -> tuple[str, RenderableType | None]:
    """Returns the layers of an engine's network: dtypes, origin, and what is remarkable."""
    rows = layer_rows(report, engine)
    if not rows:
        return "", None
    remarks = any(row.remark for row in rows)
    table = make_table("layer", "in", "out", "node", "source", *(["remark"] * remarks))
    for row in rows:
        before = ", ".join(dict.fromkeys(name or "-" for name in row.layer.inputs))
        after = ", ".join(dict.fromkeys(row.layer.outputs))
        table.add_row(
            row.layer.type.lower(),
            before or "-",
            after or "-",
            one_line(row.layer.node or "-"),
            one_line(str(row.source) if row.source is not None else "-"),
            *([Text(row.remark, style="yellow")] if remarks else []),
        )
    return f"Layers of engine {engine.index}", table


def _dtype(dtype: Dtype) -> Text:
    text = dtype_text(dtype)
    return Text(text, style=_DTYPE_STYLE.get(text, ""))


def _status(status: BuildStatus) -> Text:
    return Text(status.value.replace("_", " "), style=_STATUS_STYLE.get(status, ""))
