"""The child's side of the process split: owns torch and TensorRT and answers requests.

Nothing heavy is imported before standard output and standard error belong to the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import logging
import multiprocessing
import os
import queue
import signal
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from multiprocessing.connection import Connection
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, NoReturn, Protocol, assert_never

import msgspec

from trtdbg import errors
from trtdbg.cache.contents import FileState, state_of
from trtdbg.errors import StageError, TrtdbgError, WorkerBugError, WorkerError
from trtdbg.plain import message_line
from trtdbg.policy import unpartitioned
from trtdbg.worker import safe_path
from trtdbg.worker.messages import (
    Analyze,
    Ask,
    Asking,
    Attempt,
    Build,
    Describe,
    Done,
    Event,
    ExpressLow,
    Failed,
    Job,
    Lessons,
    Log,
    LogLevel,
    LowQuestion,
    Measure,
    News,
    Progress,
    RankLow,
    Reply,
    Reproduce,
    Sent,
    Shutdown,
    TryLow,
    Weigh,
    native_path,
)

if TYPE_CHECKING:
    from trtdbg.session.session import Session

_FIRST_SECONDS: Final = 0.05
"""How long a worker waits for its first request before it imports torch for it. What it is
asked as it starts is there by then; what comes later finds it prepared."""

_KEPT_SESSIONS: Final = 3
"""Each holds a model's weights; enough to switch between two settings and back."""


@contextlib.contextmanager
def _frozen_for_gc() -> Iterator[None]:
    """Freezes the objects made inside: the garbage collector never looks at them again.

    Modules of torch are 400,000 objects that outlive every request. A collector that looks
    through them again and again takes a fifth of the imports, and a quarter of a second each
    time that it looks at everything.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


class RequestHandler(Protocol):
    """What answers requests; made with the function that sends progress and log lines."""

    def refusal(self, request: Ask) -> TrtdbgError | None:
        """Returns why a request cannot be answered, if that is known before `prepare`."""

    def prepare(self) -> None:
        """Does the slow imports; must not raise."""

    def learn(self, lessons: Lessons) -> None:
        """Takes what earlier workers ended on, before the request that they ended on."""

    def handle(self, request: Ask) -> Reply:
        """Returns the record that answers `request`."""


_Opened = tuple[Job, FileState | None]
"""What a session was opened for: the job, and its model's file as it was then."""


class Handler:
    """Answers requests with one cached `Session` per job."""

    def __init__(self, emit: Callable[[News | Asking], None]) -> None:
        """Remembers where progress and log lines go; imports nothing."""
        self._emit = emit
        self._sessions: OrderedDict[_Opened, Session] = OrderedDict()
        self._missing: Exception | None = None
        self._lessons: Lessons | None = None

    def learn(self, lessons: Lessons) -> None:
        """Takes what earlier workers ended on, for sessions opened from now on."""
        self._lessons = lessons

    def refusal(self, request: Ask) -> TrtdbgError | None:
        """Returns what is wrong with a model's file, as far as it shows without torch."""
        if isinstance(request, Describe):
            return None
        from trtdbg.archive.glance import glance

        path, access = native_path(request.job.model), request.job.access
        if path != request.job.model:
            return None  # It is opened under another name.
        try:
            glance(path, trust=access.trust, program=access.program)
        except TrtdbgError as error:
            return error
        except Exception:
            # Whoever reads it says what is wrong.
            return None
        return None

    def prepare(self) -> None:
        """Imports torch and torch_tensorrt; a failure comes with the first that needs them."""
        from trtdbg.compat import host, put_off
        from trtdbg.compat.private import missing_name

        self._emit(Progress(stage="prepare", detail="importing torch and torch_tensorrt"))
        try:
            with _frozen_for_gc():
                put_off.install()
                host.prepare()
                put_off.register()
                importlib.import_module("trtdbg.session.session")
        except Exception as error:
            self._missing = missing_name(error)
        else:
            host.attach_log(self._emit_log)

    def handle(self, request: Ask) -> Reply:
        """Returns the environment of this machine, or the report that was asked for."""
        from trtdbg.compat import host

        try:
            match request:
                case Describe():
                    return host.describe()
                case Analyze(job=job, policy=policy, headline=headline):
                    return self._session(job).analyze(policy, headline=headline)
                case Build(job=job, policy=policy, engines=engines, save=save):
                    return self._session(job).build(
                        policy, engines, save, cache=request.cache, runs=request.runs
                    )
                case Measure(job=job, policy=policy, inputs=inputs, seed=seed):
                    session, tolerance = self._session(job), (request.atol, request.rtol)
                    low = request.accumulate_low
                    return session.numerics(
                        policy, inputs, seed, *tolerance, accumulate_low=low
                    )
                case Weigh(job=job, policy=policy, consequences=each, suggestion=best):
                    session = self._session(job)
                    if request.cures:
                        session.cures(policy, request.seconds)
                    return session.weigh(policy, consequences=each, suggestion=best)
                case Reproduce(job=job, policy=policy, nodes=nodes, codes=codes):
                    return self._session(job).reproduce(policy, nodes, codes)
                case Attempt(job=job):
                    return self._session(job).attempt(request)
                case RankLow(job=job):
                    return self._session(job).rank_low(request)
                case TryLow(job=job):
                    return self._session(job).try_low(request)
                case ExpressLow(job=job):
                    return self._session(job).express_low(request)
                case _:
                    assert_never(request)
        except MemoryError:
            self._sessions.clear()
            raise

    def _emit_log(self, source: str, level: int, text: str) -> None:
        self._emit(Log(source=source, level=_log_level(level), text=text))

    def _session(self, job: Job) -> Session:
        """Returns the session of a job; a model file that changed on disk is opened anew."""
        if self._missing is not None:
            raise self._missing
        from trtdbg.session.session import Session

        key = (job, state_of(native_path(job.model)))
        if key in self._sessions:
            self._sessions.move_to_end(key)
            return self._sessions[key]
        # Room is made first: two large models need not fit side by side with a third.
        for stale in [each for each in self._sessions if each[0] == job]:
            del self._sessions[stale]
        kin = next((s for k, s in self._sessions.items() if _share_lowering(k, key)), None)
        while len(self._sessions) >= _KEPT_SESSIONS:
            self._sessions.popitem(last=False)
        if kin is None:
            self._sessions[key] = Session(job, self._emit, lessons=self._lessons)
        else:
            self._sessions[key] = kin.sibling(job)
        return self._sessions[key]


def _share_lowering(one: _Opened, other: _Opened) -> bool:
    """Returns whether two jobs differ only in partitioner settings."""
    return one[1] == other[1] and _unpartitioned(one[0]) == _unpartitioned(other[0])


def _unpartitioned(job: Job) -> Job:
    return msgspec.structs.replace(job, settings=unpartitioned(job.settings))


def serve(
    connection: Connection, stdout: Connection, stderr: Connection, handler: str
) -> None:
    """Answers requests until told to shut down or until the parent is gone; never returns.

    Args:
        connection: Requests come in here, events go out.
        stdout: Takes the place of file descriptor 1.
        stderr: Takes the place of file descriptor 2.
        handler: Dotted name `module:Class` of a `RequestHandler`.
    """
    _leave_terminal()
    safe_path.forget()
    _redirect(stdout, stderr)
    _share_no_semaphores()
    channel = _Channel(connection)
    requests: queue.SimpleQueue[Ask | Lessons] = queue.SimpleQueue()
    threading.Thread(
        target=_receive, args=(connection, requests), name="trtdbg-requests", daemon=True
    ).start()
    answering = _load(handler)(channel.send)
    prepared = False
    while True:
        try:
            sent = requests.get(timeout=None if prepared else _FIRST_SECONDS)
        except queue.Empty:
            answering.prepare()
            prepared = True
            continue
        if isinstance(sent, Lessons):
            answering.learn(sent)
            continue
        refusal = answering.refusal(sent) if not prepared else None
        if refusal is not None:
            channel.send(_failed(refusal))
            continue
        if not prepared:
            answering.prepare()
            prepared = True
        channel.send(_answer(answering, sent))


class _Channel:
    """Sends events; threads of TensorRT's logger send too."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._encoder = msgspec.msgpack.Encoder()

    def send(self, event: Event) -> None:
        data = self._encoder.encode(event)
        with self._lock:
            try:
                self._connection.send_bytes(data)
            except OSError:
                _follow_parent()


def _receive(connection: Connection, requests: queue.SimpleQueue[Ask | Lessons]) -> None:
    """Reads requests while another is answered, so that the parent's end is always noticed."""
    decoder: msgspec.msgpack.Decoder[Sent] = msgspec.msgpack.Decoder(Sent)
    while True:
        try:
            request = decoder.decode(connection.recv_bytes())
        except (EOFError, OSError):
            _follow_parent()
        if isinstance(request, Shutdown):
            # Without the interpreter's teardown, in which CUDA and TensorRT may hang or crash.
            os._exit(0)
        requests.put(request)


def _follow_parent() -> NoReturn:
    """Ends this process and whatever it started; nobody is left to talk to."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


def _leave_terminal() -> None:
    """Lets only the parent decide what Ctrl-C means, and lets it kill this group."""
    os.setsid()
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _die_with_parent() -> None:
    """Has Linux kill this process with its parent, even amid a long call into TensorRT."""
    if sys.platform.startswith("linux"):
        set_death_signal = 1  # PR_SET_PDEATHSIG of linux/prctl.h
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def _share_no_semaphores() -> None:
    """Makes a library's locks (tqdm's, say) anonymous, so that a killed worker leaks none.

    Under `spawn` they are named and the parent's resource tracker complains about each that is
    left, on the terminal. No process can be made of them: this one is daemonic.
    """
    multiprocessing.set_start_method("fork", force=True)


def _redirect(stdout: Connection, stderr: Connection) -> None:
    """Gives the standard file descriptors to the parent, for C++ as well as for Python."""
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(stdout.fileno(), 1)
    os.dup2(stderr.fileno(), 2)
    stdout.close()
    stderr.close()
    sys.stdout = _line_buffered(1)
    sys.stderr = _line_buffered(2)
    _buffer_c_stdout_by_line()
    faulthandler.enable()


def _line_buffered(descriptor: int) -> TextIOWrapper:
    return open(descriptor, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _buffer_c_stdout_by_line() -> None:
    """Keeps the last words of C and C++ from dying in a buffer (glibc and musl, by name)."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    line_buffered = 1
    libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, line_buffered, 0)


def _load(handler: str) -> Callable[[Callable[[News | Asking], None]], RequestHandler]:
    module, _, name = handler.partition(":")
    made: Callable[[Callable[[News | Asking], None]], RequestHandler] = getattr(
        importlib.import_module(module), name
    )
    return made


def _answer(handler: RequestHandler, request: Ask) -> Done | Failed:
    """Answers a request; no exception, not even SystemExit, ends the worker."""
    try:
        return Done(payload=msgspec.msgpack.encode(handler.handle(request)))
    except WorkerBugError as error:
        return Failed(
            kind=WorkerBugError.__name__, message=error.message, traceback=error.traceback
        )
    except TrtdbgError as error:
        return _failed(error)
    except BaseException as error:
        return _explain(error, request)


def _failed(error: TrtdbgError) -> Failed:
    return Failed(kind=_known_kind(error), message=error.message, remedy=error.remedy)


def _explain(error: BaseException, request: Ask) -> Failed:
    subject = "the request" if isinstance(request, Describe) else _model_name(request)
    if _is_out_of_memory(error):
        return Failed(
            kind=WorkerError.__name__,
            message=f"out of memory on {subject}{_place(error)}: {message_line(error)}",
            remedy="free memory or try a smaller model",
        )
    if isinstance(error, RecursionError):
        return Failed(
            kind=StageError.__name__,
            message=f"Python's recursion limit was reached on {subject}{_place(error)}",
            remedy="the graph is nested or chained too deeply: try a part of the model",
        )
    return Failed(
        kind=WorkerBugError.__name__,
        message=f"{type(error).__name__} on {subject}{_place(error)}: {message_line(error)}",
        traceback="".join(traceback.format_exception(error)),
    )


def _known_kind(error: TrtdbgError) -> str:
    """Returns the nearest class that trtdbg.errors has, which is what the client knows."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in vars(errors))


def _is_out_of_memory(error: BaseException) -> bool:
    """Tells Python's, CUDA's and (torch 2.13, a plain RuntimeError) torch's CPU allocator."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))
    )


def _place(error: BaseException) -> str:
    """Returns where it was raised, like ` in infer.py:41`."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f" in {PurePath(frames[0].filename).name}:{frames[0].lineno}" if frames else ""


def _log_level(level: int) -> LogLevel:
    """Returns the nearest level below or at `level`, one of the logging module's."""
    if level >= logging.ERROR:
        return LogLevel.ERROR
    if level >= logging.WARNING:
        return LogLevel.WARNING
    return LogLevel.INFO if level >= logging.INFO else LogLevel.DEBUG


def _model_name(
    request: Analyze | Attempt | Build | LowQuestion | Measure | Reproduce | Weigh,
) -> str:
    return PurePath(request.job.model).name
