"""An error as the screen shows it: what happened and what to do, never a traceback."""

from __future__ import annotations

from dataclasses import dataclass

from trtdbg.errors import ExitCode, TrtdbgError, WorkerBugError
from trtdbg.plain import one_line


@dataclass(frozen=True)
class Failure:
    """Why the last request was not answered."""

    message: str
    remedy: str | None
    exit_code: ExitCode
    traceback: str = ""
    """For the log pane, where a bug report can be copied from."""
    error: TrtdbgError | None = None
    """The error itself, for whoever started the UI; None if it is none of trtdbg's."""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Returns what to show for an exception that a request ended with."""
        if isinstance(error, TrtdbgError):
            trace = error.traceback if isinstance(error, WorkerBugError) else ""
            return cls(one_line(error.message), error.remedy, error.exit_code, trace, error)
        return cls(
            one_line(f"{type(error).__name__}: {error}"),
            "this is a bug of trtdbg: please report it",
            ExitCode.BUG,
        )
