"""Knows work by what it was made of: files by content, versions, options. Free of torch."""

from __future__ import annotations

import hashlib
import os
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import msgspec

from trtdbg import __version__
from trtdbg.worker.messages import Job, native_path

_PACKAGES: Final = (
    "torch",
    "torch-tensorrt",
    "torch-tensorrt-rtx",
    "tensorrt",
    "tensorrt-rtx",
)


def key_of(job: Job, *about: Any, files: tuple[str, ...] = ()) -> str:
    """Returns a hash of a job, whatever its limits and wherever its model is, and more.

    Args:
        job: its model and the libraries it imports count by what they hold.
        about: what msgspec can encode.
        files: paths of files that count by what they hold too.
    """
    access = job.access
    unlimited = msgspec.structs.replace(access, memory_limit=None, time_limit=None)
    anywhere = msgspec.structs.replace(job, model="", access=unlimited)
    held = [native_path(job.model), *filter(os.path.isfile, access.imports), *files]
    made_of = (
        *(__version__, [_version(name) for name in _PACKAGES]),
        *(anywhere, *about),
        [_digest(file) for file in held],
    )
    return hashlib.sha256(msgspec.msgpack.encode(made_of)).hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _digest(path: str) -> str | None:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        # Whoever opens it says so, and what ends in an error is not kept.
        return None
