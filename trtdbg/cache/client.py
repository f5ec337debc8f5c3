"""A client that looks into the cache of analyses before it asks the worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

import msgspec

from trtdbg.analysis.summary import broken_end, unasked_line
from trtdbg.cache import analyses
from trtdbg.cache.contents import FileState
from trtdbg.cache.folders import ANALYSES
from trtdbg.cache.keys import Key, installed_now, key_of
from trtdbg.closing import Closing
from trtdbg.errors import CancelledError
from trtdbg.policy import TruncationPolicy
from trtdbg.records import Report
from trtdbg.worker.messages import (
    Analyze,
    Ask,
    Attempt,
    Build,
    Describe,
    Job,
    Log,
    LogLevel,
    LowQuestion,
    Measure,
    News,
    Recalled,
    Reply,
    Reproduce,
    Weigh,
)

if TYPE_CHECKING:
    from trtdbg.worker.client import Client

AboutModel = Analyze | Attempt | Build | Measure | Reproduce | Weigh
"""What is asked of a session, which remembers it."""


class CachingClient(Closing):
    """Stands where a `Client` stands; the worker starts with what the cache does not hold.

    An answer is kept if nothing but its key decides it: the file, the modules and what is
    installed are the same after as before, TensorRT was asked all there was to ask, no limit
    of time cut anything, and the worker was asked nothing before that its report would show.
    """

    def __init__(
        self,
        on_event: Callable[[News], None] | None = None,
        *,
        read: bool = True,
        handler: str | None = None,
    ) -> None:
        """Prepares a client; nothing is started or read yet.

        Args:
            on_event: takes what the worker tells, and what of the cache is not used.
            read: whether answers are taken from the cache; new ones are kept in any case.
            handler: what answers in the worker process; None is trtdbg's own. What another one
                answers is not kept.
        """
        self._on_event = on_event
        self._read = read
        self._handler = handler
        self._made: Client | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._looking: set[Future[Reply]] = set()
        self._asked: dict[tuple[Job, TruncationPolicy], set[Ask]] = {}
        self._standing: list[Log] = []
        self._installed: str | None = None
        self._modules: dict[tuple[str, ...], str] = {}
        self._first_seen: dict[FileState, int] = {}

    def start(self) -> None:
        """Begins to spawn the worker; returns at once."""
        if self._installed is None:
            self._installed = installed_now()
        self._client().start()

    def submit(self, request: Ask) -> Future[Reply]:
        """Answers a request, from the cache if it holds the answer, else by the worker."""
        key = self._key(request)
        outer: Future[Reply] = Future()
        if key is None or not self._may_hold(request, key):
            self._ask_worker(request, key, outer)
            return outer
        with self._lock:
            self._looking.add(outer)
        threading.Thread(
            target=self._look, args=(request, key, outer), name="trtdbg-cache", daemon=True
        ).start()
        return outer

    def cancel(self) -> None:
        """Kills the worker; what runs and waits fails with CancelledError at once."""
        self._abandon("cancelled")
        if self._made is not None:
            self._made.cancel()

    def close(self) -> None:
        """Ends the worker; answers that it gave are kept by then. Idempotent."""
        self._abandon("cancelled, because the program ends")
        self._closed = True
        if self._made is not None:
            self._made.close()

    def _client(self) -> Client:
        """Returns the worker's client, imported when something is to be asked."""
        with self._lock:
            if self._closed:
                raise RuntimeError("this client is closed")
            if self._made is None:
                from trtdbg.worker.client import Client

                name = {} if self._handler is None else {"_handler": self._handler}
                self._made = Client(self._heard, **name)
            return self._made

    def _may_hold(self, request: Ask, key: Key) -> bool:
        anew = isinstance(request, Analyze | Weigh) and request.anew
        return self._read and not anew and analyses.may_hold(key)

    def _key(self, request: Ask) -> Key | None:
        """Returns the key of an answer; None if it is neither kept nor looked up."""
        if self._handler is not None or ANALYSES.limit() == 0:
            return None
        try:
            return key_of(request)
        except OSError:
            return None

    def _abandon(self, message: str) -> None:
        with self._lock:
            looking, self._looking = self._looking, set()
        for outer in looking:
            outer.set_exception(CancelledError(message))

    def _look(self, request: Ask, key: Key, outer: Future[Reply]) -> None:
        """Answers from the cache, in a thread: a large file may have to be read for it."""
        try:
            found = analyses.find(key, self._warn)
        except Exception as error:
            # Whatever is wrong with the cache, the worker can answer.
            self._warn(_failure(error))
            found = None
        with self._lock:
            if outer not in self._looking:
                return
            self._looking.remove(outer)
        if found is None:
            try:
                self._ask_worker(request, key, outer)
            except RuntimeError:  # Closed meanwhile.
                outer.set_exception(CancelledError("cancelled, because the program ends"))
            return
        for log in found.logs:
            self._tell(log)
        self._tell(Recalled(made=found.made))
        outer.set_result(found.report)

    def _ask_worker(self, request: Ask, key: Key | None, outer: Future[Reply]) -> None:
        pure = self._is_pure(request)
        keep = key if pure and key is not None and self._is_current(request, key) else None
        began = time.monotonic()
        if keep is not None:
            self._first_seen.setdefault(keep.file, time.time_ns())

        def done(inner: Future[Reply]) -> None:
            error = inner.exception()
            if error is not None:
                outer.set_exception(error)
                return
            answer = inner.result()
            # First, so that whoever has the answer may end the program.
            if keep is not None and isinstance(answer, Report):
                self._keep(request, keep, answer, time.monotonic() - began)
            outer.set_result(answer)

        self._client().submit(request).add_done_callback(done)

    def _is_pure(self, request: Ask) -> bool:
        """Returns whether the worker's answer will hold what is asked, and nothing else.

        A session adds to its report what it is asked for beyond an analysis, so that later
        answers show it.
        """
        if isinstance(request, Describe | LowQuestion):
            return False
        bare = _bare(request)
        before = self._asked.setdefault((bare.job, bare.policy), set())
        pure = all(one == bare or isinstance(one, Analyze) for one in before)
        before.add(bare)
        return pure

    def _is_current(self, request: Ask, key: Key) -> bool:
        """Returns whether the worker runs what is installed now.

        It imports torch_tensorrt and the modules of `--import` once; what is edited meanwhile
        is in the key, and not in its answers.
        """
        if isinstance(request, Describe | LowQuestion):
            return False
        if self._installed is None:
            self._installed = key.installed
        modules = self._modules.setdefault(request.job.access.imports, key.imports)
        return (self._installed, modules) == (key.installed, key.imports)

    def _keep(self, request: Ask, key: Key, report: Report, seconds: float) -> None:
        try:
            if _is_complete(request, report, seconds) and self._key(request) == key:
                seen_ns = self._first_seen[key.file]
                analyses.keep(key, report, tuple(self._standing), seen_ns)
        except Exception as error:
            # Whatever is wrong with the cache, there is an answer.
            self._warn(_failure(error))

    def _heard(self, event: News) -> None:
        if isinstance(event, Log) and event.standing:
            self._standing.append(event)
        self._tell(event)

    def _warn(self, text: str) -> None:
        self._tell(Log(source="trtdbg", level=LogLevel.WARNING, text=text))

    def _tell(self, event: News) -> None:
        if self._on_event is not None:
            self._on_event(event)


def _failure(error: Exception) -> str:
    return f"the cache of analyses failed ({type(error).__name__}: {error})"


def _bare(request: AboutModel) -> AboutModel:
    """Returns a request without what does not change its answer."""
    access = msgspec.structs.replace(
        request.job.access, memory_limit=None, time_limit=None, load_limit=None
    )
    job = msgspec.structs.replace(request.job, access=access)
    if isinstance(request, Analyze | Weigh):
        return msgspec.structs.replace(request, job=job, anew=False)
    return msgspec.structs.replace(request, job=job)


def _is_complete(request: Ask, report: Report, seconds: float) -> bool:
    """Returns whether nothing in a report was cut short by the time that it took."""
    if broken_end(report) is not None or unasked_line(report) is not None:
        return False
    # Cures are tried until the time is up; what was cut does not always show.
    return not isinstance(request, Weigh) or not request.cures or seconds < request.seconds
