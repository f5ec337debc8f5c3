"""What a command may ask of the program around it: a worker, a place for results, a UI."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol

from trtdbg.errors import TrtdbgError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.viewing import Viewing, WatchedFile
from trtdbg.worker.messages import Access, Ask, Reply

if TYPE_CHECKING:
    from rich.console import RenderableType


class Shell(Protocol):
    """Given to every command; `cli.py` implements it, since nothing else prints."""

    verbose: bool
    """Whether progress and log lines are wanted on stderr, one a line."""

    def submit(self, request: Ask) -> Future[Reply]:
        """Sends a request to this thread's worker, which starts with the first."""

    def working_on(self, subject: str) -> None:
        """Names the model that progress of this thread's worker from now on is about."""

    def counted(self, done: int, total: int) -> None:
        """Says how many models are done, of how many; from any thread."""

    def show(self, result: RenderableType, *, wrap: bool = True) -> None:
        """Puts a result on stdout, folded to its width unless `wrap` is off."""

    def write(self, result: str) -> None:
        """Puts a result on stdout as it is."""

    def note(self, text: str) -> None:
        """Puts a line on stderr that is worth knowing, like the path of a written file."""

    def status(self, text: str) -> None:
        """Says on the terminal's last line what goes on, until anything else is said."""

    def fail(self, error: TrtdbgError, subject: str) -> None:
        """Puts the error that ended the work on one model on stderr, while others go on."""

    def open_ui(
        self,
        model: str,
        *,
        policy: TruncationPolicy,
        settings: Settings,
        target: str | None,
        probe_seconds: float,
        access: Access,
        viewing: Viewing,
        watched: WatchedFile | None = None,
    ) -> int:
        """Runs the terminal UI until the user leaves it; returns its exit code."""

    def choose(self, title: str, options: Sequence[str]) -> int | None:
        """Lets the user choose one of some lines; returns its place, None for none of them.

        Raises:
            UsageError: there is no terminal to choose in.
        """

    def serve(
        self, model: str, arguments: Sequence[str], *, host: str, port: int, token: bool
    ) -> int:
        """Serves the UI, started with `arguments`, to a browser; returns its exit code."""
