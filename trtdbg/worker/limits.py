"""What a worker may take: memory and time, watched from its parent. Linux, free of torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from trtdbg.errors import LimitError
from trtdbg.worker.messages import Access, Describe, Request, Shutdown

WATCH_SECONDS: Final = 0.2
"""How often a worker with a limit is looked at."""

LOAD_STAGE: Final = "load"
"""The stage of progress in which a file is read and vetted."""

_HELD: Final = re.compile(rb"^(?:RssAnon|RssShmem|VmSwap):\s*(\d+) kB$", re.MULTILINE)
"""Memory that cannot be dropped. Mapped files, such as large weights, are not in it."""


def access_of(request: Request | None) -> Access | None:
    """Returns the limits that hold for a request; None if there are none."""
    if request is None or isinstance(request, Describe | Shutdown):
        return None
    return request.job.access


def loading_too_long(access: Access, seconds: float, doing: str) -> LimitError | None:
    """Returns the error of a worker that reads a file for too long.

    Args:
        access: the limits.
        seconds: how long it has been reading.
        doing: what it is doing, for the message.
    """
    if access.load_limit is None or seconds <= access.load_limit:
        return None
    return LimitError(
        f"the worker was ended while {doing}: reading the file took longer than --load-limit "
        f"{access.load_limit:g} seconds",
        remedy="raise the limit if the file is healthy and the disk is slow",
    )


def exceeded(access: Access, pid: int, seconds: float, doing: str) -> LimitError | None:
    """Returns the error of a worker that takes more than it may.

    Args:
        access: the limits.
        pid: the worker.
        seconds: how long its request has been running.
        doing: what it is doing, for the message.
    """
    if access.time_limit is not None and seconds > access.time_limit:
        return overdue(access.time_limit, doing)
    held = held_bytes(pid) if access.memory_limit is not None else 0
    if access.memory_limit is not None and held > access.memory_limit:
        return LimitError(
            f"the worker was ended while {doing}: it held {_size(held)}, and --memory-limit "
            f"is {_size(access.memory_limit)}",
            remedy="raise the limit or try a smaller model",
        )
    return None


def overdue(limit: float, doing: str) -> LimitError:
    """Returns the error of a worker that took longer than `limit` seconds."""
    return LimitError(
        f"the worker was ended while {doing}: it took longer than --time-limit {limit:g} "
        "seconds",
        remedy="raise the limit, or ask for less, like --probe-seconds 0",
    )


def held_bytes(pid: int) -> int:
    """Returns the memory that a process holds, 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return 0
    return sum(int(kilobytes) for kilobytes in _HELD.findall(status)) * 1024


def _size(count: int) -> str:
    if count >= 1 << 30:
        return f"{count / (1 << 30):.1f} GiB"
    if count >= 1 << 20:
        return f"{count / (1 << 20):.0f} MiB"
    return f"{count} bytes"
