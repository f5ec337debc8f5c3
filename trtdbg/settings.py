"""Reads compilation settings that a person or a file gives, with a line for what is wrong."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from trtdbg.errors import UsageError
from trtdbg.policy import Settings

_OPERATOR: Final = re.compile(r"(torch\.ops\.)?(?P<name>\w+\.\w+(\.\w+)?)")


_CHOICES: Final = {
    "engine_capability": ("standard", "safety", "dla_standalone"),
    "tiling_optimization_level": ("none", "fast", "moderate", "full"),
}
"""Settings that are words, with the words."""


def with_settings(settings: Settings, layer: dict[str, Any], where: str) -> Settings:
    """Returns settings with the keys of `layer` in the place of their own.

    Args:
        settings: what holds where the layer is silent.
        layer: values by the names of the fields of `Settings`; others are passed over.
        where: how messages call the layer.

    Raises:
        UsageError: a value makes no sense.
    """
    if isinstance(layer.get("torch_executed_ops"), str):
        layer = layer | {"torch_executed_ops": layer["torch_executed_ops"].split(",")}
    try:
        settings = msgspec.convert(msgspec.to_builtins(settings) | layer, Settings)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from error
    if settings.min_block_size < 1:
        raise UsageError(
            f"{where}: min_block_size is at least 1, got {settings.min_block_size}"
        )
    try:
        msgspec.msgpack.encode(settings)
    except OverflowError as error:
        raise UsageError(f"{where}: a number is larger than any that is meant") from error
    level = settings.optimization_level
    if level is not None and not 0 <= level <= 5:
        raise UsageError(f"{where}: optimization_level is 0 to 5, got {level}")
    for name, choices in _CHOICES.items():
        if getattr(settings, name) not in choices:
            raise UsageError(
                f"{where}: {name} is {getattr(settings, name)[:80]!r}",
                remedy=f"choose from {', '.join(choices)}",
            )
    operators = tuple(operator_name(name) for name in settings.torch_executed_ops)
    return msgspec.structs.replace(settings, torch_executed_ops=operators)


def operator_name(name: str) -> str:
    """Returns an operator as torch spells it: `torch.ops.aten.cumsum.default`.

    Raises:
        UsageError: it is none.
    """
    match = _OPERATOR.fullmatch(name.strip())
    if match is None:
        raise UsageError(
            f"{name.strip()!r} is not an operator", remedy="spell it like aten.cumsum.default"
        )
    return f"torch.ops.{match['name']}"
