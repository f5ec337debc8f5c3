"""Progress, built engines and log lines on their way from the client's thread to the app's."""

from __future__ import annotations

import threading
from collections.abc import Callable

from trtdbg.worker.messages import News


class Inbox:
    """Collects events, and wakes the app once for all that came since it last looked.

    TensorRT can log thousands of lines a second: one message for each would flood the app.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        """Takes what wakes the app; it is called from the thread that `put` is called from."""
        self._wake = wake
        self._lock = threading.Lock()
        self._events: list[News] = []

    def put(self, event: News) -> None:
        """Adds an event; may be called from any thread."""
        with self._lock:
            self._events.append(event)
            first = len(self._events) == 1
        if first:
            self._wake()

    def take(self) -> list[News]:
        """Returns all events since the last call."""
        with self._lock:
            events, self._events = self._events, []
        return events
