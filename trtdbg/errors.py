"""Errors that a user can meet, each with the exit code that it ends the program with.

An error here means that the input, the command line or the machine is at fault. A broken
invariant of trtdbg itself is not in this tree: it surfaces as an ordinary exception and exit
code 70.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of every command; an interface that scripts rely on."""

    CLEAN = 0
    FINDINGS = 1
    USAGE = 2
    """Wrong usage, or an input that cannot be read."""
    UNAVAILABLE = 3
    """Something this machine lacks: a GPU, torch_tensorrt, Graphviz."""
    FAILED = 4
    """Lowering, partitioning or a build failed."""
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143
    """Ended by SIGTERM, as a scheduler or `timeout` does."""


class TrtdbgError(Exception):
    """Base of all errors that are shown to the user as one line."""

    exit_code: ExitCode = ExitCode.BUG

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        """Stores `message` (what, where, the fact) and an optional `remedy` (what to do)."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Returns message and remedy as one line."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class UsageError(TrtdbgError):
    """A flag, a policy or a settings file that makes no sense."""

    exit_code = ExitCode.USAGE


class ModelError(TrtdbgError):
    """A model file or a saved report that cannot be read."""

    exit_code = ExitCode.USAGE


class OutputError(TrtdbgError):
    """An output file that cannot be written, or that exists and must be kept."""

    exit_code = ExitCode.USAGE


class UnavailableError(TrtdbgError):
    """This machine lacks what the command needs."""

    exit_code = ExitCode.UNAVAILABLE


class StageError(TrtdbgError):
    """Lowering, partitioning or building failed in a way that ends the analysis of a model."""

    exit_code = ExitCode.FAILED


class WorkerError(TrtdbgError):
    """The worker process died, by a signal or by running out of memory."""

    exit_code = ExitCode.FAILED


class LimitError(WorkerError):
    """The worker took more memory or time than the user allowed."""


class CancelledError(TrtdbgError):
    """The user cancelled what the worker was doing."""

    exit_code = ExitCode.INTERRUPTED


class TerminatedError(CancelledError):
    """SIGTERM ended what was going on."""

    exit_code = ExitCode.TERMINATED


class WorkerBugError(TrtdbgError):
    """An unexpected exception inside the worker, with its traceback for the bug report."""

    exit_code = ExitCode.BUG

    def __init__(self, message: str, traceback: str = "") -> None:
        """Stores the one-line message and the worker's traceback."""
        super().__init__(message, remedy="this is a bug of trtdbg: please report it")
        self.traceback = traceback
