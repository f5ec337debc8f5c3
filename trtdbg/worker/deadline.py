"""A worker of one's own that is asked within a limit of time. Free of torch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Protocol

from trtdbg.closing import Closing
from trtdbg.errors import LimitError
from trtdbg.worker.client import Client
from trtdbg.worker.limits import overdue
from trtdbg.worker.messages import Ask, News, Progress, Reply
from trtdbg.worker.process import activity

HANDLER: Final = "trtdbg.session.server:Handler"
"""What answers in a worker process."""


class OutOfTimeError(LimitError):
    """The time of a conversation is over."""


class Asker(Protocol):
    """What a conversation needs of a client."""

    def submit(self, request: Ask) -> Future[Reply]:
        """Queues a request."""

    def cancel(self) -> None:
        """Ends the worker; what runs and waits fails."""

    def close(self) -> None:
        """Ends the worker for good."""


MakeClient = Callable[[Callable[[News], None], str], Asker]
"""Makes a client of what takes the worker's news, and the name of what answers there."""


class Conversation(Closing):
    """A worker and the time that is left to ask it, as a context manager."""

    def __init__(
        self,
        limit: float | None,
        *,
        started: float | None = None,
        handler: str = HANDLER,
        make_client: MakeClient | None = None,
    ) -> None:
        """Prepares a worker, which starts with the first request.

        Args:
            limit: seconds for all requests together; None is no limit.
            started: when they began, by `time.monotonic`; None is now.
            handler: what answers in the worker process.
            make_client: makes what asks it; None is a plain client.
        """
        self._limit = limit
        self._started = time.monotonic() if started is None else started
        self._stage = ""
        made = make_client or (lambda heard, name: Client(heard, _handler=name))
        self._client = made(self._heard, handler)

    def close(self) -> None:
        """Ends the worker."""
        self._client.close()

    def ask(
        self, request: Ask, seconds: float | None = None, *, unlimited: bool = False
    ) -> Reply:
        """Returns the answer; a worker that takes too long is killed.

        Args:
            request: without a time limit of its own.
            seconds: that this request may take; None is all that is left.
            unlimited: whether it finishes what was found in time, and may take longer.

        Raises:
            OutOfTimeError: the time of the conversation is over.
            TimeoutError: this request took longer than it may.
            TrtdbgError: the worker could not answer, or died.
        """
        left = math.inf if unlimited else self.seconds_left()
        future = self._client.submit(request)
        try:
            allowed = min(left, seconds or math.inf)
            return future.result(None if math.isinf(allowed) else allowed)
        except TimeoutError as error:
            self._client.cancel()
            if seconds is not None and seconds < left:
                raise
            stage = f" ({self._stage})" if self._stage else ""
            late = overdue(self._limit or 0.0, f"{activity(request)}{stage}")
            raise OutOfTimeError(late.message, remedy=late.remedy) from error

    def seconds_left(self) -> float:
        """Returns how long may be asked still; infinity where there is no limit."""
        if self._limit is None:
            return math.inf
        return max(0.0, self._started + self._limit - time.monotonic())

    def _heard(self, event: News) -> None:
        if isinstance(event, Progress):
            self._stage = " ".join(filter(None, (event.stage, event.detail)))
