"""What a cure says to type, as a policy and settings to go to."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from msgspec.structs import replace

from trtdbg.errors import UsageError
from trtdbg.policy import Settings, Timing, TruncationPolicy, VerdictSource, parse_dtypes
from trtdbg_ui.model.questions import Choice


def choice_typed(text: str, choice: Choice) -> Choice | None:
    """Returns the settings and the policy that flags ask for; None if they are no such flags.

    Args:
        text: Flags such as `--timing late --min-block-size 5`, a command around them or not.
        choice: The settings and the policy in force, of which the rest is kept.
    """
    settings, policy = choice
    try:
        flags = list(_flags(text))
        for name, value in flags:
            settings, policy = _with(settings, policy, name, value)
    except (ValueError, UsageError):
        return None
    return (settings, policy) if flags and (settings, policy) != choice else None


def _flags(text: str) -> Iterator[tuple[str, str]]:
    words = shlex.split(text)
    for index, word in enumerate(words):
        if word.startswith("--"):
            name, equal, value = word[2:].partition("=")
            following = words[index + 1] if index + 1 < len(words) else ""
            yield name, value if equal else following


def _with(
    settings: Settings, policy: TruncationPolicy, name: str, value: str
) -> tuple[Settings, TruncationPolicy]:
    if name == "timing":
        return settings, replace(policy, timing=Timing(value))
    if name == "verdicts":
        return settings, replace(policy, verdicts=VerdictSource(value))
    if name in ("inputs", "constants", "computed"):
        return settings, replace(policy, **{name: parse_dtypes(value)})
    if name == "min-block-size":
        return replace(settings, min_block_size=int(value)), policy
    if name == "torch-executed-ops":
        operators = tuple(each for each in value.split(",") if each and each != "none")
        return replace(settings, torch_executed_ops=operators), policy
    raise ValueError(name)
