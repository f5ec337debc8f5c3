"""Patches torch_tensorrt so that its validators answer as with standard TensorRT."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

_GUARD = "needs_not_tensorrt_rtx"


def is_rtx() -> bool:
    """Returns whether the installed build of torch_tensorrt is that for TensorRT-RTX."""
    from torch_tensorrt._features import ENABLED_FEATURES

    return bool(ENABLED_FEATURES.tensorrt_rtx)


@contextlib.contextmanager
def patched_to_standard_tensorrt(
    *, features: bool = True, plugins: bool = True
) -> Iterator[None]:
    """Patches torch_tensorrt so that validators answer as with standard TensorRT.

    Three things tell them which build is installed: `ENABLED_FEATURES.tensorrt_rtx`,
    `tensorrt._package_name`, and whether the plugins that torch_tensorrt's runtime library
    brings are in the plugin registry. All are as before afterwards. Nothing must be converted
    or built inside: TensorRT stays what it is.

    Args:
        features: whether the first is patched.
        plugins: whether the other two are, which validators read together.

    Source: torch_tensorrt 2.13 and 2.14, `_features.py` and
    `dynamo/conversion/aten_ops_converters.py` _scatter_add_plugin_available.
    """
    import tensorrt
    from torch_tensorrt import _features

    enabled = _features.ENABLED_FEATURES
    standard = enabled._replace(tensorrt_rtx=False)
    registry = _RegistryWithRuntimePlugins(tensorrt.get_plugin_registry())
    with contextlib.ExitStack() as stack:
        for module in _holders(enabled) if features else ():
            stack.enter_context(mock.patch.object(module, "ENABLED_FEATURES", standard))
        if plugins:
            stack.enter_context(mock.patch.object(tensorrt, "_package_name", "tensorrt"))
            stack.enter_context(
                mock.patch.object(tensorrt, "get_plugin_registry", return_value=registry)
            )
        yield


def _holders(features: Any) -> list[Any]:
    return [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("torch_tensorrt")
        and vars(module).get("ENABLED_FEATURES") is features
    ]


class _RegistryWithRuntimePlugins:
    """TensorRT's plugin registry with every plugin of torch_tensorrt's runtime library."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def get_creator(self, name: str, version: str, namespace: str = "") -> Any:
        if namespace == "torch_tensorrt":
            return object()
        return self._registry.get_creator(name, version, namespace)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)


def is_guarded(converter: Any) -> bool:
    """Returns whether a converter raises with TensorRT-RTX, whatever the node.

    Source: torch_tensorrt 2.13 and 2.14, `_features.py` needs_not_tensorrt_rtx.
    """
    waiting, seen = [converter], set()
    while waiting:
        function = waiting.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        if getattr(function, "__qualname__", "").startswith(f"{_GUARD}."):
            return True
        for cell in getattr(function, "__closure__", None) or ():
            try:
                waiting.append(cell.cell_contents)
            except ValueError:
                # A cell that was never filled.
                continue
    return False
