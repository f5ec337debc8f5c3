"""What a report says, as plain sentences and selections of its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from trtdbg.analysis.codes import Code
from trtdbg.analysis.conclusions import PROBE, REFUSED
from trtdbg.counted import computes
from trtdbg.policy import Settings, Timing, TruncationPolicy, changed_settings
from trtdbg.records import (
    KEPT_RULES,
    BuildStatus,
    Comparison,
    ConstantRecord,
    EngineRecord,
    Environment,
    GraphNode,
    LowRule,
    ModelInfo,
    ModelPath,
    NodeRecord,
    PassRecord,
    Phase,
    Profile,
    Recorded,
    Report,
    Verdict,
    dtype_text,
)

FLAVOURS = {"rtx": "TensorRT-RTX", "standard": "TensorRT"}
"""How the two builds of TensorRT are called."""

VERDICT_WORDS = {
    Verdict.ACCEPT: "accept",
    Verdict.REJECT: "reject",
    Verdict.CRASHED: "crashed",
    Verdict.NOT_APPLICABLE: "no converter",
    Verdict.NOT_CHECKED: "-",
}

Number = TypeVar("Number", int, float)

PREBUILT = (
    "its engines, their bindings and the operators around them; verdicts and passes are not "
    "in it, and layers need TensorRT and a GPU"
)
"""What is known of a program whose engines were built before."""

_UNASKED_NAMED = 3
"""How many nodes a line about unasked ones names."""

_FATAL_PHASES = frozenset(
    {Phase.PRE_EXPORT, Phase.DECOMPOSITION, Phase.POST_LOWERING, Phase.PARTITION}
)


def count(number: int, noun: str) -> str:
    """Returns `1 engine`, `2 engines`, `no engines`."""
    if number == 1:
        return f"1 {noun}"
    plural = noun + "es" if noun.endswith("s") else noun + "s"
    return f"{number or 'no'} {plural}"


def base_name(path: str) -> str:
    """Returns the last part of a path of any system."""
    name = path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return name.encode(errors="replace").decode()


def model_name(model: ModelInfo | ModelPath) -> str:
    """Returns the name of a model's file, with the program that is meant if there are more."""
    return _with_program(base_name(model.path), model.program)


def model_place(model: ModelInfo | ModelPath) -> str:
    """Returns the path of a model, with the program that is meant if there are more."""
    return _with_program(model.path, model.program)


def _with_program(text: str, program: str | None) -> str:
    return text if program is None else f"{text}, program {program}"


def operator_text(target: str) -> str:
    """Returns an operator without the prefix that all of torch's share."""
    return target.removeprefix("torch.ops.")


def is_operator(node: NodeRecord) -> bool:
    """Returns whether a node computes something: no `getitem`, no arithmetic on sizes."""
    return node.op == "call_function" and computes(node.target)


def graph_after(report: Report, made: PassRecord) -> tuple[GraphNode, ...]:
    """Returns the graph as a pass left it."""
    return tuple(report.graph_nodes[index] for index in made.graph)


def failed_pass(report: Report) -> PassRecord | None:
    """Returns the lowering pass or partitioner run that raised, None if all went through.

    torch_tensorrt's own boundary repair is not meant: a crash there leaves a partition.
    """
    return next((p for p in report.passes if p.error and p.phase in _FATAL_PHASES), None)


def broken_end(report: Report) -> str | None:
    """Returns what ended the analysis before there was a partition, None if nothing did."""
    failed = failed_pass(report)
    if failed is not None and failed.phase is not Phase.PARTITION:
        return f"pass {failed.name!r} failed"
    if failed is not None or any(finding.code == Code.TD502 for finding in report.findings):
        return "the partitioner failed"
    if any(finding.code == Code.TD501 for finding in report.findings):
        return "lowering failed"
    return None


def build_line(report: Report) -> str:
    """Returns how the builds of a report's engines ended, in one sentence."""
    if not report.engines:
        return "nothing to build: no engines"
    words = []
    for status in BuildStatus:
        number = sum(engine.build.status is status for engine in report.engines)
        if number:
            words.append(f"{number} {status.value.replace('_', ' ')}")
    return f"{count(len(report.engines), 'engine')}: {', '.join(words)}"


def policy_line(policy: TruncationPolicy, settings: Settings) -> str:
    """Returns the policy in force; under `off` and `upstream` the lists have no effect."""
    if policy.timing is Timing.OFF:
        return "timing off (nothing is truncated)"
    if policy.timing is Timing.UPSTREAM:
        how = f"truncate_double={settings.truncate_double}"
        low = f" and enable_autocast, {policy.precision.value}" if policy.is_low else ""
        return f"timing upstream (as torch_tensorrt does with {how}{low})"
    lists = ", ".join(
        f"{path} {' and '.join(getattr(policy, path)) or 'none'}"
        for path in ("inputs", "constants", "computed")
    )
    told = f"timing {policy.timing.value}, narrowed: {lists}; verdicts {policy.verdicts.value}"
    return f"{told}; {low_words(policy)}" if policy.is_low else told


def low_words(policy: TruncationPolicy) -> str:
    """Returns what a low precision makes of float32, and what it keeps."""
    kept = [each.value for each in policy.keep_rules]
    words = f"low {policy.precision.value}, kept by {' and '.join(kept) or 'no'} rules"
    named = {*policy.keep_nodes, *policy.keep_measured}
    more = (
        (len(named), "node"),
        (len(policy.keep_modules), "module pattern"),
        (len(policy.keep_operators), "operator"),
    )
    listed = ", ".join(count(number, noun) for number, noun in more if number)
    return f"{words} and by name: {listed}" if listed else words


def low_line(report: Report) -> str | None:
    """Returns how many operators are low, and why others are not; None without any."""
    decided = [
        n.low
        for n in report.nodes
        if n.op == "call_function" and computes(n.target) and n.low is not None
    ]
    if not decided:
        return None
    low = sum(each.rule is LowRule.LOW for each in decided)
    kept = Counter(
        each.rule.value.replace("_", " ") for each in decided if each.rule in KEPT_RULES
    )
    raised = sum(each.rule is LowRule.PASS_RAISED for each in decided)
    if raised:
        return "0 operators are low: torch_tensorrt's own pass raised"
    line = f"{count(low, 'operator')} in {report.policy.precision.value}"
    if kept:
        reasons = ", ".join(f"{number} {word}" for word, number in kept.most_common())
        line += f", {sum(kept.values())} kept in float32: {reasons}"
    return line


def low_text(node: NodeRecord) -> str:
    """Returns what a node computes in under a low precision, and the rule if it is kept."""
    low = node.low
    if low is None:
        return "-"
    word = low.rule.value.replace("_", " ")
    if low.dtype is None or low.rule is LowRule.LOW:
        return low.dtype or "-"
    return f"{low.dtype}: {word}"


def settings_line(settings: Settings) -> str:
    """Returns the compilation settings in force: the telling ones, and all changed ones."""
    parts = [
        f"min_block_size {settings.min_block_size}",
        f"partitioner {settings.partitioner.value}",
    ]
    if settings.torch_executed_ops:
        kept = " ".join(operator_text(name) for name in settings.torch_executed_ops)
        parts.append(f"torch_executed_ops {kept}")
    parts += [
        f"{name} {str(value).lower()}" for name, value in changed_settings(settings).items()
    ]
    return ", ".join(parts)


def recorded_line(recorded: Recorded) -> str:
    """Returns where a program was recorded, and which settings are not those of the call."""
    parts = [f"{recorded.call} at {recorded.file}:{recorded.line}, settings of that call"]
    if recorded.overridden:
        parts.append(f"changed here: {', '.join(recorded.overridden)}")
    if recorded.noted:
        noted = ", ".join(f"{name} {value}" for name, value in recorded.noted)
        parts.append(f"not in force here: {noted}")
    if recorded.graph_break is not None:
        parts.append(f"graph break: {recorded.graph_break}")
    return "; ".join(parts)


def environment_line(environment: Environment) -> str:
    """Returns versions and GPU of the machine that made a report."""
    flavour = FLAVOURS.get(environment.flavour or "", "TensorRT")
    gpu = environment.gpu.name if environment.gpu else "no GPU"
    return (
        f"torch {environment.torch or 'missing'}, "
        f"torch_tensorrt {environment.torch_tensorrt or 'missing'}, "
        f"{flavour} {environment.tensorrt or 'missing'}, {gpu}"
    )


def left_to_pytorch(report: Report) -> tuple[NodeRecord, ...]:
    """Returns the operator nodes that no engine holds, in graph order."""
    if broken_end(report) is not None:
        return ()
    left = set(report.torch_ops)
    return tuple(
        node
        for node in report.nodes
        if node.engine is None and node.op.startswith("call_") and node.target in left
    )


def unasked_line(report: Report) -> str | None:
    """Returns which nodes TensorRT could not be asked about, and why; None if none."""
    reasons = {
        node.name: verdict.reason
        for node in report.nodes
        for verdict in node.verdicts
        if verdict.validator == PROBE
        and verdict.truncated is Verdict.NOT_CHECKED
        and verdict.reason
    }
    if not reasons:
        return None
    names = list(reasons)[:_UNASKED_NAMED]
    names += ["..."] * (len(reasons) > _UNASKED_NAMED)
    why = "; ".join(dict.fromkeys(filter(None, reasons.values())))
    nodes = f"{count(len(reasons), 'node')} ({', '.join(names)})"
    return f"TensorRT was not asked about {nodes}: {why}"


def is_kept(node: NodeRecord) -> bool:
    """Returns whether a node stays in float32 under a low precision, by a rule or by name."""
    low = node.low
    moved = (LowRule.FOLLOWS, LowRule.IN_PYTORCH)
    return low is not None and low.rule in KEPT_RULES and low.rule not in moved


def is_retyped(node: NodeRecord) -> bool:
    """Returns whether the three dtypes of a node disagree."""
    known = [d for d in (node.original, node.inferred, node.truncated) if d is not None]
    # An older report says one name for an operator of several outputs with that dtype.
    return len({dtype_text(dtype) for dtype in known}) > 1


def nodes_that_matter(report: Report) -> tuple[NodeRecord, ...]:
    """Returns nodes refused or left to PyTorch first, then those whose dtypes disagree.

    Those that a rule or a name keeps from a low precision are among the latter.

    Constants are left out where they have a row of their own in the report.
    """
    left = {node.name for node in left_to_pytorch(report)}
    first = [n for n in report.nodes if n.verdict in REFUSED or n.name in left]
    names = {node.name for node in first}
    retyped = [
        n
        for n in report.nodes
        if (is_retyped(n) or is_kept(n)) and n.name not in names and n.op != "get_attr"
    ]
    return (*first, *retyped)


def constants_that_matter(constants: Sequence[ConstantRecord]) -> tuple[ConstantRecord, ...]:
    """Returns the constants that lose something when narrowed, the worst first."""
    narrowed = [c for c in constants if c.overflowed or c.underflowed or c.max_abs_error]
    return tuple(
        sorted(
            narrowed,
            key=lambda c: (-c.overflowed, -c.underflowed, -(c.max_rel_error or 0.0)),
        )
    )


def execution_time(engine: EngineRecord, environment: Environment) -> str:
    """Returns an engine's run time, or why there is none; never a zero."""
    if engine.timing is not None:
        timing = engine.timing
        return (
            f"{timing.median_ms:.3f} ms (10th to 90th percentile {timing.p10_ms:.3f} to "
            f"{timing.p90_ms:.3f}, {timing.runs} runs)"
        )
    if engine.timing_unavailable:
        return f"not available: {engine.timing_unavailable.removeprefix('not available: ')}"
    if environment.gpu is None:
        return "not available: no CUDA device"
    return "not measured"


def comparison_line(found: Comparison) -> str:
    """Returns whether the engines are faster than another run, if that can be told."""
    bounds = f"{found.ratio:.2f} of its time, {found.low:.2f} to {found.high:.2f}"
    if not found.exceeds_noise:
        return f"Against {found.against}: no difference beyond the noise ({bounds})"
    word = "faster" if found.ratio < 1 else "slower"
    return f"Against {found.against}: {word} beyond the noise ({bounds})"


SUBGRAPHS = "torch_tensorrt compiles no subgraph: these operators run in PyTorch"
"""What is true of every operator inside of control flow."""


def subgraph_operators(report: Report) -> tuple[tuple[str, GraphNode], ...]:
    """Returns the operators inside of control flow, each once, with their paths."""
    once = {graph.name: graph for graph in report.subgraphs}
    return tuple(
        (f"{graph.name}.{node.name}", node)
        for graph in once.values()
        for node in graph.nodes
        if node.op == "call_function"
    )


def profile_text(profile: Profile) -> str:
    """Returns a profile as `min (1, 4), opt (3, 4), max (8, 4)`."""
    sizes = {"min": profile.min, "opt": profile.opt, "max": profile.max}
    return ", ".join(f"{k} ({', '.join(map(str, v))})" for k, v in sizes.items())


def total_text(
    parts: Iterable[Number | None], text: Callable[[Number], str], unknown: str = "unknown"
) -> str:
    """Returns a sum for reading; at least so much where a part of it is not known.

    Args:
        parts: what is summed; None is a part that is not known, never zero.
        text: writes a number.
        unknown: what to say where nothing is known.
    """
    given = tuple(parts)
    known = [part for part in given if part is not None]
    if len(known) == len(given):
        return text(sum(known))
    return f"≥ {text(sum(known))}" if any(known) else unknown


def bytes_text(number: int | None) -> str:
    """Returns a size for reading, `-` where it is unknown."""
    if number is None:
        return "-"
    size = float(number)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def seconds_text(seconds: float | None) -> str:
    """Returns a duration for reading, `-` where it is unknown."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
