"""Handlers that misbehave on request, for the child process of the client's tests.

The model's path says what to do, like `signal:SIGSEGV`; Describe answers with the child's pid.
"""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time

from trtdbg.errors import ModelError, StageError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Environment, ModelInfo, Report
from trtdbg.worker.messages import Asking, Describe, Log, LogLevel, Progress


class PrivateStageError(StageError):
    """A subclass that the client's process does not know."""


class Scripted:
    lessons = None

    def __init__(self, emit):
        self.emit = emit

    def refusal(self, request):
        return None

    def prepare(self):
        self.emit(Progress(stage="prepare", detail="nothing"))

    def learn(self, lessons):
        self.lessons = lessons
        self.emit(Log(source="lessons", level=LogLevel.INFO, text=repr(lessons)))

    def handle(self, request):
        if isinstance(request, Describe):
            return environment()
        action, _, argument = request.job.model.partition(":")
        getattr(self, f"do_{action}")(argument)
        return report(request.job.model)

    def do_answer(self, argument):
        pass

    def do_signal(self, name):
        self.emit(Progress(stage="build", detail="engine_2", done=3, total=13))
        os.write(2, b"warning: about to go\n")
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(60)

    def do_segfault(self, argument):
        ctypes.string_at(0)

    def do_exit(self, status):
        os._exit(int(status))

    def do_sysexit(self, status):
        sys.exit(int(status))

    def do_sleep(self, seconds):
        self.emit(Progress(stage="build", detail="asleep"))
        time.sleep(float(seconds))

    def do_probe(self, seconds):
        self.emit(Progress(stage="probe"))
        time.sleep(float(seconds))

    def do_asking(self, name):
        """Ends while two questions are asked, unless an earlier worker did."""
        self.emit(Asking(questions=("a", "b")))
        if not self.lessons:
            if name == "bad_alloc":
                os.write(
                    2, b"terminate called after throwing an instance of 'std::bad_alloc'\n"
                )
                os.abort()
            if name == "exit":
                os._exit(3)
            os.kill(os.getpid(), getattr(signal, name))
            time.sleep(60)

    def do_hold(self, megabytes):
        self.held = b"x" * (int(megabytes) << 20)
        time.sleep(60)

    def do_spawn(self, argument):
        child = subprocess.Popen(["sleep", "60"])
        self.emit(Progress(stage="spawned", detail=str(child.pid)))
        time.sleep(60)

    def do_lock(self, argument):
        self.lock = multiprocessing.RLock()
        self.emit(Progress(stage="locked"))
        time.sleep(60)

    def do_print(self, argument):
        sys.stdout.write("python says é\n")
        os.write(1, b"C says hello\nhalf ")
        os.write(1, b"a line\n\xff\xfe\n")
        os.write(2, b"C complains\rand again\r\n")
        self.emit(Log(source="tensorrt", level=LogLevel.ERROR, text="TensorRT says"))

    def do_libc(self, argument):
        ctypes.CDLL(None).puts(b"last words of C")
        os.kill(os.getpid(), signal.SIGKILL)

    def do_flood(self, lines):
        for number in range(int(lines)):
            sys.stdout.write(f"line {number} {'x' * 100}\n")

    def do_read(self, argument):
        if sys.stdin.read() or os.read(0, 1):
            raise AssertionError("the terminal's input reached the worker")

    def do_model_error(self, argument):
        raise ModelError(f"{argument} is no model", remedy="export one")

    def do_unknown_error(self, argument):
        raise PrivateStageError("a stage failed")

    def do_bug(self, argument):
        raise KeyError("no such thing")

    def do_memory(self, argument):
        raise MemoryError

    def do_recursion(self, argument):
        self.do_recursion(argument)


class SlowToPrepare(Scripted):
    def prepare(self):
        self.emit(Progress(stage="prepare", detail="importing"))
        time.sleep(60)


class DiesWhilePreparing(Scripted):
    def prepare(self):
        self.emit(Progress(stage="prepare", detail="importing"))
        os.write(2, b"version mismatch of a library\n")
        os.abort()


class AnswersNonsense(Scripted):
    def handle(self, request):
        return Progress(stage="this is no report")


def environment():
    return Environment(trtdbg="0", python=str(os.getpid()), platform="test")


def report(path):
    return Report(
        model=ModelInfo(path=path, sha256="", nodes=0),
        environment=environment(),
        policy=TruncationPolicy(),
        settings=Settings(),
    )
