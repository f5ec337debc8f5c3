"""What is installed here, as far as an analysis depends on it, without importing torch.

An analysis is what trtdbg, torch, torch_tensorrt and TensorRT make of a program. Versions are
read from the names of `*.dist-info` folders. Of packages whose Python decides the analysis,
and that people edit in place (a validator of torch_tensorrt, say), size and times of each file
count.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("trtdbg", "torch_tensorrt", "tensorrt", "tensorrt_rtx", "modelopt")
_PARTS_OF_TORCH: Final = (
    *("fx", "export", "_export", "_decomp", "_subclasses", "_refs", "_prims", "_prims_common"),
    *("_higher_order_ops", "_library", "_functorch", "_dynamo"),
)
"""Folders of torch whose Python lowers a program; of the rest its version stands for it."""

_VARIABLES: Final = (
    *("TRTDBG_", "TORCH", "PYTORCH", "TRT", "TENSORRT", "CUDA", "NVIDIA_", "NV_", "ATEN_"),
    *("USE_", "MKL_", "OMP_", "ONEDNN_", "LD_"),
)
"""How environment variables begin that such libraries read."""
_VARIABLES_OF_PYTHON: Final = ("PYTHONPATH", "PYTHONHOME", "PYTHONHASHSEED", "PYTHONOPTIMIZE")
_BOUNDS: Final = ("TRTDBG_ANALYSIS_CACHE_MIB", "TRTDBG_ENGINE_CACHE_MIB")
_SITES: Final = ("site-packages", "dist-packages")

_DRIVER: Final = Path("/proc/driver/nvidia")
_CUDA_LIBRARIES: Final = (
    *("/usr/lib/x86_64-linux-gnu/libcuda.so.1", "/usr/lib/aarch64-linux-gnu/libcuda.so.1"),
    *("/usr/lib64/libcuda.so.1", "/usr/lib/libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"),
    "/usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1",
)
_FACTS_OF_A_GPU: Final = ("Model", "GPU UUID", "Bus Location", "Device Minor")


def digests() -> Mapping[str, str]:
    """Returns a digest for each part of an installation that an analysis depends on."""
    return {
        "python": _digest((sys.version, sys.executable, platform.platform(), _processor())),
        "packages": _digest(_distributions()),
        **{name: _digest(_files(_folder_of(name))) for name in _PACKAGES},
        "torch": _digest(
            line for part in _PARTS_OF_TORCH for line in _files(_folder_of("torch"), part)
        ),
        "gpu": _digest(_gpus()),
        "variables": _digest(_variables()),
    }


def _digest(lines: object) -> str:
    made = hashlib.sha256()
    for line in lines:  # type: ignore[attr-defined]
        made.update(os.fsencode(line) + b"\0")
    return made.hexdigest()


def _distributions() -> list[str]:
    """Returns names and versions of what is installed, as its metadata are called."""
    found = []
    for folder in sys.path:
        if os.path.basename(folder) in _SITES and os.path.isdir(folder):
            names = (n for n in os.listdir(folder) if n.endswith((".dist-info", ".pth")))
            found += [f"{folder}/{name}" for name in names]
    return sorted(found)


def _folder_of(package: str) -> str | None:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    places = spec.submodule_search_locations if spec is not None else None
    return next(iter(places), None) if places else None


def _files(folder: str | None, part: str = "") -> Iterator[str]:
    """Yields a line for each file below a folder: its path, size and times."""
    if folder is None:
        return
    for place, folders, names in os.walk(os.path.join(folder, part)):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            yield _stamp(os.path.join(place, name))


def _stamp(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return f"{path} is gone"
    return f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _variables() -> list[str]:
    return sorted(
        f"{name}={value}"
        for name, value in os.environ.items()
        if (name.startswith(_VARIABLES) and name not in _BOUNDS)
        or name in _VARIABLES_OF_PYTHON
    )


def _processor() -> str:
    """Returns what /proc/cpuinfo says of the first processor: kernels round by what it has."""
    return "\n".join(
        line
        for line in _text(Path("/proc/cpuinfo")).partition("\n\n")[0].splitlines()
        if line.startswith(("model name", "flags", "Features", "CPU part"))
    )


def _gpus() -> Iterator[str]:
    """Yields what the driver says of itself and its devices, and which of them are there."""
    yield _text(_DRIVER / "version")
    for file in sorted(_DRIVER.glob("gpus/*/information")):
        lines = _text(file).splitlines()
        yield from (line for line in lines if line.startswith(_FACTS_OF_A_GPU))
    yield from (_stamp(path) for path in _CUDA_LIBRARIES if os.path.exists(path))
    devices = ("nvidia", "dxg", "nvhost")
    yield from sorted(name for name in os.listdir("/dev") if name.startswith(devices))


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""
