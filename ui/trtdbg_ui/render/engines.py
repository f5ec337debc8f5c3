"""Engines with their bindings and builds, the PyTorch part, casts and narrowed constants."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from trtdbg.analysis.summary import bytes_text, count, execution_time, profile_text, total_text
from trtdbg.records import (
    Binding,
    BoundaryCast,
    BuildStatus,
    Direction,
    EngineRecord,
    Finding,
    LayerRecord,
    Report,
    shape_text,
)
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.activity import Activity
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.render.activity import elapsed
from trtdbg_ui.render.damage import loss
from trtdbg_ui.render.dtypes import dtype_span, tensorrt_span
from trtdbg_ui.render.signs import BUILD_SIGN, short_operator
from trtdbg_ui.text import Line, Span, Tone, crop, fit, fit_middle, line, width, wrap

_DIRECTION = {
    Direction.INTO_ENGINE: "into",
    Direction.OUT_OF_ENGINE: "out of",
    Direction.PROGRAM_INPUT: "program input",
    Direction.PROGRAM_OUTPUT: "program output",
}


@dataclass(frozen=True)
class EngineLine:
    """One line of the pane, and the node that it leads to."""

    text: Line
    node: str | None = None
    engine: int | None = None
    """Index of the engine that it tells about."""


def engine_lines(
    loaded: Loaded,
    activity: Activity | None,
    now: float,
    size: int,
    layers: frozenset[int] = frozenset(),
    *,
    read_only: bool = False,
) -> list[EngineLine]:
    """Returns each engine with bindings and build, the PyTorch part, casts and constants.

    Args:
        loaded: The report whose engines are shown.
        activity: What runs, for the time of a running build of this report's policy.
        now: The app's clock.
        size: Cells available.
        layers: Engines whose layers are shown.
        read_only: Name no key of reproducers: a saved report holds no program.
    """
    report = loaded.report
    building = activity if activity and activity.building else None
    shown = (report.settings, report.policy)
    if building is not None and (building.settings, building.policy) != shown:
        building = None
    lines: list[EngineLine] = []
    for engine in report.engines:
        told = _engine(loaded, engine, building, now, size, read_only)
        if engine.index in layers:
            told += layer_lines(loaded, engine, size)
        lines += [replace_engine(each, engine.index) for each in told]
    if not report.engines:
        lines.append(EngineLine(line((" no engines", Tone.WARN))))
    lines += _pytorch(report, size)
    lines += _casts(report)
    lines += _constants(loaded)
    return lines


def replace_engine(told: EngineLine, engine: int) -> EngineLine:
    """Returns a line that tells about an engine."""
    return EngineLine(told.text, told.node, engine)


def layer_lines(loaded: Loaded, engine: EngineRecord, size: int) -> list[EngineLine]:
    """Returns the layers of an engine's network: type, dtypes, FX node, source line, remark.

    The remark names what the model did not ask for; where it has no room, it stands below.
    """
    if not engine.layers:
        why = "the network is not defined"
        if loaded.report.model.prebuilt is not None:
            why = engine.timing_unavailable or why
        text = f"     no layers: {why}"
        return [EngineLine(line((text, Tone.DIM)))]
    types = min(max(len(layer.type) for layer in engine.layers), 20)
    rows = [(row, _layer_dtypes(row.layer)) for row in loaded.layers(engine)]
    dtypes = min(max(width(spans) for _, spans in rows), 34)
    names = min(max(len(layer.node or "") for layer in engine.layers), 28)
    lines = []
    for row, spans in rows:
        layer, source = row.layer, str(row.source or "")
        pad = " " * max(dtypes - width(spans), 0)
        told = line(
            (f"     {fit(layer.type, types)} ", Tone.DIM),
            *crop(spans, dtypes),
            (f"{pad}  ", Tone.PLAIN),
            (fit_middle(layer.node or "-", names), Tone.PLAIN),
            (f"  {source}", Tone.KEY),
        )
        remark = f"▲ {row.remark}" if row.remark else ""
        room = size - width(told) - 2
        beside = bool(remark) and room >= len(remark)
        if beside:
            told = (*told, (f"  {remark}", Tone.WARN))
            room -= len(remark) + 2
        if room > 12:
            told = (*told, ("  " + fit_middle(layer.name, room).rstrip(), Tone.DIM))
        lines.append(EngineLine(told, layer.node))
        if remark and not beside:
            lines.append(EngineLine(line((f"       {remark}", Tone.WARN)), layer.node))
    return lines


def _layer_dtypes(layer: LayerRecord) -> Line:
    """Returns `FLOAT, INT64 → FLOAT`; dtypes that repeat are said once."""
    before = list(dict.fromkeys(name or "-" for name in layer.inputs))
    after = list(dict.fromkeys(layer.outputs))
    spans: list[Span] = []
    for index, name in enumerate(before):
        spans += [(", ", Tone.PLAIN)] if index else []
        spans.append(tensorrt_span(name))
    spans.append((" → " if before else "→ ", Tone.DIM))
    for index, name in enumerate(after):
        spans += [(", ", Tone.PLAIN)] if index else []
        spans.append(tensorrt_span(name))
    return tuple(spans)


def _operators(loaded: Loaded, engine: EngineRecord) -> tuple[Span, ...]:
    """Returns how many operators an engine holds; of a compiled program that is not known."""
    if loaded.report.model.prebuilt is not None:
        return ()
    number = loaded.operators_of.get(engine.index, 0)
    return ((f"  {count(number, 'operator')}", Tone.PLAIN),)


def _engine(
    loaded: Loaded,
    engine: EngineRecord,
    building: Activity | None,
    now: float,
    size: int,
    read_only: bool,
) -> list[EngineLine]:
    first = next(iter(engine.nodes), None)
    held = _operators(loaded, engine)
    lead = ", " if held else "  "
    head = line(
        (f" E{engine.index}", Tone.STRONG),
        *held,
        (f"{lead}{len(engine.inputs)} in, {len(engine.outputs)} out", Tone.DIM),
        (f", {count(len(engine.layers), 'layer')}" if engine.layers else "", Tone.DIM),
        (f"  {engine.name}  ", Tone.DIM),
        *_build(loaded.report, engine, building, now),
    )
    lines = [EngineLine(part, first) for part in wrap(head, size, indent=5)]
    if engine.build.error:
        error = line((f"     {engine.build.error}", Tone.BAD))
        lines += [
            EngineLine(text, engine.build.node or first)
            for text in wrap(error, size, indent=5)
        ]
    if engine.index in loaded.refused and not read_only:
        lines.append(EngineLine(_way_out(loaded.refused[engine.index]), first))
    for text in engine.build.log[:_LOG_LINES]:
        lines.append(EngineLine(line((f"     {text}", Tone.DIM)), first))
    lines += [
        EngineLine(_binding("in ", b, engine.build.status), b.name) for b in engine.inputs
    ]
    lines += [
        EngineLine(_binding("out", b, engine.build.status), b.name) for b in engine.outputs
    ]
    return lines


def _way_out(finding: Finding) -> Line:
    """Returns which key makes a reproducer of a failed build."""
    what = "gives the command that cuts it down to the operators refused"
    if finding.code != "TD503":
        what = f"writes a reproducer of {finding.node}"
    return line("     ", (key("reproducer"), Tone.KEY), (f" {what}", Tone.DIM))


_LOG_LINES = 8
"""Lines of TensorRT's log that an engine shows; all of them are in the log pane."""


def _build(
    report: Report, engine: EngineRecord, building: Activity | None, now: float
) -> tuple[Span, ...]:
    build = engine.build
    if building is not None and engine.index in building.engines:
        finished = dict(building.finished).get(engine.index)
        if finished is None:
            return _running(engine, building, now)
        engine = replace(engine, build=finished)
        build = finished
    sign = BUILD_SIGN[build.status]
    if build.status not in (BuildStatus.BUILT, BuildStatus.FAILED):
        return (sign,)
    facts = ["from the cache"] if build.cached else []
    if build.seconds is not None:
        facts.append(elapsed(build.seconds))
    if build.bytes is not None:
        facts.append(bytes_text(build.bytes))
    if build.target is not None:
        facts.append(f"for {build.target}")
    spans: list[Span] = [sign, (f" {', '.join(facts)}" if facts else "", Tone.PLAIN)]
    if build.status is BuildStatus.BUILT:
        tone = Tone.DIM if engine.timing is None else Tone.STRONG
        spans.append((f", run time {execution_time(engine, report.environment)}", tone))
    return tuple(spans)


def _running(engine: EngineRecord, building: Activity, now: float) -> tuple[Span, ...]:
    """Returns whether a running build has come to this engine."""
    if engine.index != building.engine:
        return (("… waiting", Tone.DIM),)
    return ((f"… building {elapsed(now - building.engine_started)}", Tone.WARN),)


def _binding(word: str, binding: Binding, made: BuildStatus) -> Line:
    declared, bound = binding.declared, binding.bound
    spans: list[Span] = [
        (f"     {word} ", Tone.DIM),
        (fit_middle(binding.name, 24) + " ", Tone.PLAIN),
        dtype_span(declared),
    ]
    if bound is None:
        # Of a compiled program no network is known, and none will be defined.
        later = "" if made is BuildStatus.BUILT else ", network not defined yet"
        spans.append((f" declared{later}", Tone.DIM))
    elif bound == declared:
        spans.append((" declared and bound", Tone.DIM))
    else:
        spans += [(" declared ", Tone.DIM), ("≠ ", Tone.WARN), dtype_span(bound)]
        spans.append((" bound", Tone.WARN))
    spans.append((f"  {shape_text(binding.shape)}", Tone.DIM))
    if binding.profile is not None:
        spans.append((f"  {profile_text(binding.profile)}", Tone.DIM))
    return tuple(spans)


def _pytorch(report: Report, size: int) -> list[EngineLine]:
    if not report.torch_ops:
        return []
    numbers: dict[str, int] = {}
    for target in report.torch_ops:
        numbers[target] = numbers.get(target, 0) + 1
    named = ", ".join(f"{n}× {short_operator(t)}" for t, n in numbers.items())
    text = line((" PyTorch", Tone.STRONG), (f"  {named}", Tone.PLAIN))
    return [EngineLine(part) for part in wrap(text, size, indent=5)]


def _casts(report: Report) -> list[EngineLine]:
    if not report.boundary_casts:
        return []
    total = total_text((cast.bytes for cast in report.boundary_casts), bytes_text)
    head = line(
        (" Casts", Tone.STRONG),
        (f"  {count(len(report.boundary_casts), 'boundary cast')}", Tone.PLAIN),
        (f", {total} written per run", Tone.DIM),
    )
    return [EngineLine(head), *(EngineLine(_cast(c), c.value) for c in report.boundary_casts)]


def _constants(loaded: Loaded) -> list[EngineLine]:
    """Returns the constants that are narrowed and what they lose, the worst first."""
    if not loaded.narrowed:
        return []
    names = min(max(len(each.name) for each in loaded.narrowed), 32)
    more = len(loaded.narrowed) - _CONSTANTS
    head = line(
        (" Constants", Tone.STRONG),
        (f"  {len(loaded.narrowed)} of {len(loaded.report.constants)} narrowed", Tone.PLAIN),
    )
    return [
        EngineLine(head),
        *(
            EngineLine(
                line(
                    (f"         {fit_middle(each.name, names)} ", Tone.PLAIN),
                    dtype_span(each.original),
                    " → ",
                    dtype_span(each.truncated),
                    "  ",
                    *loss(each),
                ),
                loaded.node_of_constant.get(each.name),
            )
            for each in loaded.narrowed[:_CONSTANTS]
        ),
        *([EngineLine(line((f"         and {more} more", Tone.DIM)))] if more > 0 else []),
    ]


_CONSTANTS = 16
"""Constants that are listed one by one, the worst first."""


def cast_place(cast: BoundaryCast) -> str:
    """Returns where a value is cast, like `into E1`."""
    where = _DIRECTION[cast.direction]
    if cast.engine is None:
        return where
    comma = "" if cast.direction.value.endswith("engine") else ","
    return f"{where}{comma} E{cast.engine}"


def _cast(cast: BoundaryCast) -> Line:
    return line(
        ("         ", Tone.DIM),
        (fit_middle(cast.value, 24) + " ", Tone.PLAIN),
        dtype_span(cast.from_dtype),
        (" → ", Tone.PLAIN),
        dtype_span(cast.to_dtype),
        (f"  {cast_place(cast)}  {bytes_text(cast.bytes)}", Tone.DIM),
    )
