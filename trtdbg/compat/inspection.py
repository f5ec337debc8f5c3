"""What TensorRT's engine inspector says of a built engine. No stage, but ground for one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from trtdbg.records import LayerTime


def inspect(engine: Any, context: Any) -> str:
    """Returns the inspector's JSON about an engine whose input shapes are set.

    Args:
        engine: TensorRT's ICudaEngine.
        context: an execution context of it, for shapes and formats.
    """
    import tensorrt as trt

    inspector = engine.create_engine_inspector()
    inspector.execution_context = context
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def fused_layers(text: str, medians: Mapping[str, float]) -> tuple[LayerTime, ...]:
    """Returns the layers that TensorRT runs, in the engine's order, with their times.

    An engine tells only names unless it was built with detailed verbosity; then types and
    formats too. A layer that only the profiler names comes behind those of the inspector.

    Args:
        text: the inspector's JSON; one that cannot be read names no layers.
        medians: milliseconds by the names that the profiler gives.
    """
    found = {layer.name: layer for layer in map(_layer, _entries(text)) if layer is not None}
    timed = [
        LayerTime(
            name=layer.name,
            median_ms=medians.get(layer.name),
            type=layer.type,
            inputs=layer.inputs,
            outputs=layer.outputs,
        )
        for layer in found.values()
    ]
    rest = [LayerTime(name=n, median_ms=ms) for n, ms in medians.items() if n not in found]
    return (*timed, *rest)


def _entries(text: str) -> Sequence[Any]:
    try:
        layers = json.loads(text).get("Layers", [])
    except (ValueError, AttributeError):
        return []
    return layers if isinstance(layers, list) else []


def _layer(entry: Any) -> LayerTime | None:
    if isinstance(entry, str):
        return LayerTime(name=entry)
    if not isinstance(entry, dict) or not isinstance(entry.get("Name"), str):
        return None
    kind = entry.get("LayerType")
    return LayerTime(
        name=entry["Name"],
        type=kind if isinstance(kind, str) else None,
        inputs=_formats(entry.get("Inputs")),
        outputs=_formats(entry.get("Outputs")),
    )


def _formats(tensors: Any) -> tuple[str, ...]:
    known = tensors if isinstance(tensors, list) else []
    formats = [t.get("Format/Datatype") for t in known if isinstance(t, dict)]
    return tuple(each for each in formats if isinstance(each, str))
