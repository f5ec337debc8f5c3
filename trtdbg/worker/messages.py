"""What crosses between a client and its worker as msgpack: requests there, events back."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import BuildRecord, Environment, Report
from trtdbg.records.precision import LowRanking, LowTrial, UpstreamSettings

_LETTERS = {0xDC00 + byte: 0x10FF00 + byte for byte in range(0x80, 0x100)}
"""Private letters of Unicode for the bytes of file names that are not UTF-8."""

_BYTES = {letter: byte for byte, letter in _LETTERS.items()}


def portable_path(path: str) -> str:
    """Returns a path that can be sent, with letters for what in it is not UTF-8."""
    return path.translate(_LETTERS)


def native_path(path: str) -> str:
    """Returns the path that `portable_path` was given, as the operating system knows it."""
    return path.translate(_BYTES)


class Message(msgspec.Struct, frozen=True, tag=True):
    """Base of all messages; the tag is the class name."""


class Access(Message, frozen=True, kw_only=True):
    """Which program of a file is meant, how far it is trusted, what the worker may take."""

    program: str | None = None
    """Name of the program, where the file holds several; None is `model`, or the only one."""
    trust: bool = False
    """Let the file run code: objects in it may be pickled in any way."""
    imports: tuple[str, ...] = ()
    """Modules, or .py files, that register custom operators."""
    memory_limit: int | None = None
    """Bytes that the worker may hold; mapped files do not count."""
    time_limit: float | None = None
    """Seconds that one request may take."""
    load_limit: float | None = 300.0
    """Seconds that reading and vetting the file may take, lowering not included."""


class Job(Message, frozen=True, kw_only=True):
    """The program that a request is about."""

    model: str
    """Path of a .pt2 file, from `portable_path`."""
    settings: Settings
    target: str | None = None
    """Target compute capability such as sm86; None is this machine's GPU, else sm86."""

    probe_seconds: float = 60.0
    """How long TensorRT may be asked about single nodes, in seconds; 0 asks nothing."""

    access: Access = Access()


class Describe(Message, frozen=True, kw_only=True):
    """Asks for the `Environment` of the worker's machine."""


class Analyze(Message, frozen=True, kw_only=True):
    """Asks for the `Report` of a job under a policy."""

    job: Job
    policy: TruncationPolicy
    anew: bool = False
    """Do not take an answer that was kept."""
    headline: bool = True
    """Whether the report also says what `torch_tensorrt.compile` and `late` make of it."""


class Build(Message, frozen=True, kw_only=True):
    """Asks to build engines and for the `Report` with their build records."""

    job: Job
    policy: TruncationPolicy
    engines: tuple[int, ...] | None = None
    """Indices of the engines to build; None is all."""
    save: str | None = None
    """Folder that takes the engines and a manifest; None saves nothing."""
    cache: bool = True
    """Take engines that were built of the same before, and keep new ones."""
    runs: int = 0
    """Timed runs of the whole program and each engine on a GPU; 0 times nothing."""


DEFAULT_ATOL = 1e-5
DEFAULT_RTOL = 1e-4
"""float32 keeps seven digits; three of them are left to the sums of a whole model."""


class Measure(Message, frozen=True, kw_only=True):
    """Asks to run the original and the truncated program, for the `Report` with the errors."""

    job: Job
    policy: TruncationPolicy
    inputs: str | None = None
    """Path of a .pt or .npz file; None takes example inputs, or random ones."""
    seed: int | None = None
    """Asks for random inputs made with it; None prefers the model's example inputs."""
    atol: float = DEFAULT_ATOL
    """A float may differ by `atol + rtol * |original|`."""
    rtol: float = DEFAULT_RTOL
    accumulate_low: bool = False
    """Add up in the low type of the policy too, and not in float32."""


CURE_SECONDS = 120.0
"""How long cures are tried unless something else is asked for."""


class Weigh(Message, frozen=True, kw_only=True):
    """Asks what to do about refusals, for the `Report` with the answers."""

    job: Job
    policy: TruncationPolicy
    consequences: bool = True
    """What accepting each refused node alone would change."""
    suggestion: bool = False
    """The least truncation that accepts the most nodes."""
    cures: bool = False
    """What was tried against each cause in this model, and helped."""
    seconds: float = CURE_SECONDS
    """After which no further cure is tried."""
    anew: bool = False
    """Do not take an answer that was kept."""


class Reproduce(Message, frozen=True, kw_only=True):
    """Asks for what reproducers are made of, for the `Report` with the recipes."""

    job: Job
    policy: TruncationPolicy
    nodes: tuple[str, ...] = ()
    """Nodes to reproduce; all that fail if empty."""
    codes: tuple[str, ...] = ()
    """Findings to reproduce; all if empty."""


PROGRAM: Final = -1
"""Stands for an engine's index in an `Attempt` to lower the program, which builds nothing."""


class Attempt(Message, frozen=True, kw_only=True):
    """Asks to build an engine, or some pieces of it alone, for the `Attempted`.

    Of `PROGRAM` the exported program, or some pieces of it, is lowered in place of that.
    """

    job: Job
    policy: TruncationPolicy
    engine: int
    kept: tuple[int, ...] | None = None
    """Places of the operators to keep, in graph order; None is the engine as it is."""
    outputs: bool = False
    """Whether what the engine returns is returned as well, where it is kept."""
    build: bool = True
    """Whether TensorRT is asked; else only the operators are told."""
    save: str | None = None
    """Path of a .pt2 that takes what was built; None saves nothing."""


class RankLow(Message, frozen=True, kw_only=True):
    """Asks which operators could compute low, for the `LowRanking`."""

    job: Job
    policy: TruncationPolicy
    """Its precision, its lists, and what the user keeps; its rules do not count."""
    inputs: tuple[str, ...] = ()
    """Paths of .pt or .npz files; none takes example inputs, or random ones."""
    rtol: float
    atol: float | None = None
    """None is rtol times the largest magnitude of each output."""
    accumulate_low: bool = False
    """As in `Measure`."""


class TryLow(Message, frozen=True, kw_only=True):
    """Asks how the outputs come out with some operators kept, for the `LowTrial`."""

    job: Job
    policy: TruncationPolicy
    inputs: tuple[str, ...] = ()
    rtol: float
    atol: float | None = None
    accumulate_low: bool = False
    keep: tuple[str, ...] = ()
    """Names of candidates that stay in float32."""


class ExpressLow(Message, frozen=True, kw_only=True):
    """Asks for settings of torch_tensorrt that keep a set, for the `UpstreamSettings`."""

    job: Job
    policy: TruncationPolicy
    keep: tuple[str, ...] = ()


class Shutdown(Message, frozen=True, kw_only=True):
    """Asks the worker to end."""


class Lessons(Message, frozen=True, kw_only=True):
    """Tells a fresh worker which questions to TensorRT earlier ones ended on, by signature."""

    suspects: tuple[str, ...] = ()
    """To be asked one by one: a worker died of itself while it asked them."""
    crashed: tuple[str, ...] = ()
    """Not to be asked again: each time a worker died of itself."""
    left_out: tuple[str, ...] = ()
    """Not to be asked for this request."""
    why_left_out: str = ""


LowQuestion = RankLow | TryLow | ExpressLow

Ask = Describe | Analyze | Build | Measure | Weigh | Reproduce | Attempt | LowQuestion
"""What is answered, with a `Reply`."""

Request = Ask | Shutdown

Sent = Request | Lessons
"""What a worker is sent."""


class Attempted(Message, frozen=True, kw_only=True):
    """What TensorRT said of an engine, or a lowering pass of the program, or of a part."""

    operators: tuple[str, ...]
    """Of what was built, in graph order."""
    graph: tuple[str, ...]
    """The same as lines to read, inputs and constants first, with dtypes and shapes."""
    build: BuildRecord
    """Its `node` is the node of the lowered graph that TensorRT's sentence names; of a program
    `stage` is the pass that raised."""


LowAnswer = LowRanking | LowTrial | UpstreamSettings

Reply = Environment | Report | Attempted | LowAnswer


class Progress(Message, frozen=True, kw_only=True):
    """What the worker is doing."""

    stage: str
    """load, capture, infer, validate, partition, boundary, network, build, ..."""
    detail: str = ""
    done: int | None = None
    total: int | None = None


class LogLevel(StrEnum):
    """How a log line is shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Log(Message, frozen=True, kw_only=True):
    """A line that torch, TensorRT or anything else in the worker printed or logged."""

    source: str
    """tensorrt, torch_tensorrt, torch, stdout or stderr."""
    level: LogLevel
    text: str
    standing: bool = False
    """It is about what is installed here, and would be said for the same model again."""


class EngineBuilt(Message, frozen=True, kw_only=True):
    """One engine of a running build is done; what is cancelled later keeps it."""

    index: int
    build: BuildRecord


class Recalled(Message, frozen=True, kw_only=True):
    """The answer that comes now is one that was kept; no worker says this."""

    made: float
    """When it was made, in seconds since 1970."""


class Asking(Message, frozen=True, kw_only=True):
    """Which questions TensorRT is being asked now, by signature; none when it has answered."""

    questions: tuple[str, ...] = ()


News = Progress | Log | EngineBuilt | Recalled
"""What is told while a request is worked on."""


class Done(Message, frozen=True, kw_only=True):
    """The answer to a request."""

    payload: bytes
    """A `Reply` as msgpack."""


class Failed(Message, frozen=True, kw_only=True):
    """The request could not be answered."""

    kind: str
    """Name of the class in `trtdbg.errors`."""
    message: str
    remedy: str | None = None
    traceback: str = ""


Event = News | Asking | Done | Failed
"""What a worker sends."""
