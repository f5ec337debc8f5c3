"""Puts on the CPU what a script puts on a GPU, for `trtdbg record --device cpu`.

A torch function mode hears every call of torch and takes `cuda` out of its arguments. What
torch asks CUDA in Python, in `torch.cuda`, has stand-ins for as long. torch.cuda.is_available
stays false: torch itself asks it before it calls CUDA.

What is not mapped raises as it would on this machine: CUDA streams that are waited for by
C++, graphs, NVTX, `torch.cuda.amp` scalers, and extensions with kernels of their own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from trtdbg.compat.host import replaced
from trtdbg.compat.patches import ON_CPU

_CPU = torch.device("cpu")


def on_cpu(value: Any) -> Any:
    """Returns the CPU for a CUDA device in whatever form, and anything else as it is."""
    if isinstance(value, torch.device):
        return _CPU if value.type == "cuda" else value
    if isinstance(value, str) and value.partition(":")[0] == "cuda":
        return "cpu"
    return value


class CudaOnCpu(TorchFunctionMode):  # type: ignore[misc]
    """Takes `cuda` out of the arguments of torch's functions and methods."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Calls a function with the CPU where CUDA was named."""
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        if name == "cuda" and args:
            # Tensor.cuda(device, non_blocking, memory_format).
            return args[0]
        if name == "pin_memory":
            return args[0]
        if kwargs.pop("pin_memory", False):
            # Memory that only a GPU's driver can pin.
            pass
        if "device" in kwargs:
            kwargs["device"] = on_cpu(kwargs["device"])
            if isinstance(kwargs["device"], int) and not isinstance(kwargs["device"], bool):
                kwargs["device"] = _CPU
        if name == "to":
            args = (args[0], *(on_cpu(each) for each in args[1:]))
            if len(args) > 1 and isinstance(args[1], int):
                args = (args[0], _CPU, *args[2:])
        return function(*args, **kwargs)


class _Event:
    """Stands for `torch.cuda.Event`; measures the clock of this machine."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self._at = 0.0

    def record(self, *_: Any) -> None:
        """Takes the time."""
        self._at = time.perf_counter()

    def elapsed_time(self, later: _Event) -> float:
        """Returns milliseconds until another event."""
        return (later._at - self._at) * 1e3

    def query(self) -> bool:
        """Returns true: nothing is waited for."""
        return True

    def synchronize(self) -> None:
        """Does nothing."""

    wait = record


class _Stream(contextlib.AbstractContextManager[Any]):
    """Stands for `torch.cuda.Stream`, also in a `with` statement."""

    device = _CPU
    cuda_stream = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        return None

    def synchronize(self) -> None:
        """Does nothing."""

    def wait_stream(self, *_: Any) -> None:
        """Does nothing."""

    wait_event = record_event = wait_stream

    def query(self) -> bool:
        """Returns true: nothing is waited for."""
        return True


class _Device(contextlib.AbstractContextManager[Any]):
    """Stands for `torch.cuda.device`, in a `with` statement."""

    def __init__(self, *_: Any) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        return None


class _Properties:
    """Stands for what torch says of a GPU."""

    name = "CPU (trtdbg record --device cpu)"
    major = minor = 0
    total_memory = 0
    multi_processor_count = 0


def _answering(value: Any) -> Callable[..., Any]:
    """Returns a function of its own: dynamo has a rule for each object of `torch.cuda`."""
    return lambda *_, **__: value


_STAND_INS: dict[str, Any] = {
    "synchronize": _answering(None),
    "empty_cache": _answering(None),
    "set_device": _answering(None),
    "reset_peak_memory_stats": _answering(None),
    "manual_seed": lambda seed: torch.default_generator.manual_seed(seed),
    "manual_seed_all": lambda seed: torch.default_generator.manual_seed(seed),
    "current_device": _answering(0),
    "memory_allocated": _answering(0),
    "max_memory_allocated": _answering(0),
    "memory_reserved": _answering(0),
    "max_memory_reserved": _answering(0),
    "get_device_name": lambda *_: _Properties.name,
    "get_device_capability": lambda *_: (0, 0),
    "get_device_properties": lambda *_: _Properties(),
    "mem_get_info": lambda *_: (0, 0),
    "current_stream": lambda *_: _Stream(),
    "default_stream": lambda *_: _Stream(),
    "stream": lambda stream: stream or _Stream(),
    "device": _Device,
    "Event": _Event,
    "Stream": _Stream,
}


@contextlib.contextmanager
def patched_cuda(say: Callable[[str], None]) -> Iterator[None]:
    """Lets tensors and modules that go to CUDA stay on the CPU.

    Args:
        say: is told what is done otherwise than on a GPU.
    """
    with contextlib.ExitStack() as stack:
        for patch in ON_CPU:
            if patch.module == "torch.cuda":
                made = _STAND_INS[patch.name]
                stack.enter_context(replaced(torch.cuda, patch.name, made))
        stack.enter_context(replaced(torch, "Generator", _generator(torch.Generator)))
        stack.enter_context(replaced(torch, "load", _loading(torch.load)))
        stack.enter_context(replaced(torch, "set_default_device", _setting(say)))
        stack.enter_context(replaced(torch, "autocast", _autocast(torch.autocast, say)))
        stack.enter_context(CudaOnCpu())
        yield


def _generator(original: Any) -> Any:
    """Returns what makes generators of the CPU, and is taken for their class."""

    class Kind(type):
        def __call__(cls, device: Any = "cpu") -> Any:
            return original(on_cpu(device))

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, original)

    return Kind("Generator", (), {})


def _loading(original: Any) -> Any:
    def load(*args: Any, **kwargs: Any) -> Any:
        if len(args) > 1:
            args = (args[0], "cpu", *args[2:])
        else:
            kwargs["map_location"] = "cpu"
        return original(*args, **kwargs)

    return load


def _setting(say: Callable[[str], None]) -> Any:
    original = torch.set_default_device

    def set_default_device(device: Any) -> None:
        original(on_cpu(device))

    return set_default_device


def _autocast(original: Any, say: Callable[[str], None]) -> Any:
    """Returns autocast, of which the CPU's lists of operators are not those of CUDA."""

    class Autocast(original):  # type: ignore[misc]
        def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
            if device_type == "cuda":
                say(
                    "torch.autocast('cuda') is that of the CPU here, whose lists of operators "
                    "differ: softmax, for one, stays narrow"
                )
                if not args:
                    kwargs.setdefault("dtype", torch.float16)
                device_type = "cpu"
            super().__init__(device_type, *args, **kwargs)

    return Autocast
