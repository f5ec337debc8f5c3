"""Cures as sentences."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from trtdbg.analysis.summary import count, operator_text
from trtdbg.policy import SETTINGS_WITH_FLAG, TruncationPolicy
from trtdbg.records import Source

State = tuple[int, int, int, bool, int]
"""Engines, operators left to PyTorch, engines that TensorRT refuses, whether all is broken,
engines that are built for no run: for empty tensors, or for sizes out of order."""


def becomes(before: State, after: State) -> str:
    """Returns what a change brings: `25 engines become 1, 24 PyTorch operators none`."""
    engines, operators, failing, broken, unusable = before
    if broken:
        left = f", {count(after[1], 'PyTorch operator')}" if after[1] else ""
        return f"there is a partition again, {count(after[0], 'engine')}{left}"
    parts = [_changed(engines, after[0], "engine")]
    if operators != after[1]:
        parts.append(_changed(operators, after[1], "PyTorch operator"))
    if failing != after[2]:
        parts.append(f"{count(after[2], 'engine')} refused by TensorRT in place of {failing}")
    if unusable != after[4]:
        parts.append(f"{count(after[4], 'engine')} built for no run in place of {unusable}")
    return ", ".join(parts)


def _changed(before: int, after: int, noun: str) -> str:
    if before == after:
        return f"{count(after, noun)} as before"
    return f"{count(before, noun)} become{'s' if before == 1 else ''} {after or 'none'}"


def reproducing(node: str, policy: TruncationPolicy) -> str:
    """Returns the command that writes a reproducer and a bug report of a node."""
    flags = timing_flags(policy)
    return (
        f"trtdbg repro MODEL{flags} --node {node} --format issue -o DIR writes the report for "
        "it"
    )


def timing_flags(policy: TruncationPolicy) -> str:
    """Returns the flags of a policy with a space in front, none for `upstream` as it is."""
    usual = TruncationPolicy(timing=policy.timing)
    if policy != usual:
        return f" {policy.flags()}"
    return "" if policy.timing.is_upstream else f" --timing {policy.timing.value}"


def flags(policy: TruncationPolicy) -> str:
    """Returns the flags of a policy, its timing only where all else is usual."""
    usual = TruncationPolicy(timing=policy.timing)
    return f"--timing {policy.timing.value}" if policy == usual else policy.flags()


def policy_words(policy: TruncationPolicy) -> str:
    """Returns what is narrowed, and when."""
    words = f"timing {policy.timing.value}"
    return f"{words}, int64 narrowed too" if "int64" in policy.inputs else words


def value_text(value: Any) -> str:
    """Returns the value of a setting for reading."""
    return str(getattr(value, "value", value)) if value != () else "nothing"


def setting_text(name: str, value: Any) -> str:
    """Returns a setting as torch_tensorrt and as trtdbg take it."""
    if name == "partitioner":
        fast = value_text(value) == "fast"
        return (
            f"torch_tensorrt: use_fast_partitioner={fast}; trtdbg: --partitioner "
            f"{value_text(value)}"
        )
    flag = f"--{name.replace('_', '-')}"
    if name not in SETTINGS_WITH_FLAG:
        flag = f"{name} = {str(value).lower()} in a --settings file"
    elif isinstance(value, tuple):
        shown = ",".join(map(operator_text, value))
        flag = f"{flag} {shown}" if value else f"without {flag}"
        return f"torch_tensorrt: {name}={set(value) or 'set()'}; trtdbg: {flag}"
    else:
        flag = f"{flag} {value}"
    return f"torch_tensorrt: {name}={value}; trtdbg: {flag}"


def edit_text(
    call: str, line: str | None, source: Source | None, places: Sequence[Source | None]
) -> str:
    """Returns what to type in the model.

    Args:
        call: the call to make.
        line: the source line rewritten, if it parses to exactly that call.
        source: where the first edit is made.
        places: all lines that are edited alike.
    """
    # What is no call is told in words.
    is_call = _is_python(call)
    if source is None or source.line is None:
        return f"write {call}" if is_call else call
    others = dict.fromkeys(str(place) for place in places if place is not None)
    others.pop(str(source), None)
    more = f", and {', '.join(others)} in the same way" if others else ""
    text = f"edit line {source.line} of {source.file}, `{source.code}`"
    if line is not None:
        return f"{text}: it becomes `{line}`{more}"
    told = f"the call to make is `{call}`" if is_call else call
    return f"{text}: {told}{more}"


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True
