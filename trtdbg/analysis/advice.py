"""What to do about refusals, as sentences: where to start, and which policy to take."""

from __future__ import annotations

from trtdbg.analysis.causes import why
from trtdbg.analysis.summary import count, operator_text
from trtdbg.dtypes import WIDE_POLICY_DTYPES
from trtdbg.records import Consequence, Consequences, NodeRecord, Report, Suggestion


def consequence_lines(report: Report) -> list[str]:
    """Returns what each refused node costs, the one to start with first.

    `i0 (aten.i0.default, model.py:3): 7 engines become 3, 5 PyTorch operators become 4; there
    is no converter`.
    """
    found = report.consequences
    if found is None:
        return []
    if not found.tried:
        return []
    nodes = {node.name: node for node in report.nodes}
    lines = [_consequence(report, each, nodes.get(each.node)) for each in found.tried]
    if len(found.tried) < found.refused and found.alike:
        lines.append(
            f"{len(found.tried)} of {found.refused} refused operators were tried: of those "
            "alike the first, the middle and the last, which bring the same"
        )
    elif len(found.tried) < found.refused:
        lines.append(
            f"the first {len(found.tried)} of {found.refused} refused operators were tried"
        )
    return lines


def _consequence(report: Report, one: Consequence, node: NodeRecord | None) -> str:
    whole = report.consequences
    assert whole is not None
    place = f", {node.source}" if node is not None and str(node.source or "") else ""
    target = f" ({operator_text(node.target)}{place})" if node is not None else ""
    if one.error is not None:
        return f"{one.node}{target}: the partitioner raises all the same, {one.error}"
    reason = f"; {why(report, node)}" if node is not None else ""
    return f"{one.node}{target}: {_outcome(whole, one)}{reason}"


def _outcome(whole: Consequences, one: Consequence) -> str:
    if not whole.engines and not whole.torch_ops:
        after = f"{count(one.engines, 'engine')}, {count(one.torch_ops, 'PyTorch operator')}"
        return f"{after}, where there is no partition now"
    engines = _becomes(whole.engines, one.engines, "engine")
    return f"{engines}, {_becomes(whole.torch_ops, one.torch_ops, 'PyTorch operator')}"


def _becomes(before: int, after: int, noun: str) -> str:
    if before == after:
        return f"{count(after, noun)} as before"
    return f"{count(before, noun)} become{'s' if before == 1 else ''} {after or 'none'}"


def suggestion_lines(report: Report) -> list[str]:
    """Returns the suggested policy: what it reaches, its flags, torch_tensorrt's settings.

    Nothing where no truncation puts more operators into engines.
    """
    found = report.suggestion
    if found is None or not is_offered(report):
        return []
    reach = f"{found.accepted} of {count(found.operators, 'operator')}"
    tried = f"{found.tried} policies" if found.tried > 1 else "1 policy"
    lines = [
        f"{_narrowed(found)} accepts {reach}: {count(found.engines, 'engine')}, "
        f"{count(found.torch_ops, 'operator')} left to PyTorch "
        f"({tried} compared)",
        f"trtdbg report MODEL {flags(found)}",
        "settings of torch_tensorrt that come nearest:",
        *snippet(report, found).splitlines(),
    ]
    if found.refused_upstream:
        lines.append(
            f"torch_tensorrt itself judges dtypes before it truncates them, and so leaves "
            f"{count(found.refused_upstream, 'operator')} more to PyTorch"
        )
    if any("int64" in dtypes for dtypes in _lists(found)):
        lines.append("torch_tensorrt has no setting that narrows int64: do that in the model")
    return lines


def is_offered(report: Report) -> bool:
    """Returns whether a policy is suggested that narrows something."""
    return report.suggestion is not None and any(_lists(report.suggestion))


def flags(suggestion: Suggestion) -> str:
    """Returns a suggestion as command-line flags."""
    parts = [suggestion.policy.flags()]
    if suggestion.torch_executed_ops:
        names = ",".join(map(operator_text, suggestion.torch_executed_ops))
        parts.append(f"--torch-executed-ops {names}")
    return " ".join(parts)


def snippet(report: Report, suggestion: Suggestion) -> str:
    """Returns a call of torch_tensorrt with the settings that come nearest, as Python."""
    arguments = [
        "program",
        "arg_inputs=inputs",
        f"truncate_double={any('float64' in dtypes for dtypes in _lists(suggestion))}",
        f"min_block_size={report.settings.min_block_size}",
        f"use_fast_partitioner={report.settings.partitioner.value == 'fast'}",
    ]
    if suggestion.torch_executed_ops:
        names = ", ".join(f'"{name}"' for name in suggestion.torch_executed_ops)
        arguments.append(f"torch_executed_ops={{{names}}}")
    body = "".join(f"    {argument},\n" for argument in arguments)
    return f"torch_tensorrt.dynamo.compile(\n{body})"


def _lists(suggestion: Suggestion) -> tuple[tuple[str, ...], ...]:
    policy = suggestion.policy
    return policy.inputs, policy.constants, policy.computed


def _narrowed(suggestion: Suggestion) -> str:
    names = ("inputs", "constants", "computed values")
    lists = dict(zip(names, _lists(suggestion), strict=True))
    parts = []
    for dtype in WIDE_POLICY_DTYPES:
        places = [name for name, dtypes in lists.items() if dtype in dtypes]
        if places:
            parts.append(f"{dtype} in {' and '.join(places)}")
    return f"narrowing {', '.join(parts)}" if parts else "narrowing nothing"
