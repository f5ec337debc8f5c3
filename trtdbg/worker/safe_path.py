"""Starts Python processes without the working directory first on their `sys.path`."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Final

SAFE: Final = "-P"
"""The flag that keeps the working directory off `sys.path`, for commands (Python 3.11)."""

_VARIABLE: Final = "PYTHONSAFEPATH"
_lock: Final = threading.RLock()


@contextlib.contextmanager
def spawning() -> Iterator[None]:
    """Has the processes that multiprocessing starts inside run as with `python -P`.

    multiprocessing starts `python -c`, which would look for modules in the working directory
    first: a `random.py` in a folder of downloads would run. It hands its own `sys.path` over
    afterwards, so what the parent can import, the child can too.
    """
    with _lock:
        before = os.environ.get(_VARIABLE)
        os.environ[_VARIABLE] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[_VARIABLE]
            else:
                os.environ[_VARIABLE] = before


def forget() -> None:
    """Keeps the variable from what a spawned process starts itself, as a user's script."""
    if not sys.flags.safe_path:
        return
    os.environ.pop(_VARIABLE, None)
