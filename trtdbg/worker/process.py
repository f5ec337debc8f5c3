"""The worker process as its parent sees it: spawned, heard, killed, its death explained.

Free of torch. The child's side is `trtdbg.session.server`, reached by name so that nothing
here imports it.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import PurePath
from typing import Final, assert_never

import msgspec

from trtdbg.errors import LimitError, TrtdbgError, WorkerBugError, WorkerError
from trtdbg.worker import safe_path
from trtdbg.worker.limits import (
    LOAD_STAGE,
    WATCH_SECONDS,
    access_of,
    exceeded,
    loading_too_long,
)
from trtdbg.worker.messages import (
    Analyze,
    Asking,
    Attempt,
    Build,
    Describe,
    Done,
    Event,
    ExpressLow,
    Failed,
    Lessons,
    Log,
    LogLevel,
    Measure,
    Progress,
    RankLow,
    Reproduce,
    Request,
    Shutdown,
    TryLow,
    Weigh,
)
from trtdbg.worker.without_main import WORKER_NAME, patched_preparation

_READ_BYTES: Final = 1 << 20
"""More than a pipe holds, so that one read takes all that was printed before an answer."""

_LONGEST_LINE: Final = 8192
"""Characters of an unfinished line after which it is passed on as it stands."""

_END_SECONDS: Final = 1.0
"""How long a worker that hung up may take to be gone before it is killed."""

_LINE_END: Final = re.compile(r"\r\n|\n|\r")

_OWN_DEATHS: Final = frozenset(
    -number
    for number in (
        signal.SIGSEGV,
        signal.SIGABRT,
        signal.SIGFPE,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGTRAP,
    )
)
"""Exit statuses of a process that nobody ended: what the program itself does wrong."""

_NO_MEMORY: Final = re.compile(
    r"bad_alloc|out of memory|cannot allocate memory", re.IGNORECASE
)
"""Last words of a process that ended for want of memory, by whatever signal."""

_FATAL_SIGNAL: Final = "Fatal Python error: "
"""Start of what faulthandler writes on a fatal signal; the cause stands before it."""


class Worker:
    """One worker process and the thread that listens to it; both end together.

    `on_message` and `on_end` are called from that thread, with this worker as their first
    argument. `on_end` is called exactly once and last, however the worker ended.
    """

    def __init__(
        self,
        handler: str,
        on_message: Callable[[Worker, Event], None],
        on_end: Callable[[Worker, TrtdbgError], None],
    ) -> None:
        """Begins to spawn the process and returns at once.

        Args:
            handler: Dotted name `module:Class` of what answers requests in the child.
            on_message: Takes progress, log lines and answers, in the order they were sent.
            on_end: Takes the error that explains why the worker is gone.
        """
        self._handler = handler
        self._on_message = on_message
        self._on_end = on_end
        self._lock = threading.Lock()
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._printed: tuple[_Printed, ...] = ()
        self._killed = False
        self._lessons: Lessons | None = None
        self.how_it_ended = ""
        """Words for it, like `died of SIGSEGV`; set before `on_end` is called."""
        self.ended_by_itself = False
        """Whether it died of what it did, and not of a signal, a limit or lack of memory."""
        self._gone = False
        self._request: Request | None = None
        self._since: float | None = None
        """When the request was sent that is not answered yet."""
        self._progress: Progress | None = None
        self._loading_since: float | None = None
        """When the worker began to read the file that it is reading."""
        self._thread = threading.Thread(target=self._run, name="trtdbg-worker", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Returns whether the worker can still take a request."""
        with self._lock:
            if self._killed or self._gone:
                return False
            return self._process is None or not wait([self._process.sentinel], 0)

    def finished(self) -> bool:
        """Returns whether process and thread are gone."""
        return not self._thread.is_alive()

    def send(
        self,
        request: Request,
        *,
        since: float | None = None,
        lessons: Lessons | None = None,
    ) -> None:
        """Sends a request; if the worker is dead or dies of it, `on_end` says so.

        Args:
            request: what is asked.
            since: when it was first asked, by `time.monotonic`, for its limit; None is now.
            lessons: what the worker is told before it.
        """
        with self._lock:
            self._request = request
            self._lessons = lessons
            self._since = time.monotonic() if since is None else since
            for printed in self._printed:
                printed.last_line = None
            if self._connection is not None:
                self._transmit(self._connection)

    def kill(self) -> None:
        """Ends the worker and what it started at once, without waiting for its death."""
        with self._lock:
            self._killed = True
            if self._process is not None and not self._gone:
                _kill_group(self._process)

    def stop(self, grace_seconds: float) -> None:
        """Asks the worker to end, kills it after `grace_seconds`, waits until it is gone."""
        self.send(Shutdown())
        self.join(grace_seconds)
        self.kill()
        self.join()

    def join(self, timeout_seconds: float | None = None) -> None:
        """Waits until process and thread are gone; does nothing on the worker's own thread."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        try:
            error = self._live()
        except OSError as cause:
            error = WorkerError(
                f"the worker process cannot be started: {cause}",
                remedy="free memory, processes or file descriptors and try again",
            )
        except Exception as cause:
            # Whoever waits for an answer must get one, even if this thread is at fault.
            error = WorkerBugError(
                f"listening to the worker failed: {type(cause).__name__}: {cause}",
                traceback.format_exc(),
            )
        self.kill()
        if self._process is not None:
            self._process.join()
        with self._lock:
            self._gone = True
            if self._connection is not None:
                self._connection.close()
            for printed in self._printed:
                printed.close()
        self._on_end(self, error)

    def _live(self) -> TrtdbgError:
        """Spawns the process, listens until its death and returns what explains it."""
        with self._lock:
            if self._killed:
                return WorkerError("the worker process was ended before it began")
            process, connection = self._spawn()
        excess = self._listen(process, connection)
        if excess is not None:
            self.kill()
            return excess
        # A process that hung up is about to be gone; its exit status tells why.
        died = bool(wait([process.sentinel], _END_SECONDS))
        with self._lock:
            was_killed = self._killed
            _kill_group(process)
            self._gone = True
        process.join()
        self._pass_on_printed(end=True)
        status = process.exitcode if died else None
        self.how_it_ended = _cause_of_death(status)
        self.ended_by_itself = not was_killed and self._was_its_own_death(status)
        return self._explain_death(status)

    def _was_its_own_death(self, status: int | None) -> bool:
        if status is None or _NO_MEMORY.search(self._printed[-1].last_line or ""):
            return False
        return status >= 0 or status in _OWN_DEATHS

    def _spawn(self) -> tuple[SpawnProcess, Connection]:
        """Starts the process and sends it what was asked meanwhile; the lock is held."""
        context = multiprocessing.get_context("spawn")
        connection, *child_ends = context.Pipe()
        printed = []
        for source, level in (("stdout", LogLevel.INFO), ("stderr", LogLevel.WARNING)):
            reader, writer = context.Pipe(duplex=False)
            printed.append(_Printed(source, level, reader))
            child_ends.append(writer)
        process = context.Process(
            target=_serve, args=(*child_ends, self._handler), name=WORKER_NAME, daemon=True
        )
        _start(process)
        # A death is seen by the closing of the child's ends, so the parent must not hold them.
        for end in child_ends:
            end.close()
        self._process, self._connection, self._printed = process, connection, tuple(printed)
        self._transmit(connection)
        return process, connection

    def _transmit(self, connection: Connection) -> None:
        # That the worker is dead is found and told by the thread that listens.
        with contextlib.suppress(OSError):
            for message in filter(None, (self._lessons, self._request)):
                connection.send_bytes(msgspec.msgpack.encode(message))

    def _listen(self, process: SpawnProcess, connection: Connection) -> LimitError | None:
        """Passes on what the worker says until it hangs up, dies or takes too much."""
        decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
        while True:
            printed = [each.reader for each in self._printed if each.open]
            ready = wait([connection, *printed, process.sentinel], WATCH_SECONDS)
            self._pass_on_printed()
            excess = self._excess(process)
            if excess is not None:
                return excess
            if connection in ready:
                try:
                    message = decoder.decode(connection.recv_bytes())
                except (EOFError, OSError):
                    return None
                if isinstance(message, Done | Failed):
                    self._since = None
                if not isinstance(message, Log | Asking):
                    self._follow(message if isinstance(message, Progress) else None)
                self._on_message(self, message)
            elif process.sentinel in ready:
                return None

    def _follow(self, progress: Progress | None) -> None:
        """Remembers what the worker is doing, and since when it has been reading a file."""
        self._progress = progress
        if progress is None or progress.stage != LOAD_STAGE:
            self._loading_since = None
        elif self._loading_since is None:
            self._loading_since = time.monotonic()

    def _excess(self, process: SpawnProcess) -> LimitError | None:
        with self._lock:
            access, since = access_of(self._request), self._since
        if access is None or since is None or process.pid is None:
            return None
        now = time.monotonic()
        if self._loading_since is not None:
            slow = loading_too_long(access, now - self._loading_since, self._doing())
            if slow is not None:
                return slow
        return exceeded(access, process.pid, now - since, self._doing())

    def _pass_on_printed(self, *, end: bool = False) -> None:
        for printed in self._printed:
            for line in printed.read(end=end):
                log = Log(source=printed.source, level=printed.level, text=line)
                self._on_message(self, log)

    def _explain_death(self, status: int | None) -> WorkerError:
        if status == -signal.SIGKILL:
            return WorkerError(
                "the worker process was killed by SIGKILL (possibly out of memory) "
                f"while {self._doing()}",
                remedy="free memory or try a smaller model",
            )
        said = self._printed[-1].last_line
        last_words = f", saying {said!r}," if said else ""
        return WorkerError(
            f"the worker process {_cause_of_death(status)}{last_words} while {self._doing()}",
            remedy="the next request starts a fresh worker",
        )

    def _doing(self) -> str:
        """Returns what the worker was doing: the request, the stage and its detail."""
        doing = activity(self._request)
        if self._progress is None:
            return doing
        stage = " ".join(filter(None, (self._progress.stage, self._progress.detail)))
        if self._progress.done is None or self._progress.total is None:
            return f"{doing} ({stage})"
        return f"{doing} ({stage}, {self._progress.done} of {self._progress.total})"


class _Printed:
    """What the worker prints on one of its standard streams, cut into lines."""

    def __init__(self, source: str, level: LogLevel, reader: Connection) -> None:
        os.set_blocking(reader.fileno(), False)
        self.source = source
        self.level = level
        self.reader = reader
        self.open = True
        self.last_line: str | None = None
        """Last line before a fatal signal; reset with each request."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text = ""
        self._dying = False

    def read(self, *, end: bool) -> Iterator[str]:
        """Yields the lines that came since; at the `end` all the rest, finished or not."""
        while self.open and (data := self._read_bytes()):
            self._text += self._decoder.decode(data)
            *lines, self._text = _LINE_END.split(self._text)
            if len(self._text) > _LONGEST_LINE:
                lines.append(self._text)
                self._text = ""
            for line in filter(str.strip, lines):
                yield self._remember(line)
            if not end:
                return
        if end and self._text.strip():
            yield self._remember(self._text)
            self._text = ""

    def close(self) -> None:
        """Releases the pipe."""
        self.open = False
        self.reader.close()

    def _read_bytes(self) -> bytes:
        try:
            data = os.read(self.reader.fileno(), _READ_BYTES)
        except BlockingIOError:
            return b""
        self.open = bool(data)
        return data

    def _remember(self, line: str) -> str:
        self._dying = self._dying or line.startswith(_FATAL_SIGNAL)
        if not self._dying:
            self.last_line = line.strip()
        return line


def _serve(
    connection: Connection, stdout: Connection, stderr: Connection, handler: str
) -> None:
    """Runs in the child. By name, so that the parent never imports the server."""
    server = importlib.import_module("trtdbg.session.server")
    server.serve(connection, stdout, stderr, handler)


def _start(process: SpawnProcess) -> None:
    _start_resource_tracker()
    # The child inherits this thread's signal mask, so that Ctrl-C cannot end it before it has
    # left the terminal's process group.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with safe_path.spawning(), patched_preparation():
            process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _kill_group(process: SpawnProcess) -> None:
    """Kills a process that is not reaped yet, and whatever it started."""
    assert process.pid is not None
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # It does not lead a group of its own yet, or is dead already.
        process.kill()


def _start_resource_tracker() -> None:
    """Starts multiprocessing's helper process, which `Process.start` needs.

    CPython 3.11 to 3.14 hand it `sys.stderr.fileno()`. Textual's stand-in for `sys.stderr`
    (8.x) answers -1 there, and the spawn fails; the real stream is used instead.
    """
    try:
        usable = sys.stderr.fileno() >= 0
    except (AttributeError, OSError, ValueError):
        usable = True  # CPython catches these itself.
    stream = contextlib.nullcontext() if usable else contextlib.redirect_stderr(sys.__stderr__)
    with stream, safe_path.spawning():
        resource_tracker.ensure_running()


def _cause_of_death(status: int | None) -> str:
    if status is None:
        return "hung up"
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"died of {name}"


def activity(request: Request | None) -> str:
    """Returns what a worker does that was sent a request, like `building net.pt2`."""
    match request:
        case None:
            return "starting"
        case Describe():
            return "describing this machine"
        case Analyze(job=job):
            return f"analysing {PurePath(job.model).name}"
        case Build(job=job):
            return f"building {PurePath(job.model).name}"
        case Measure(job=job):
            return f"running {PurePath(job.model).name}"
        case Weigh(job=job):
            return f"weighing refusals in {PurePath(job.model).name}"
        case Reproduce(job=job):
            return f"writing down nodes of {PurePath(job.model).name}"
        case Attempt(job=job):
            return f"building a part of {PurePath(job.model).name}"
        case RankLow(job=job) | TryLow(job=job) | ExpressLow(job=job):
            return f"running {PurePath(job.model).name} in a low precision"
        case Shutdown():
            return "ending"
        case _:
            assert_never(request)
