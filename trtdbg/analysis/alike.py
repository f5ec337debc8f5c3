"""Findings that say the same of nodes at the same place of the model's code."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Final

import msgspec

from trtdbg.records import Finding

_NUMBERED: Final = re.compile(r"(?:(?<=\w)_\d+|(?<=[A-Za-z])\.\d+)+(?![A-Za-z0-9])")
"""What tells nodes and modules of a repeated block apart: `_to_copy_2`, `layers.2.qkv`."""
_ENGINE: Final = re.compile(r"\bengine \d+(?: input| output)?")
"""A value that leaves one engine and enters others is told once for each of them."""


def alike(findings: Iterable[Finding]) -> Mapping[Hashable, tuple[Finding, ...]]:
    """Returns the findings by what they have in common, in the order of the first of each."""
    groups: dict[Hashable, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(likeness(finding), []).append(finding)
    return {common: tuple(group) for common, group in groups.items()}


def as_one(findings: Iterable[Finding]) -> list[Finding]:
    """Returns the first finding of those that are alike, its message with the other nodes."""
    found = []
    for first, *rest in alike(findings).values():
        names = [name for each in rest if (name := where(each)) is not None]
        if not rest:
            found.append(first)
            continue
        shown = ", ".join(names[:_NAMED])
        more = f" and {len(rest) - _NAMED} more" if len(names) > _NAMED else ""
        told = f"{first.message}; {len(rest)} alike: {shown}{more}"
        found.append(msgspec.structs.replace(first, message=told))
    return found


_NAMED: Final = 12
"""Nodes that are named before the rest is only counted."""


def where(finding: Finding) -> str | None:
    """Returns what a finding is about: its node, else its engine; None for the whole."""
    if finding.node is not None:
        return finding.node
    return None if finding.engine is None else f"engine {finding.engine}"


def likeness(finding: Finding) -> Hashable:
    """Returns what two findings must share to be told as one.

    Level, code, source line, and the sentence, which names the operator, without the numbers
    of nodes, modules and engines, and without the side of an engine that a value is on. Every
    other number counts: two constants of which not the same number of values is lost are two
    findings.
    """
    source = finding.source
    place = (source.file, source.line) if source is not None else None
    said = _ENGINE.sub("engine", _NUMBERED.sub("", finding.message))
    return finding.level, finding.code, place, said
