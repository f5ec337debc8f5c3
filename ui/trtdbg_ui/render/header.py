"""The first line of the screen: which program, what came out, what is wrong."""

from __future__ import annotations

from trtdbg.analysis.summary import FLAVOURS, base_name, count, model_name
from trtdbg.plain import one_line
from trtdbg.records import BuildStatus, Environment, Level, Report
from trtdbg_ui.model.loaded import Loaded, read_only_kind
from trtdbg_ui.render.signs import LEVEL_SIGN
from trtdbg_ui.text import Line, Span, Tone, line, pack

_SEPARATOR: Span = (" │ ", Tone.DIM)


def header_line(
    model: str,
    loaded: Loaded | None,
    read_only: bool,
    size: int,
    *,
    trusted: bool = False,
    outdated: bool = False,
) -> Line:
    """Returns program, numbers, findings and machine, as much as fits."""
    parts: list[tuple[int, Line]] = [
        (3, line((" trtdbg", Tone.KEY))),
        (0, line((f" {_name(model, loaded)}", Tone.STRONG))),
    ]
    if trusted:
        parts.append((0, line(("TRUSTED: may run code", Tone.BAD))))
    if outdated:
        parts.append((0, line(("last good analysis, the file changed since", Tone.BAD))))
    if read_only:
        parts.append((2, line((f"{read_only_kind(model)}, read-only", Tone.WARN))))
    if loaded is not None:
        parts += [
            (0, numbers(loaded.report)),
            *((0, part) for part in (builds(loaded.report),) if part),
            (1, findings_count(loaded.report)),
            *((3, part) for part in (recorded_at(loaded.report),) if part),
            (4, machine(loaded.report.environment)),
        ]
    return pack(parts, size, _SEPARATOR)


def _name(model: str, loaded: Loaded | None) -> str:
    return base_name(model) if loaded is None else model_name(loaded.report.model)


def recorded_at(report: Report) -> Line:
    """Returns where the program was recorded, and whether its settings are in force."""
    recorded = report.model.recorded
    if recorded is None:
        return ()
    place = one_line(f"{base_name(recorded.file)}:{recorded.line}")
    if recorded.overridden:
        words = f"recorded at {place}, {count(len(recorded.overridden), 'setting')} changed"
        return line((words, Tone.WARN))
    return line((f"settings recorded at {place}", Tone.DIM))


def numbers(report: Report) -> Line:
    """Returns engines, operators left to PyTorch and boundary casts."""
    one = len(report.engines) == 1 and not report.torch_ops
    words = [
        count(len(report.engines), "engine"),
        count(len(report.torch_ops), "PyTorch op"),
        count(len(report.boundary_casts), "cast"),
    ]
    return line((" · ".join(words), Tone.GOOD if one else Tone.WARN))


def builds(report: Report) -> Line:
    """Returns how many engines are built and how many failed to; nothing if none was tried."""
    spans: list[Span] = []
    for status, word, tone in (
        (BuildStatus.BUILT, "built", Tone.GOOD),
        (BuildStatus.FAILED, "build failed", Tone.BAD),
    ):
        number = sum(engine.build.status is status for engine in report.engines)
        if number:
            spans.append((f"{' ' if spans else ''}{number} {word}", tone))
    return tuple(spans)


def findings_count(report: Report) -> Line:
    """Returns how many findings of each level there are, `no findings` if none."""
    spans: list[Span] = []
    for level in (Level.ERROR, Level.WARNING, Level.NOTE):
        number = sum(finding.level is level for finding in report.findings)
        if number:
            sign, tone = LEVEL_SIGN[level]
            gap = " " if spans else ""
            spans.append((f"{gap}{sign} {count(number, level.value)}", tone))
    return tuple(spans) or line(("no findings", Tone.DIM))


def machine(environment: Environment) -> Line:
    """Returns TensorRT's flavour and version, and the GPU or its absence."""
    flavour = FLAVOURS.get(environment.flavour or "", "TensorRT")
    gpu = environment.gpu.name if environment.gpu else "no GPU"
    return line((f"{flavour} {environment.tensorrt or 'missing'}, {gpu}", Tone.DIM))
