"""A shell that remembers what it was given, and a worker that answers from a table."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import Future

from rich.console import Console

from trtdbg.errors import TrtdbgError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Environment, Report
from trtdbg.viewing import Viewing, WatchedFile
from trtdbg.worker.messages import Access, Ask, Describe

Answer = Report | Environment | TrtdbgError


class FakeShell:
    """Implements `trtdbg.commands.shell.Shell` over answers by model path."""

    def __init__(self, answers: dict[str, Answer] | None = None) -> None:
        self.answers = answers or {}
        self.requests: list[Ask] = []
        self.notes: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self.opened: list[tuple[str, TruncationPolicy, Settings, str | None]] = []
        self.viewings: list[Viewing] = []
        self.served: list[tuple[str, list[str], str, int, bool]] = []
        self.verbose = False
        self.watched: WatchedFile | None = None
        self.offered: list[str] = []
        self.chooses: int | None = None
        self._stdout = io.StringIO()
        self._console = Console(file=self._stdout, width=100, markup=False, highlight=False)

    @property
    def stdout(self) -> str:
        return self._stdout.getvalue()

    def submit(self, request: Ask) -> Future[Environment | Report]:
        self.requests.append(request)
        key = "" if isinstance(request, Describe) else request.job.model
        answer = self.answers[key]
        future: Future[Environment | Report] = Future()
        if isinstance(answer, TrtdbgError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return future

    def working_on(self, subject: str) -> None:
        pass

    def counted(self, done: int, total: int) -> None:
        pass

    def show(self, result: object, *, wrap: bool = True) -> None:
        self._console.print(result, soft_wrap=not wrap)

    def write(self, result: str) -> None:
        self._stdout.write(result)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def status(self, text: str) -> None:
        pass

    def fail(self, error: TrtdbgError, subject: str) -> None:
        self.failures.append((subject, str(error)))

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
        self.watched = watched
        self.viewings.append(viewing)
        self.opened.append((model, policy, settings, target))
        return 0

    def choose(self, title: str, options: Sequence[str]) -> int | None:
        self.offered = [title, *options]
        return self.chooses

    def serve(
        self, model: str, arguments: Sequence[str], *, host: str, port: int, token: bool
    ) -> int:
        self.served.append((model, list(arguments), host, port, token))
        return 130
