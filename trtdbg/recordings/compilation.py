"""What a call of torch_tensorrt says about settings and inputs, as plain values."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping
from typing import Any, Final

from trtdbg.policy import Partitioner, Settings

_LONGEST: Final = 200

_NOT_NOTED: Final = frozenset(("device", "pass_through_build_failures", "dryrun"))
"""Fields of torch_tensorrt's settings that say nothing about the program."""


def settings_of(options: Any) -> dict[str, Any]:
    """Returns the settings of a `CompilationSettings` by the names of our `Settings`.

    A field of ours that the installed version does not have is left out.
    """
    found: dict[str, Any] = {}
    for name in Settings.__struct_fields__:
        if name == "partitioner":
            fast = bool(options.use_fast_partitioner)
            found[name] = (Partitioner.FAST if fast else Partitioner.GLOBAL).value
        elif hasattr(options, name):
            found[name] = _plain(getattr(options, name))
    return found


def noted_of(options: Any) -> Iterator[tuple[str, str]]:
    """Yields the settings that are not at their default and that `Settings` does not have."""
    ours = {*Settings.__struct_fields__, "use_fast_partitioner", *_NOT_NOTED}
    for field in dataclasses.fields(options):
        if field.name in ours:
            continue
        usual: Any = field.default
        if field.default_factory is not dataclasses.MISSING:
            usual = field.default_factory()
        value = getattr(options, field.name)
        if value is not usual and value != usual:
            yield field.name, text_of(value)


def noted_arguments(
    arguments: Mapping[str, Any], known: Iterator[str]
) -> tuple[tuple[str, str], ...]:
    """Returns keyword arguments of a call that are no settings, as text.

    Args:
        arguments: of the call.
        known: names that are recorded elsewhere.
    """
    left_out = {*known, "inputs", "arg_inputs", "kwarg_inputs", "module", "ir", "device"}
    return tuple((n, text_of(v)) for n, v in arguments.items() if n not in left_out)


def text_of(value: Any) -> str:
    """Returns a short text for an argument; an object is told by its class."""
    if isinstance(value, str | int | float | bool | type(None)):
        text = str(value)
    elif isinstance(value, enum.Enum):
        text = value.name
    elif isinstance(value, set | frozenset | list | tuple):
        text = ", ".join(sorted(map(text_of, value)))
    elif type(value).__module__.partition(".")[0] in ("torch", "torch_tensorrt"):
        text = " ".join(str(value).split())
    else:
        text = f"an object of {type(value).__module__}.{type(value).__qualname__}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def inputs_of(values: Any, name: str = "") -> Iterator[str]:
    """Yields a text for each input that a call describes, nested ones by their way in."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from inputs_of(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, list | tuple):
        for place, value in enumerate(values):
            yield from inputs_of(value, f"{name}.{place}" if name else str(place))
    elif values is not None:
        yield f"{name}: {_input(values)}"


def _input(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is None:
        return text_of(value)
    dtype = str(getattr(value, "dtype", "")).removeprefix("torch.").removeprefix("dtype.")
    if isinstance(shape, Mapping):
        sizes = " ".join(
            f"{key.removesuffix('_shape')} {tuple(s)}" for key, s in shape.items()
        )
        return f"{dtype} {sizes}"
    return f"{dtype} {tuple(shape)}"


def _plain(value: Any) -> Any:
    """Returns a value as TOML has it; None is left out there."""
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, set | frozenset | list | tuple):
        return sorted(_named(each) for each in value)
    if isinstance(value, str | bool | int | float | type(None)):
        return value
    return _named(value)


def _named(value: Any) -> str:
    """Returns a dtype's or an operator's name; operators as torch spells them."""
    if isinstance(value, enum.Enum):
        return value.name.lower()
    text = str(value)
    is_operator = type(value).__name__ in ("OpOverload", "OpOverloadPacket")
    return f"torch.ops.{text}" if is_operator else _without_torch(text)


def _without_torch(text: str) -> str:
    """Returns `float16` for `torch.float16`, and an operator's name as it is."""
    return text if text.startswith("torch.ops.") else text.removeprefix("torch.")


def registered_by_script() -> Iterator[tuple[str, str]]:
    """Yields what the script added to torch_tensorrt, which a recording does not carry.

    Source: torch_tensorrt 2.13 and 2.14, `dynamo/conversion/_ConverterRegistry.py`
    DYNAMO_ATEN_CONVERTERS, `dynamo/lowering/passes/_aten_lowering_pass.py`.
    """
    from torch_tensorrt.dynamo.conversion import _ConverterRegistry
    from torch_tensorrt.dynamo.lowering.passes import _aten_lowering_pass

    tables: Mapping[Any, Any] = getattr(_ConverterRegistry, "DYNAMO_ATEN_CONVERTERS", {})
    targets = sorted(
        str(target)
        for target, candidates in tables.items()
        if any(map(_is_the_scripts, _implementations(candidates)))
    )
    if targets:
        yield "converters registered by the script", text_of(targets)
    passes = [
        each.__name__
        for name in ("ATEN_PRE_LOWERING_PASSES", "ATEN_POST_LOWERING_PASSES")
        for each in getattr(getattr(_aten_lowering_pass, name, None), "passes", ())
        if _is_the_scripts(each)
    ]
    if passes:
        yield "lowering passes registered by the script", text_of(passes)


def _implementations(candidates: Any) -> Iterator[Any]:
    for each in candidates if isinstance(candidates, list | tuple) else [candidates]:
        yield getattr(each, "converter_implementation", each)


def _is_the_scripts(function: Any) -> bool:
    module = str(getattr(function, "__module__", "torch_tensorrt"))
    return module.partition(".")[0] not in ("torch_tensorrt", "torch", "functools")
