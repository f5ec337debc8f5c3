"""Times callables against each other, A B A B in one run, and the layers of an engine.

What is timed and on what clock is the caller's: on a GPU the clock is CUDA events.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch

from trtdbg.compat.host import tensorrt_log
from trtdbg.compat.inspection import fused_layers, inspect
from trtdbg.graphs.graph import first_line
from trtdbg.records import Comparison, LayerTime, TimingRecord

Call = Callable[[], object]

Clock = Callable[[Call], float]
"""Runs a call once and returns its milliseconds."""

WARM_UP: Final = 10
"""Runs of each call before the first timed one: clocks rise, TensorRT-RTX compiles kernels."""

_CONFIDENCE: Final = 0.95


@dataclass
class Lap:
    """The times of one call, in the order of the rounds."""

    milliseconds: list[float] = field(default_factory=list)
    error: str | None = None
    """What it raised; it is then not called again, and its times do not count."""


def cuda_clock(device: torch.device) -> Clock:
    """Returns a clock of CUDA events on the current stream of a device.

    The time runs from the call's first work on the stream to its last, waits for the host
    in between included, as a caller of the model would see it.
    """

    def clock(call: Call) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        start.record()
        call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))

    return clock


def race(
    calls: Mapping[str, Call], clock: Clock, runs: int, warm_up: int = WARM_UP
) -> dict[str, Lap]:
    """Times calls in turn, one run each a round, so that all meet the same disturbances.

    Args:
        calls: what is timed, in the order of a round.
        clock: what measures a run.
        runs: timed rounds.
        warm_up: rounds before them.
    """
    laps = {name: Lap() for name in calls}
    for count in range(warm_up + runs):
        for name, call in calls.items():
            if laps[name].error is not None:
                continue
            try:
                milliseconds = clock(call)
            except Exception as error:
                # One that cannot run is a row of the answer; the others race on.
                laps[name].error = first_line(error)
                continue
            if count >= warm_up:
                laps[name].milliseconds.append(milliseconds)
    return laps


def timing_record(milliseconds: Sequence[float]) -> TimingRecord:
    """Returns median and percentiles of at least one time."""
    if len(milliseconds) == 1:
        (only,) = milliseconds
        return TimingRecord(median_ms=only, p10_ms=only, p90_ms=only, runs=1)
    tenths = statistics.quantiles(milliseconds, n=10, method="inclusive")
    return TimingRecord(
        median_ms=statistics.median(milliseconds),
        p10_ms=tenths[0],
        p90_ms=tenths[-1],
        runs=len(milliseconds),
    )


def compare(name: str, ours: Sequence[float], theirs: Sequence[float]) -> Comparison:
    """Returns how the times of rounds run side by side compare.

    The ratio is the median of the rounds' ratios, and its bounds are order statistics of
    those: the narrowest pair that holds the true median with at least 95 % confidence,
    whatever the distribution. Below six rounds there is no such pair, and nothing exceeds
    the noise.

    Args:
        name: what it is compared against.
        ours: times of each round; not empty.
        theirs: times of the same rounds.
    """
    ratios = sorted(one / other for one, other in zip(ours, theirs, strict=True))
    rank = _rank(len(ratios))
    low, high = ratios[rank], ratios[-1 - rank]
    known = len(ratios) >= 6
    return Comparison(
        against=name,
        ratio=statistics.median(ratios),
        low=low,
        high=high,
        exceeds_noise=known and not low <= 1.0 <= high,
    )


def _rank(rounds: int) -> int:
    """Returns how many of the sorted values lie outside of the bounds, at each end."""
    outside, rank = 0.0, 0
    while rank < rounds // 2:
        outside += 2 * math.comb(rounds, rank) / 2**rounds
        if outside > 1 - _CONFIDENCE:
            break
        rank += 1
    return max(rank - 1, 0)


def arguments_of(
    module: torch.nn.Module, names: Sequence[str], call: Call
) -> dict[str, tuple[Any, ...]]:
    """Returns what submodules are called with while `call` runs the module once."""
    seen: dict[str, tuple[Any, ...]] = {}

    def remember(name: str) -> Callable[[torch.nn.Module, tuple[Any, ...]], None]:
        def hook(_module: torch.nn.Module, args: tuple[Any, ...]) -> None:
            seen.setdefault(name, args)

        return hook

    hooks = [
        module.get_submodule(name).register_forward_pre_hook(remember(name)) for name in names
    ]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def layer_times(
    serialized: bytes, inputs: Mapping[str, Any], runs: int
) -> tuple[LayerTime, ...]:
    """Runs an engine with TensorRT's profiler and returns its layers, as inspected.

    The layers are those of the built engine, not of the network: TensorRT joins and renames
    them. Needs a CUDA device.

    Args:
        serialized: what TensorRT built.
        inputs: tensors on the device, and numbers, by name of the binding.
        runs: how often it is run; the median counts.

    Raises:
        RuntimeError: TensorRT cannot load or run it, in its own words.
    """
    import tensorrt as trt

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.times: dict[str, list[float]] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times.setdefault(layer_name, []).append(ms)

    with tensorrt_log() as log:
        runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        engine = runtime.deserialize_cuda_engine(serialized)
        if engine is None:
            raise RuntimeError(log[0][1] if log else "TensorRT does not load the engine")
        context = engine.create_execution_context()
        profiler = Profiler()
        kept = _bind(engine, context, inputs)
        stream = torch.cuda.Stream()
        for count in range(WARM_UP + runs):
            if count == WARM_UP:
                context.profiler = profiler
            if not context.execute_async_v3(stream.cuda_stream):
                raise RuntimeError(log[0][1] if log else "TensorRT does not run the engine")
            stream.synchronize()
        inspected = inspect(engine, context)
        # The addresses in the context are theirs.
        del kept
    medians = {name: statistics.median(times) for name, times in profiler.times.items()}
    return fused_layers(inspected, medians)


def _bind(engine: Any, context: Any, inputs: Mapping[str, Any]) -> list[torch.Tensor]:
    """Gives a context the addresses of its tensors, and returns those that have to live."""
    import tensorrt as trt
    from torch_tensorrt import dtype as trt_dtype

    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    reads = [n for n in names if engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
    held = []
    for name in reads:
        wanted = trt_dtype._from(engine.get_tensor_dtype(name)).to(torch.dtype)
        tensor = torch.as_tensor(inputs[name], dtype=wanted).contiguous()
        # TensorRT reads sizes on the host.
        tensor = tensor.cpu() if engine.is_shape_inference_io(name) else tensor.cuda()
        context.set_input_shape(name, tuple(tensor.shape))
        context.set_tensor_address(name, tensor.data_ptr())
        held.append(tensor)
    for name in set(names) - set(reads):
        shape = tuple(context.get_tensor_shape(name))
        if any(size < 0 for size in shape):
            raise RuntimeError(f"the shape of output {name} depends on values")
        made = trt_dtype._from(engine.get_tensor_dtype(name)).to(torch.dtype)
        tensor = torch.empty(shape, dtype=made, device="cuda")
        context.set_tensor_address(name, tensor.data_ptr())
        held.append(tensor)
    return held
