"""Reports by policy, and the one request that runs in the worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Protocol

from msgspec.structs import replace

from trtdbg.errors import UsageError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import BuildRecord, BuildStatus, Report
from trtdbg.worker.messages import (
    Analyze,
    Build,
    Describe,
    Job,
    LowQuestion,
    Reply,
)
from trtdbg_ui.model.loaded import Loaded, read_only_kind
from trtdbg_ui.model.questions import Ask, Choice, choice_of
from trtdbg_ui.requests.kept import kept

Answer = Future[Reply]


class AskedWorker(Protocol):
    """What the UI needs of `trtdbg.worker.client.Client`."""

    def start(self) -> None:
        """Begins to spawn the worker process; returns at once."""

    def submit(self, request: Describe | Ask | LowQuestion) -> Future[Reply]:
        """Queues a request."""

    def cancel(self) -> None:
        """Ends the worker; what runs and waits fails."""

    def close(self) -> None:
        """Ends the worker for good."""


class Desk:
    """Keeps every report, so that switching back is instant, and asks one thing at a time.

    Keys come faster than analyses end: while one runs only the latest policy waits, so that
    the worker never computes what nobody looks at any more.
    """

    def __init__(
        self,
        job: Job,
        worker: AskedWorker | None,
        settled: Callable[[Ask, Answer], object],
        reports: Iterable[Report] = (),
    ) -> None:
        """Prepares a desk.

        Args:
            job: What requests are about.
            worker: None for a saved report, about which nothing can be asked.
            settled: Is called with each request and its ended future, from any thread.
            reports: What is known from the start.
        """
        self.job = job
        self._worker = worker
        self._settled = settled
        self._known = {(r.settings, r.policy): Loaded(r) for r in reports}
        self._waiting: Choice | None = None
        self._queue: deque[Ask] = deque()
        self._anew: set[Choice] = set()
        self.running: Ask | None = None
        self._aside: Ask | None = None
        self.errors: dict[Choice, str] = {}
        """Why a report is not known although it was asked for."""

    @property
    def read_only(self) -> bool:
        """Whether there is no worker to ask."""
        return self._worker is None

    @property
    def kind(self) -> str:
        """What the file is, where there is no worker to ask."""
        return read_only_kind(self.job.model)

    @property
    def trusted(self) -> bool:
        """Whether the file may run code, or could when the saved report was made."""
        return self.job.access.trust or any(
            loaded.report.model.trusted for loaded in self._known.values()
        )

    def start(self) -> None:
        """Begins to spawn the worker, if there is one to ask."""
        if self._worker is not None:
            self._worker.start()

    @property
    def waiting(self) -> tuple[Ask, ...]:
        """The requests that are answered when nobody waits for another."""
        return tuple(self._queue)

    @property
    def asked_for(self) -> Ask | None:
        """What somebody waits for: what runs, or what comes after a request made aside."""
        if self.running is None or self.running is not self._aside:
            return self.running
        if self._waiting is not None:
            settings, policy = self._waiting
            return Analyze(job=replace(self.job, settings=settings), policy=policy)
        return next(iter(self._queue), None)

    def use(self, settings: Settings) -> None:
        """Lets all questions be about other compilation settings."""
        self.job = replace(self.job, settings=settings)

    def known(self) -> tuple[Loaded, ...]:
        """Returns all reports under the settings in use."""
        return tuple(
            loaded
            for (settings, _), loaded in self._known.items()
            if settings == self.job.settings
        )

    def report(self, policy: TruncationPolicy) -> Loaded | None:
        """Returns the report under a policy and the settings in use, if it is known."""
        return self._known.get((self.job.settings, policy))

    def ask(self, policy: TruncationPolicy) -> None:
        """Sees to it that the report under `policy` comes, and that no other is waited for."""
        choice = (self.job.settings, policy)
        self._waiting = None
        if self.running and _analyses(self.running, choice):
            # It may have been begun aside; now somebody waits for it.
            self._aside = None
            return
        if choice in self._known:
            return
        if self.running is None:
            anew = choice in self._anew
            self.submit(Analyze(job=self.job, policy=policy, anew=anew))
        else:
            self._waiting = choice

    def line_up(self, requests: Iterable[Ask]) -> None:
        """Asks these one after the other, whenever nobody waits for something else."""
        self._queue.extend(requests)
        self._go_on()

    def ask_aside(self, policy: TruncationPolicy) -> None:
        """Asks for a report that nobody waits for, unless something runs.

        Whatever is asked for meanwhile comes next.
        """
        if self.running is None and (self.job.settings, policy) not in self._known:
            self.submit(Analyze(job=self.job, policy=policy))
            self._aside = self.running

    def ask_next(self, request: Ask) -> None:
        """Asks for something at once, or after what runs aside."""
        if self.running is None:
            self.submit(request)
        else:
            self._queue.appendleft(request)

    def drop_line(self) -> None:
        """Forgets what is lined up and not begun."""
        self._queue.clear()

    def forget(self) -> None:
        """Drops all reports, so that the next `ask` computes them anew."""
        self._anew.update(self._known)
        self._known.clear()
        self.errors.clear()

    def drop_file(self) -> None:
        """Drops all that is known and asked about a file that is another one now.

        What runs goes on: its answer is about the file as it was.
        """
        self._known.clear()
        self.errors.clear()
        self._anew.clear()
        self._queue.clear()
        self._waiting = None

    def submit(self, request: Ask) -> None:
        """Asks the worker, which must be idle."""
        if self._worker is None:
            return
        self.running = request
        future = self._worker.submit(request)
        future.add_done_callback(lambda ended: self._settled(request, ended))

    def aside(self, request: LowQuestion) -> Answer:
        """Asks the worker something beside the reports; from any thread.

        Raises:
            UsageError: there is no worker.
        """
        if self._worker is None:
            raise UsageError("a saved report holds no program")
        return self._worker.submit(request)

    def cancel(self) -> None:
        """Ends what runs and forgets what waits."""
        self._waiting = None
        self._queue.clear()
        if self._worker is not None and self.running is not None:
            self._worker.cancel()

    def take(self, request: Ask, report: Report) -> Loaded:
        """Files the answer to a request, with what another worker found out before."""
        choice = choice_of(request)
        old = self._known.get(choice)
        loaded = Loaded(report if old is None else kept(old.report, report))
        self._known[choice] = loaded
        self._anew.discard(choice)
        self.errors.pop(choice, None)
        return loaded

    def take_error(self, request: Ask, message: str) -> None:
        """Files why a request was not answered."""
        self.errors[choice_of(request)] = message

    def take_unfinished(
        self, request: Ask, finished: Mapping[int, BuildRecord], *, cancelled: bool
    ) -> None:
        """Keeps the engines that a build finished before it ended.

        Args:
            request: The build; nothing is known of what else ends early.
            finished: What became of the engines that were done, by index.
            cancelled: Say of the other engines that the user cancelled them.
        """
        loaded = self._known.get(choice_of(request))
        if not isinstance(request, Build) or loaded is None:
            return
        wanted = request.engines
        engines = []
        for engine in loaded.report.engines:
            build = finished.get(engine.index, engine.build)
            unbuilt = build.status in (BuildStatus.NOT_BUILT, BuildStatus.BUILDING)
            if cancelled and unbuilt and (wanted is None or engine.index in wanted):
                build = replace(build, status=BuildStatus.CANCELLED)
            engines.append(replace(engine, build=build))
        report = replace(loaded.report, engines=tuple(engines))
        self._known[choice_of(request)] = Loaded(report)

    def free(self) -> None:
        """Says that the running request ended, and starts the one that waits."""
        self.running = self._aside = None
        choice, self._waiting = self._waiting, None
        if choice is not None:
            settings, policy = choice
            job, anew = replace(self.job, settings=settings), choice in self._anew
            self.submit(Analyze(job=job, policy=policy, anew=anew))
        self._go_on()

    def _go_on(self) -> None:
        while self._queue and self.running is None and self._worker is not None:
            request = self._queue.popleft()
            if not isinstance(request, Analyze) or choice_of(request) not in self._known:
                self.submit(request)


def _analyses(request: Ask, choice: Choice) -> bool:
    return isinstance(request, Analyze) and choice_of(request) == choice
