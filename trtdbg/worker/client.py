"""Talks to the worker process that owns torch and TensorRT. Free of torch, thread-safe.

Requests are answered one at a time, in order. A worker that dies takes the running request
with it and nothing else: what waits goes to a fresh worker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

import msgspec

from trtdbg import errors
from trtdbg.closing import Closing
from trtdbg.errors import CancelledError, LimitError, TrtdbgError, WorkerBugError
from trtdbg.records import Environment, Report
from trtdbg.records.precision import LowRanking, LowTrial, UpstreamSettings
from trtdbg.worker.history import History
from trtdbg.worker.messages import (
    Ask,
    Asking,
    Attempt,
    Attempted,
    Describe,
    Done,
    Event,
    ExpressLow,
    Failed,
    Lessons,
    Log,
    LogLevel,
    News,
    RankLow,
    Reply,
    TryLow,
)
from trtdbg.worker.process import Worker

_logger = logging.getLogger(__name__)

_GRACE_SECONDS: Final = 0.5
"""How long `close` lets a worker end by itself; importing torch can keep it from listening."""


@dataclass(eq=False)
class _Pending:
    """A request and the future that its answer goes to."""

    request: Ask
    future: Future[Reply]
    since: float | None = None
    """When it was sent to a worker first, by `time.monotonic`."""
    history: History = field(default_factory=History)
    """What workers ended on while TensorRT was asked about single nodes for it."""


class Client(Closing):
    """The parent's side of the process split; as a context manager it ends the worker."""

    def __init__(
        self,
        on_event: Callable[[News], None] | None = None,
        *,
        _handler: str = "trtdbg.session.server:Handler",
    ) -> None:
        """Prepares a client; no process is started yet.

        Args:
            on_event: Takes progress, built engines and log lines, called from the client's
                reader thread.
        """
        self._on_event = on_event
        self._handler = _handler
        self._lock = threading.Lock()
        self._waiting: deque[_Pending] = deque()
        self._running: _Pending | None = None
        self._worker: Worker | None = None
        self._dismissed: list[Worker] = []
        self._closed = False

    def start(self) -> None:
        """Begins to spawn the worker unless one lives; returns at once."""
        with self._lock:
            self._check_open()
            if self._running is None:
                self._living_worker()

    def submit(self, request: Ask) -> Future[Reply]:
        """Queues a request; its future ends with the answer or a class of trtdbg.errors."""
        pending = _Pending(request, Future())
        with self._lock:
            self._check_open()
            self._waiting.append(pending)
            self._send_next()
        return pending.future

    def cancel(self) -> None:
        """Kills the worker; running and queued futures fail with CancelledError at once."""
        with self._lock:
            worker, abandoned = self._dismiss()
        if worker is not None:
            worker.kill()
        _fail(abandoned, "cancelled")

    def close(self) -> None:
        """Ends the worker, politely at first; no process and no thread is left. Idempotent."""
        with self._lock:
            self._closed = True
            worker, abandoned = self._dismiss()
            dismissed, self._dismissed = self._dismissed, []
        _fail(abandoned, "cancelled, because the program ends")
        if worker is not None:
            worker.stop(_GRACE_SECONDS)
        for each in dismissed:
            each.join()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this client is closed")

    def _dismiss(self) -> tuple[Worker | None, list[_Pending]]:
        """Forgets the worker and all requests, so that nothing it still says is heard."""
        worker, self._worker = self._worker, None
        abandoned = [self._running] if self._running is not None else []
        abandoned += self._waiting
        self._running = None
        self._waiting.clear()
        if worker is not None:
            self._dismissed.append(worker)
        return worker, abandoned

    def _living_worker(self) -> Worker:
        if self._worker is None or not self._worker.alive():
            if self._worker is not None:
                self._dismissed.append(self._worker)
            self._dismissed = [each for each in self._dismissed if not each.finished()]
            self._worker = Worker(self._handler, self._heard, self._ended)
        return self._worker

    def _send_next(self) -> None:
        """Sends the next request if the worker is free; the lock is held."""
        while self._waiting and self._running is None:
            pending = self._waiting.popleft()
            if pending.future.set_running_or_notify_cancel():
                self._send(pending)

    def _send(self, pending: _Pending) -> None:
        worker = self._living_worker()
        self._running = pending
        if pending.since is None:
            pending.since = time.monotonic()
        lessons = pending.history.lessons
        worker.send(
            pending.request,
            since=pending.since,
            lessons=None if lessons == Lessons() else lessons,
        )

    def _heard(self, worker: Worker, message: Event) -> None:
        if isinstance(message, Done | Failed):
            self._answered(worker, message)
            return
        with self._lock:
            deaf = worker is not self._worker
            if isinstance(message, Asking):
                if not deaf and self._running is not None:
                    self._running.history.asking = message.questions
                return
        if not deaf:
            self._tell(message)

    def _tell(self, message: News) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(message)
        except Exception:
            # The listener's fault must not end the conversation with the worker.
            _logger.exception("the event listener failed on %r", message)

    def _answered(self, worker: Worker, answer: Done | Failed) -> None:
        with self._lock:
            if worker is not self._worker or self._running is None:
                return
            pending, self._running = self._running, None
            self._send_next()
        try:
            pending.future.set_result(_unpack(pending.request, answer))
        except TrtdbgError as error:
            pending.future.set_exception(error)

    def _ended(self, worker: Worker, error: TrtdbgError) -> None:
        with self._lock:
            if worker is not self._worker:
                return
            self._dismissed.append(worker)
            self._worker = None
            pending, self._running = self._running, None
            again = None
            if pending is not None and not isinstance(error, LimitError | WorkerBugError):
                again = pending.history.worker_ended(
                    worker.how_it_ended, by_itself=worker.ended_by_itself
                )
            if pending is None or again is None:
                self._send_next()
            else:
                self._send(pending)
        if again is not None:
            self._tell(Log(source="trtdbg", level=LogLevel.WARNING, text=again))
        elif pending is not None:
            pending.future.set_exception(error)


def _unpack(request: Ask, answer: Done | Failed) -> Reply:
    """Returns the record of an answer, or raises what it says went wrong."""
    if isinstance(answer, Failed):
        raise _as_error(answer)
    try:
        match request:
            case Describe():
                return msgspec.msgpack.decode(answer.payload, type=Environment)
            case Attempt():
                return msgspec.msgpack.decode(answer.payload, type=Attempted)
            case RankLow():
                return msgspec.msgpack.decode(answer.payload, type=LowRanking)
            case TryLow():
                return msgspec.msgpack.decode(answer.payload, type=LowTrial)
            case ExpressLow():
                return msgspec.msgpack.decode(answer.payload, type=UpstreamSettings)
            case _:
                return msgspec.msgpack.decode(answer.payload, type=Report)
    except msgspec.MsgspecError as error:
        raise WorkerBugError(f"the worker's answer is unreadable: {error}") from error


def _as_error(failed: Failed) -> TrtdbgError:
    kind = getattr(errors, failed.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, TrtdbgError)):
        kind = WorkerBugError
    if issubclass(kind, WorkerBugError):
        return kind(failed.message, failed.traceback)
    return kind(failed.message, remedy=failed.remedy)


def _fail(abandoned: list[_Pending], message: str) -> None:
    for pending in abandoned:
        if pending.future.running() or pending.future.set_running_or_notify_cancel():
            pending.future.set_exception(CancelledError(message))
