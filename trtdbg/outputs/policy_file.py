"""A policy as the TOML file that `--policy` reads."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from trtdbg.policy import KeepRule, Precision, TruncationPolicy


def policy_toml(policy: TruncationPolicy) -> str:
    """Returns a policy as TOML; what a low precision keeps only where there is one."""
    lines = [f'timing = "{policy.timing.value}"']
    for path in ("inputs", "constants", "computed"):
        names = getattr(policy, path)
        lines.append(f"{path} = {_array(names)}" if names else f'{path} = "none"')
    lines.append(f'verdicts = "{policy.verdicts.value}"')
    if policy.precision is not Precision.NONE:
        lines.append(f'precision = "{policy.precision.value}"')
        for name in ("keep_nodes", "keep_modules", "keep_operators", "keep_measured"):
            if getattr(policy, name):
                lines.append(f"{name} = {_array(getattr(policy, name))}")
        if set(policy.keep_rules) != set(KeepRule):
            lines.append(f"keep_rules = {_array(each.value for each in policy.keep_rules)}")
    return "\n".join([*lines, ""])


def _array(names: Iterable[str]) -> str:
    # A JSON string is a TOML string.
    return f"[{', '.join(msgspec.json.encode(name).decode() for name in names)}]"
