"""Command-line options that several commands share, and what is made of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import click
import msgspec

from trtdbg.commands.access import PLAIN_ACCESS, make_access, utf8
from trtdbg.commands.project import PROJECT_TABLE, read_project, read_toml
from trtdbg.errors import ExitCode, UsageError
from trtdbg.outputs.report import is_saved_report
from trtdbg.policy import (
    SETTINGS_WITH_FLAG,
    Partitioner,
    Precision,
    Settings,
    Timing,
    TruncationPolicy,
    VerdictSource,
    parse_dtypes,
)
from trtdbg.settings import with_settings
from trtdbg.worker.messages import Access

EXIT_CODES: Final = (
    (ExitCode.CLEAN, "clean"),
    (ExitCode.FINDINGS, "check: a selected finding is at or above --fail-on"),
    (ExitCode.USAGE, "wrong usage, or an input that cannot be read"),
    (ExitCode.UNAVAILABLE, "this machine lacks something: a GPU, torch_tensorrt, Graphviz"),
    (ExitCode.FAILED, "lowering, partitioning or a build failed, or the worker died"),
    (ExitCode.BUG, "a bug of trtdbg"),
    (ExitCode.INTERRUPTED, "interrupted"),
    (ExitCode.TERMINATED, "ended by SIGTERM"),
)
"""Exit codes as `--help` prints them."""

MOST: Final = 10**9
"""Of seconds, operators, runs: more is a slip, and no number that the worker is told."""

_PATHS: Final = ("inputs", "constants", "computed")

_POLICY_KEYS: Final = TruncationPolicy.__struct_fields__
_POLICY_FLAGS: Final = tuple(name for name in _POLICY_KEYS if name != "keep_measured")
"""Those of them that have a flag; what a search found stands in a file."""

POLICY_OPTIONS: Final = (*_POLICY_KEYS, "policy_file")
"""The options that say what is truncated, as `Choices.given` names them."""

_SETTINGS_FLAGS: Final = SETTINGS_WITH_FLAG

_MEANS_LATE: Final = "--low, --inputs, --constants, --computed or --verdicts tensorrt"

_TARGET: Final = re.compile(r"(sm_?)?(?P<major>\d{1,2})\.?(?P<minor>\d)", re.IGNORECASE)

_USUALLY_SHOWN: Final = "Show progress and TensorRT's log on stderr, and tracebacks of bugs."

DEFAULT_PROBE_SECONDS: Final = 60.0

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Choices:
    """What the user asked for, from defaults, files and flags, the later ones winning."""

    policy: TruncationPolicy
    settings: Settings
    target: str | None
    """Target such as sm86; None is this machine's GPU, or sm86 without one."""
    probe_seconds: float = DEFAULT_PROBE_SECONDS
    """How long TensorRT may be asked about single nodes; 0 asks nothing."""
    access: Access = PLAIN_ACCESS
    """How far the files are trusted, and what the worker may take."""
    given: tuple[str, ...] = ()
    """The options that stand on the command line."""
    cache: bool = True
    """Whether what was made of the same before is taken from the caches."""
    overrides: tuple[tuple[str, dict[str, Any]], ...] = ()
    """Settings that files and flags name, over those that a program was recorded with."""

    timing_named: bool = True
    """Whether a flag or a file decides the timing, and not the command."""
    notes: tuple[str, ...] = ()
    """What the user should know about how the choices came about, one line each."""

    def settings_over(self, recorded: Settings) -> Settings:
        """Returns a recorded program's settings, with what files and flags say instead."""
        for where, layer in self.overrides:
            recorded = with_settings(recorded, layer, where)
        return recorded


class FiniteRange(click.FloatRange):
    """A number that can be counted with: nan is in no range, and no wait is endless."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Returns the number; a wrong one is wrong usage."""
        number = super().convert(value, param, ctx)
        if not number <= MOST:
            self.fail(f"{value} is not in the range x<={MOST}.", param, ctx)
        return number


class SectionedOption(click.Option):
    """An option that `--help` shows under a heading of its own."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose `--help` groups options and ends with the exit codes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Click keeps the option as it is first asked for, which may be without the group.
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options under their headings."""
        write_options(formatter, ctx, self.get_params(ctx))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the exit codes."""
        write_exit_codes(formatter)


def write_options(
    formatter: click.HelpFormatter, ctx: click.Context, parameters: Sequence[click.Parameter]
) -> None:
    """Writes options into a help page, the command's own first."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in parameters:
        row = parameter.get_help_record(ctx)
        if isinstance(parameter, click.Option) and row is not None:
            heading = getattr(parameter, "section", "Options")
            sections.setdefault(heading, []).append(row)
    for heading in sorted(sections, key=lambda name: name != "Options"):
        with formatter.section(heading):
            formatter.write_dl(sections[heading])


def write_exit_codes(formatter: click.HelpFormatter) -> None:
    """Writes the table of exit codes into a help page."""
    with formatter.section("Exit codes"):
        formatter.write_dl([(str(code.value), meaning) for code, meaning in EXIT_CODES])
        formatter.write_paragraph()
        formatter.write_text("With several models, the highest code of any of them.")


def _policy(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    return click.option(*names, cls=SectionedOption, section="Policy", **attributes)


def _access(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    section = "Opening and limits"
    return click.option(*names, cls=SectionedOption, section=section, **attributes)


def _setting(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    section = "Compilation settings"
    return click.option(*names, cls=SectionedOption, section=section, **attributes)


_ANALYSIS_OPTIONS: Final = (
    _policy(
        "--inputs",
        metavar="LIST",
        help="Wide dtypes narrowed at program inputs: none, float64, int64, or both with "
        "a comma.  [default: float64]",
    ),
    _policy("--constants", metavar="LIST", help="The same for parameters and constants."),
    _policy("--computed", metavar="LIST", help="The same for what operators create."),
    _policy(
        "--verdicts",
        type=click.Choice([source.value for source in VerdictSource], case_sensitive=False),
        help="Who decides what an engine may hold: the validators alone, or TensorRT's own "
        "answer about each node on top of them.  [default: validators]",
    ),
    _policy(
        "--low",
        "precision",
        type=click.Choice([each.value for each in Precision], case_sensitive=False),
        help="What float32 becomes inside engines.  [default: none]",
    ),
    _policy(
        "--keep-nodes",
        metavar="LIST",
        help="Nodes that stay in float32 under --low, by their names in the report.",
    ),
    _policy(
        "--keep-modules",
        metavar="REGEX",
        multiple=True,
        help="The same for all nodes whose module path matches from its start; repeatable.",
    ),
    _policy(
        "--keep-operators",
        metavar="LIST",
        help="The same for operators, like aten.exp.default.",
    ),
    _policy(
        "--keep-rules",
        metavar="LIST",
        help="Which rules keep nodes in float32 by themselves: none, or of range, reduction "
        "and operator.  [default: all three]",
    ),
    _policy(
        "--probe-seconds",
        type=FiniteRange(min=0),
        metavar="N",
        help="How long TensorRT may be asked about single nodes; 0 asks nothing.  "
        f"[default: {DEFAULT_PROBE_SECONDS:g}]",
    ),
    _policy(
        "--policy",
        "policy_file",
        metavar="FILE",
        help="A TOML file with the keys " + ", ".join(_POLICY_KEYS) + ". Flags override it.",
    ),
    _setting(
        "--min-block-size",
        type=click.IntRange(min=1),
        metavar="N",
        help="Fewest operators that make an engine.  [default: 1]",
    ),
    _setting(
        "--partitioner",
        type=click.Choice(
            [partitioner.value for partitioner in Partitioner], case_sensitive=False
        ),
        help="Which of torch_tensorrt's partitioners cuts the graph.  [default: global]",
    ),
    _setting(
        "--torch-executed-ops",
        metavar="LIST",
        help="Operators kept in PyTorch, with commas, like aten.cumsum.default.",
    ),
    _setting(
        "--as-compiled",
        is_flag=True,
        help="Start from the settings of torch_tensorrt.compile itself: blocks of 5, the fast "
        "partitioner, truncate_double off.",
    ),
    _setting(
        "--settings",
        "settings_file",
        metavar="FILE",
        help="A TOML file of compilation settings: the keys above with underscores, "
        + ", ".join(n for n in Settings.__struct_fields__ if n not in _SETTINGS_FLAGS)
        + ". Flags override it.",
    ),
    _setting(
        "--target",
        metavar="SM",
        help="Compute capability to build for, like sm86.  [default: this machine's GPU, sm86 "
        "without one]",
    ),
    _access(
        "--program",
        metavar="NAME",
        is_eager=True,
        callback=utf8,
        help="The program to take of a recording, or of a file that holds several.  [default: "
        "all of them for report and check; of a recording all where a command takes several "
        "models; else model]",
    ),
    _access(
        "--trust",
        is_flag=True,
        help="Open files that could run code, which are refused otherwise, and let them.",
    ),
    _access(
        "--import",
        "import",
        multiple=True,
        metavar="MODULE",
        callback=utf8,
        help="A module, or a .py file, that registers custom operators; can be repeated.",
    ),
    _access(
        "--no-cache",
        is_flag=True,
        help="Analyse and build anew; otherwise what was made of the same file, policy, "
        "settings and versions before is taken from the cache (`trtdbg cache`).",
    ),
    _access(
        "--memory-limit",
        metavar="SIZE",
        help="End the worker when it holds more memory, like 8G or 500M.  [default: no limit]",
    ),
    _access(
        "--time-limit",
        type=FiniteRange(min=0, min_open=True),
        metavar="SECONDS",
        help="End the worker when one model takes longer.  [default: no limit]",
    ),
    _access(
        "--load-limit",
        type=FiniteRange(min=0),
        metavar="SECONDS",
        help="End the worker when reading and vetting one file takes longer; 0 is no limit.  "
        "[default: 300]",
    ),
)


def with_options(command: Command, options: Sequence[Callable[[Any], Any]]) -> Command:
    """Returns a command with options, which `--help` lists in their order."""
    decorated: Any = command
    for add in reversed(options):
        decorated = add(decorated)
    return decorated  # type: ignore[no-any-return]


def analysis_options(command: Command, *, timing: Timing = Timing.UPSTREAM) -> Command:
    """Adds the options of policy, settings and target; the command gets them as `choices`.

    Args:
        command: what takes them.
        timing: which one it is where nobody names one.
    """

    @functools.wraps(command)
    def with_choices(*args: Any, **options: Any) -> Any:
        raw = {name: options.pop(name) for name in _ANALYSIS_NAMES}
        choices = make_choices(raw, timing)
        if _reads_programs(options):
            for text in choices.notes:
                click.get_current_context().obj.note(text)
        return command(*args, choices=choices, **options)

    chosen = _timing_option(timing)
    return with_options(cast("Command", with_choices), (chosen, *_ANALYSIS_OPTIONS))


def _reads_programs(options: dict[str, Any]) -> bool:
    """Returns whether a command is given more than saved reports, whose policy is fixed."""
    models = (options.get("model"), *(options.get("models") or options.get("words") or ()))
    return any(model and not is_saved_report(model) for model in models)


building_options = functools.partial(analysis_options, timing=Timing.LATE)
"""The same for a command that builds: what is to be used is built with the best timing."""


def _timing_option(default: Timing) -> Callable[[Any], Any]:
    other = "" if default is Timing.LATE else f"; late where {_MEANS_LATE} is given"
    return _policy(
        "--timing",
        type=click.Choice([timing.value for timing in Timing], case_sensitive=False),
        help="When wide dtypes are narrowed: never, in the exported graph, as torch_tensorrt "
        f"does it, or after lowering and in engines only.  [default: {default.value}{other}]",
    )


_ANALYSIS_NAMES: Final = (
    *_POLICY_FLAGS,
    "probe_seconds",
    "policy_file",
    *_SETTINGS_FLAGS,
    "as_compiled",
    "settings_file",
    "target",
    *("program", "trust", "import", "no_cache", "memory_limit", "time_limit", "load_limit"),
)


def json_option(command: Command) -> Command:
    """Adds `--json`, alone or with `-` for stdout, else with the file to write."""
    return click.option(
        "--json",
        "json_to",
        is_flag=False,
        flag_value="-",
        metavar="[FILE|-]",
        callback=not_a_model,
        help="Write the records to FILE; with - or alone to stdout, in place of text.",
    )(command)


def not_a_model(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """Refuses a model as the file that an option writes.

    Raises:
        UsageError: it ends as models do.
    """
    if value is not None and value.lower().endswith(".pt2"):
        flag = parameter.opts[0]
        remedy = f"write `--json - {value}`" if flag == "--json" else "name another file"
        raise UsageError(f"{flag} would write to the model {value}", remedy=remedy)
    return value


def force_option(command: Command) -> Command:
    """Adds `--force`."""
    return click.option("--force", is_flag=True, help="Replace output files that exist.")(
        command
    )


def verbose_option(command: Command, *, shows: str = _USUALLY_SHOWN) -> Command:
    """Adds `-v`, which is a matter of the shell and not of the command."""
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_be_verbose,
        help=shows,
    )(command)


def _be_verbose(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.obj.verbose = True


def make_choices(raw: dict[str, Any], timing: Timing = Timing.UPSTREAM) -> Choices:
    """Makes policy, settings and target of the raw option values; None is "not given".

    What is not given comes from `[tool.trtdbg]` of the working directory's pyproject.toml.

    Args:
        raw: the values by the names of the options.
        timing: which one it is where nobody names one.

    Raises:
        UsageError: a value or a file makes no sense.
    """
    project = read_project()
    given = tuple(name for name, value in raw.items() if value not in (None, False, ()))
    policy, named, notes = _make_policy(raw, project, timing)
    probe_seconds = _make_probe_seconds(raw, project)
    if policy.verdicts is VerdictSource.TENSORRT and not probe_seconds:
        raise UsageError(
            "--verdicts tensorrt needs TensorRT's answers, --probe-seconds 0 asks nothing",
            remedy="give it some seconds",
        )
    layers = _setting_layers(raw)
    settings = with_settings(Settings(), _only(project, _SETTINGS_FLAGS), PROJECT_TABLE)
    for where, layer in layers:
        settings = with_settings(settings, layer, where)
    return Choices(
        policy=policy,
        settings=settings,
        target=_make_target(raw, project),
        probe_seconds=probe_seconds,
        access=make_access(raw),
        given=tuple(name for name in given if name != "no_cache"),
        cache=not raw.get("no_cache"),
        overrides=layers,
        timing_named=named,
        notes=notes,
    )


def usual_choices() -> Choices:
    """Returns what is chosen where a command has no such options.

    Raises:
        UsageError: `[tool.trtdbg]` makes no sense.
    """
    return make_choices(dict.fromkeys(_ANALYSIS_NAMES))


def _make_policy(
    raw: dict[str, Any], project: dict[str, Any], timing: Timing
) -> tuple[TruncationPolicy, bool, tuple[str, ...]]:
    """Returns the policy, whether its timing is somebody's choice, and what to say of it."""
    file = raw["policy_file"]
    layers = (
        (PROJECT_TABLE, _only(project, _POLICY_KEYS)),
        (file, read_toml(file, _POLICY_KEYS) if file else {}),
        ("the policy", _given_policy(raw)),
    )
    policy = TruncationPolicy()
    for where, layer in layers:
        policy = _changed(policy, layer, where)
    if any("timing" in layer for _, layer in layers):
        return policy, True, ()
    why = _means_late(layers, file)
    if why is not None:
        told = f"timing late, which {why} means: under upstream torch_tensorrt decides"
        return policy, True, (told,) if timing is not Timing.LATE else ()
    told = f"{PROJECT_TABLE} names no timing: {timing.value}, where older versions took late"
    notes = (told,) if project and timing is not Timing.LATE else ()
    return msgspec.structs.replace(policy, timing=timing), False, notes


def _means_late(
    layers: Sequence[tuple[str | None, dict[str, Any]]], file: str | None
) -> str | None:
    """Returns what of a policy without timing makes sense under a timing with lists only."""
    for where, layer in layers:
        lists: list[str] = [name for name in _PATHS if name in layer]
        if layer.get("verdicts") == VerdictSource.TENSORRT.value:
            lists.append("verdicts tensorrt")
        if layer.get("precision", Precision.NONE.value) != Precision.NONE.value:
            lists.append("low")
        if lists:
            return f"--{lists[0]}" if where == "the policy" else f"{lists[0]} in {where}"
        if where == file and layer:
            return f"a policy in {where}"
    return None


def _given_policy(raw: dict[str, Any]) -> dict[str, Any]:
    """Returns the policy's keys that stand on the command line."""
    given = {n: raw[n] for n in _POLICY_FLAGS if raw.get(n) not in (None, ())}
    if "keep_modules" in given:
        given["keep_modules"] = list(given["keep_modules"])
    return given


def read_policy(file: str) -> TruncationPolicy:
    """Returns the policy that a TOML file says, the default where it is silent.

    Raises:
        UsageError: the file cannot be read, or holds something else than a policy.
    """
    return _changed(TruncationPolicy(), read_toml(file, _POLICY_KEYS), file)


def _changed(policy: TruncationPolicy, layer: dict[str, Any], where: str) -> TruncationPolicy:
    for name in _PATHS:
        if name in layer:
            origin = f"--{name}" if where == "the policy" else f"{where}: {name}"
            layer[name] = _dtypes(layer[name], origin)
    for name in ("keep_nodes", "keep_operators", "keep_rules", "keep_modules"):
        if isinstance(layer.get(name), str):
            layer[name] = _names(layer[name])
    changed = _convert(msgspec.to_builtins(policy) | layer, TruncationPolicy, where)
    for pattern in changed.keep_modules:
        _check_pattern(pattern, where)
    return changed


def _names(text: str) -> list[str]:
    return [] if text.strip() == "none" else [name.strip() for name in text.split(",")]


def _check_pattern(pattern: str, where: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"{where}: keep_modules: {pattern!r} is no regular expression: {error}",
            remedy="it is matched from the start of a module path like layers.0.attention",
        ) from error


def _make_probe_seconds(raw: dict[str, Any], project: dict[str, Any]) -> float:
    if raw["probe_seconds"] is not None:
        return float(raw["probe_seconds"])
    seconds = project.get("probe_seconds", DEFAULT_PROBE_SECONDS)
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds <= MOST:
        raise UsageError(
            f"{PROJECT_TABLE}: probe-seconds is 0 to {MOST}, got {repr(seconds)[:80]}"
        )
    return float(seconds)


def _make_target(raw: dict[str, Any], project: dict[str, Any]) -> str | None:
    if raw["target"] is not None:
        return parse_target(raw["target"])
    target = project.get("target")
    return None if target is None else parse_target(str(target))


def _dtypes(value: object, where: str) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{where}: expected a list of dtypes, got {value!r}")
    try:
        return parse_dtypes(",".join(names) or "none")
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", remedy=error.remedy) from error


def _setting_layers(raw: dict[str, Any]) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Returns what the command line says about settings, the later layers winning."""
    file = raw["settings_file"]
    compiled = msgspec.to_builtins(Settings.as_compiled()) if raw["as_compiled"] else {}
    layers = (
        ("--as-compiled", compiled),
        (file, read_toml(file, Settings.__struct_fields__) if file else {}),
        ("the settings", {n: raw[n] for n in _SETTINGS_FLAGS if raw[n] is not None}),
    )
    return tuple((where, layer) for where, layer in layers if layer)


def _only(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def parse_target(text: str) -> str:
    """Returns `sm86` for sm86, sm_86, 86 and 8.6.

    Raises:
        UsageError: it is no compute capability.
    """
    match = _TARGET.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{text!r} is not a compute capability",
            remedy="write it like sm86; `trtdbg doctor` lists those possible here",
        )
    return f"sm{match['major']}{match['minor']}"


Struct = TypeVar("Struct", bound=msgspec.Struct)


def _convert(values: dict[str, Any], kind: type[Struct], where: str) -> Struct:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from error
