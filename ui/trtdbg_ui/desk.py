"""Reports by policy, and the one request that runs in the worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Protocol

from msgspec.structs import replace

from trtdbg.policy import TruncationPolicy
from trtdbg.records import BuildStatus, Environment, Report
from trtdbg.session.messages import Analyze, Build, Describe, Job
from trtdbg_ui.loaded import Loaded

Ask = Analyze | Build
Answer = Future[Environment | Report]


class Worker(Protocol):
    """What the UI needs of `trtdbg.session.client.Client`."""

    def start(self) -> None:
        """Begins to spawn the worker process; returns at once."""

    def submit(self, request: Describe | Analyze | Build) -> Future[Environment | Report]:
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
        worker: Worker | None,
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
        self._job = job
        self._worker = worker
        self._settled = settled
        self._known = {report.policy: Loaded(report) for report in reports}
        self._waiting: TruncationPolicy | None = None
        self.running: Ask | None = None

    @property
    def read_only(self) -> bool:
        """Whether there is no worker to ask."""
        return self._worker is None

    @property
    def trusted(self) -> bool:
        """Whether the file may run code, or could when the saved report was made."""
        return self._job.access.trust or any(
            loaded.report.model.trusted for loaded in self._known.values()
        )

    def start(self) -> None:
        """Begins to spawn the worker, if there is one to ask."""
        if self._worker is not None:
            self._worker.start()

    def known(self) -> tuple[Loaded, ...]:
        """Returns all reports."""
        return tuple(self._known.values())

    def report(self, policy: TruncationPolicy) -> Loaded | None:
        """Returns the report under a policy if it is known."""
        return self._known.get(policy)

    def ask(self, policy: TruncationPolicy) -> None:
        """Sees to it that the report under `policy` comes, and that no other is waited for."""
        running = self.running
        self._waiting = None
        if policy in self._known or (running and _answers(running, policy)):
            return
        if running is None:
            self._submit(Analyze(job=self._job, policy=policy))
        else:
            self._waiting = policy

    def forget(self) -> None:
        """Drops all reports, so that the next `ask` computes anew."""
        self._known.clear()

    def build(self, policy: TruncationPolicy) -> None:
        """Starts to build all engines of a known report; the worker must be idle."""
        self._submit(Build(job=self._job, policy=policy))

    def cancel(self) -> None:
        """Ends what runs and forgets what waits."""
        self._waiting = None
        if self._worker is not None and self.running is not None:
            self._worker.cancel()

    def take(self, request: Ask, report: Report) -> Loaded:
        """Files the answer to a request."""
        loaded = Loaded(report)
        self._known[request.policy] = loaded
        return loaded

    def take_cancelled(self, request: Ask) -> None:
        """Notes on the engines of a cancelled build that they were not built to the end."""
        loaded = self._known.get(request.policy)
        if not isinstance(request, Build) or loaded is None:
            return
        engines = tuple(
            replace(engine, build=replace(engine.build, status=BuildStatus.CANCELLED))
            if engine.build.status in (BuildStatus.NOT_BUILT, BuildStatus.BUILDING)
            else engine
            for engine in loaded.report.engines
        )
        self._known[request.policy] = Loaded(replace(loaded.report, engines=engines))

    def free(self) -> None:
        """Says that the running request ended, and starts the one that waits."""
        self.running = None
        policy, self._waiting = self._waiting, None
        if policy is not None:
            self.ask(policy)

    def _submit(self, request: Ask) -> None:
        if self._worker is None:
            return
        self.running = request
        future = self._worker.submit(request)
        future.add_done_callback(lambda ended: self._settled(request, ended))


def _answers(request: Ask, policy: TruncationPolicy) -> bool:
    return isinstance(request, Analyze) and request.policy == policy
