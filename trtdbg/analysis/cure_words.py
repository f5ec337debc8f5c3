"""Cures as sentences."""

from __future__ import annotations

from trtdbg.analysis.summary import count
from trtdbg.policy import TruncationPolicy

State = tuple[int, int, int, bool]
"""Engines, operators left to PyTorch, engines that TensorRT refuses, whether all is broken."""


def becomes(before: State, after: State) -> str:
    """Returns what a change brings: `25 engines become 1, 24 PyTorch operators none`."""
    engines, operators, failing, broken = before
    if broken:
        left = f", {count(after[1], 'PyTorch operator')}" if after[1] else ""
        return f"there is a partition again, {count(after[0], 'engine')}{left}"
    parts = [_changed(engines, after[0], "engine")]
    if operators != after[1]:
        parts.append(_changed(operators, after[1], "PyTorch operator"))
    if failing != after[2]:
        parts.append(f"{count(after[2], 'engine')} refused by TensorRT in place of {failing}")
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
