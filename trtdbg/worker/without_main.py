"""Starts worker processes that do not run the user's script again."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from multiprocessing import spawn
from typing import Any, Final

WORKER_NAME: Final = "trtdbg-worker"

_lock: Final = threading.RLock()


@contextlib.contextmanager
def patched_preparation() -> Iterator[None]:
    """Keeps multiprocessing from importing the parent's `__main__` into our worker.

    A spawned process imports the script that started it, so that a script without
    `if __name__ == "__main__":` would start itself over and over. Our worker needs nothing of
    it. Other processes that are started meanwhile are prepared as always.

    Source: CPython 3.11 to 3.14, `multiprocessing/spawn.py` get_preparation_data.
    """
    with _lock:
        original = spawn.get_preparation_data

        def prepared(name: str) -> dict[str, Any]:
            data: dict[str, Any] = original(name)
            if name == WORKER_NAME:
                for key in ("init_main_from_name", "init_main_from_path"):
                    data.pop(key, None)
            return data

        spawn.get_preparation_data = prepared
        try:
            yield
        finally:
            spawn.get_preparation_data = original
