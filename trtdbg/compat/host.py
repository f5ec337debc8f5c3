"""Makes torch_tensorrt importable on this machine, and says what this machine can do.

`import torch_tensorrt` (2.13 and 2.14) asks CUDA for a device while it imports, and loads a
C++ runtime that a CPU build of torch cannot load. `prepare` answers these questions during the
import alone, only where CUDA cannot, and takes every answer back afterwards.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import logging
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from trtdbg import __version__
from trtdbg.errors import UnavailableError, UsageError
from trtdbg.plain import message_line
from trtdbg.records import Capability, Environment, Gpu

LINE_SOURCES = {
    "torch_tensorrt [TensorRT Conversion Context]": "tensorrt",
    "torch_tensorrt": "torch_tensorrt",
    "trtdbg": "trtdbg",
}
"""Logger to the source under which its lines are shown; the first is TensorRT's own log,
the last is ours."""

TENSORRT_LOGGER = "torch_tensorrt [TensorRT Conversion Context]"

INSTALL_REMEDY = (
    'install it with `pip install "trtdbg[rtx]"` (TensorRT-RTX, builds without a GPU) '
    'or `pip install "trtdbg[tensorrt]"` (standard TensorRT)'
)

DEFAULT_TARGET = "sm86"

_import_log: tuple[str, ...] = ()


def prepare() -> None:
    """Imports torch_tensorrt, with or without a GPU; idempotent.

    Raises:
        UnavailableError: torch or torch_tensorrt is not installed, or does not import.
    """
    if "torch_tensorrt" in sys.modules:
        return
    for name in ("torch", "torch_tensorrt"):
        if importlib.util.find_spec(name) is None:
            raise UnavailableError(f"{name} is not installed", remedy=INSTALL_REMEDY)
    global _import_log
    printed = io.StringIO()
    try:
        import torch

        with (
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            patched_cuda_queries(torch),
        ):
            import torch_tensorrt  # noqa: F401
    except Exception as error:
        # torch_tensorrt raises a bare Exception when the TensorRT library is missing.
        _forget_partial_import()
        if isinstance(error, MemoryError) or _WANT_OF_MEMORY.search(str(error)):
            raise UnavailableError(
                f"there is not enough memory to import torch_tensorrt ({message_line(error)})",
                remedy="raise the limit (ulimit -v), or free memory",
            ) from error
        raise UnavailableError(
            f"torch_tensorrt does not import: {message_line(error)}", remedy=INSTALL_REMEDY
        ) from error
    _import_log = tuple(line for line in printed.getvalue().splitlines() if line.strip())


_WANT_OF_MEMORY = re.compile(
    r"bad_alloc|out of memory|cannot allocate memory|failed to map segment|errno 12\b", re.I
)
"""What C++, the loader and the operating system say then."""


def _forget_partial_import() -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "torch_tensorrt"]:
        del sys.modules[name]


@contextlib.contextmanager
def patched_cuda_queries(torch: Any) -> Iterator[None]:
    """Answers, while torch_tensorrt imports, what only a CUDA device or build could answer.

    Source: torch_tensorrt 2.13 and 2.14, `_utils.py` (is_thor, is_tegra_platform),
    `dynamo/_defaults.py` (default_device), `_features.py` (libtorchtrt), `runtime/_utils.py`.
    """
    with contextlib.ExitStack() as answers:
        if not torch.cuda.is_available():
            # (0, 0) is no device that torch_tensorrt treats specially (Tegra, Orin, Thor).
            answers.enter_context(
                replaced(torch.cuda, "get_device_capability", lambda *_: (0, 0))
            )
            answers.enter_context(replaced(torch.cuda, "current_device", lambda: 0))
        if torch.version.cuda is None:
            isfile = os.path.isfile

            def isfile_but_runtime(path: Any) -> bool:
                name = os.path.basename(os.fspath(path)) if not isinstance(path, int) else ""
                return not str(name).startswith(("libtorchtrt", "torchtrt")) and isfile(path)

            answers.enter_context(replaced(os.path, "isfile", isfile_but_runtime))
        if not hasattr(torch._C, "_CudaDeviceProperties"):
            answers.enter_context(
                replaced(
                    torch._C, "_CudaDeviceProperties", type("_CudaDeviceProperties", (), {})
                )
            )
        yield


@contextlib.contextmanager
def patched_default_device() -> Iterator[None]:
    """Lets decompositions create tensors on the CPU where there is no CUDA device.

    torch_tensorrt creates what `empty_like` and its kin return on its default device, the
    first GPU. On a machine with one nothing is changed.

    Source: torch_tensorrt 2.13 and 2.14, `dynamo/lowering/_decompositions.py`
    (empty_permuted_decomposition, empty_strided_decomposition).
    """
    import torch

    if torch.cuda.is_available():
        yield
        return
    from torch_tensorrt.dynamo.lowering import _decompositions

    with replaced(_decompositions, "default_device", lambda: torch.device("cpu")):
        yield


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replaces an attribute and puts back what was there, or nothing where nothing was."""
    missing = object()
    before = getattr(owner, name, missing)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is missing:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def attach_log(emit: Callable[[str, int, str], None]) -> None:
    """Sends each line of three logs to `emit(source, level, text)`.

    `level` is a level of the logging module. The root logger is not touched.
    """
    for logger_name, source in LINE_SOURCES.items():
        logger = logging.getLogger(logger_name)
        for handler in [h for h in logger.handlers if isinstance(h, _EmitHandler)]:
            logger.removeHandler(handler)
        logger.addHandler(_EmitHandler(source, emit))
        logger.propagate = False


class _EmitHandler(logging.Handler):
    def __init__(self, source: str, emit: Callable[[str, int, str], None]) -> None:
        super().__init__()
        self._source = source
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        self._emit(self._source, record.levelno, record.getMessage())


@contextlib.contextmanager
def tensorrt_log() -> Iterator[list[tuple[int, str]]]:
    """Collects (level, text) of every warning and error that TensorRT logs inside."""
    lines: list[tuple[int, str]] = []

    class _CollectLog(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append((record.levelno, record.getMessage()))

    collect = _CollectLog(level=logging.WARNING)
    logger = logging.getLogger(TENSORRT_LOGGER)
    logger.addHandler(collect)
    try:
        yield lines
    finally:
        logger.removeHandler(collect)


def describe() -> Environment:
    """Returns versions, TensorRT's flavour, the GPU and what is possible, without raising."""
    base = Environment(
        trtdbg=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        torch=_version("torch"),
        torch_tensorrt=_version("torch-tensorrt") or _version("torch-tensorrt-rtx"),
    )
    try:
        prepare()
    except UnavailableError as error:
        return _with(base, capabilities=_nothing_possible(str(error)))
    import tensorrt as trt
    import torch
    import torch_tensorrt

    flavour = "rtx" if getattr(trt, "_package_name", "") == "tensorrt_rtx" else "standard"
    gpu = _gpu(torch)
    targets = _targets(trt) if flavour == "rtx" else ()
    return _with(
        base,
        torch=str(torch.__version__),
        torch_cuda=torch.version.cuda,
        torch_tensorrt=torch_tensorrt.__version__,
        tensorrt=trt.__version__,
        flavour=flavour,
        gpu=gpu,
        targets=targets,
        capabilities=_capabilities(torch, flavour, gpu, targets),
        import_log=_import_log,
    )


def _with(environment: Environment, **changes: Any) -> Environment:
    import msgspec

    return msgspec.structs.replace(environment, **changes)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu(torch: Any) -> Gpu | None:
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return Gpu(
        name=properties.name,
        compute_capability=f"{properties.major}.{properties.minor}",
        memory_bytes=properties.total_memory,
    )


def _targets(trt: Any) -> tuple[str, ...]:
    names = getattr(trt.ComputeCapability, "__members__", {})
    found = (name.lower() for name in names if re.fullmatch(r"SM\d+", name))
    return tuple(sorted(found, key=lambda name: int(name[2:])))


def _capabilities(
    torch: Any, flavour: str, gpu: Gpu | None, targets: tuple[str, ...]
) -> tuple[Capability, ...]:
    no_gpu = (
        "no CUDA device: torch is a CPU build"
        if torch.version.cuda is None
        else "no CUDA device"
    )
    can_build = gpu is not None or bool(targets)
    if gpu is not None:
        build_reason = f"on {gpu.name}"
    elif targets:
        build_reason = f"ahead of time for {', '.join(targets)}"
    else:
        build_reason = f"standard TensorRT needs a GPU to build ({no_gpu}); " + (
            'install "trtdbg[rtx]" instead to build without one'
        )
    executes = gpu is not None
    return (
        Capability(name="analyze", possible=True, reason="torch_tensorrt imports"),
        Capability(
            name="define networks",
            possible=can_build,
            reason="TensorRT's builder is here" if can_build else build_reason,
        ),
        Capability(name="build engines", possible=can_build, reason=build_reason),
        Capability(
            name="run and time engines",
            possible=executes,
            reason=f"on {gpu.name}" if gpu is not None else no_gpu,
        ),
    )


def _nothing_possible(reason: str) -> tuple[Capability, ...]:
    names = ("analyze", "define networks", "build engines", "run and time engines")
    return tuple(Capability(name=name, possible=False, reason=reason) for name in names)


def resolve_target(target: str | None, environment: Environment) -> str | None:
    """Returns the compute capability to build for; None means the GPU of this machine.

    Raises:
        UsageError: the target's name is not one that TensorRT knows.
        UnavailableError: this TensorRT cannot build for a target without its GPU.
    """
    if target is None:
        if environment.gpu is not None or not environment.targets:
            return None
        return (
            DEFAULT_TARGET if DEFAULT_TARGET in environment.targets else environment.targets[0]
        )
    if not environment.targets:
        raise UnavailableError(
            f"cannot build for {target}: standard TensorRT builds for the GPU of its machine",
            remedy="leave --target out, or install trtdbg[rtx]",
        )
    if target.lower() not in environment.targets:
        raise UsageError(
            f"unknown target {target!r}",
            remedy=f"choose from {', '.join(environment.targets)}",
        )
    return target.lower()
