"""A worker that answers when the test says so, and apps that run with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from textual.pilot import Pilot
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.model.state import Pane, State
from trtdbg_ui.widgets.board import Board
from trtdbg_ui.widgets.lines import LineView
from trtdbg_ui.widgets.text_view import TextView

from tests.ui.canned import MODEL, report
from trtdbg.errors import CancelledError
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import BuildRecord, Environment, Report
from trtdbg.worker.messages import (
    Ask,
    EngineBuilt,
    Log,
    LogLevel,
    News,
    Progress,
)

Answer = Future[Environment | Report]


class FakeWorker:
    """Stands where the client stands; keeps requests until they are answered."""

    def __init__(self, on_event: Callable[[News], None]) -> None:
        self.on_event = on_event
        self.started = 0
        self.cancelled = 0
        self.closed = 0
        self.requests: list[Ask] = []
        self.waiting: list[Answer] = []

    def start(self) -> None:
        self.started += 1

    def submit(self, request: Ask) -> Answer:
        self.requests.append(request)
        future: Answer = Future()
        future.set_running_or_notify_cancel()
        self.waiting.append(future)
        return future

    def cancel(self) -> None:
        self.cancelled += 1
        abandoned, self.waiting = self.waiting, []
        for future in abandoned:
            future.set_exception(CancelledError("cancelled"))

    def close(self) -> None:
        self.closed += 1

    def answer(self, answer: Report) -> None:
        self.waiting.pop(0).set_result(answer)

    def fail(self, error: Exception) -> None:
        self.waiting.pop(0).set_exception(error)

    def progress(self, stage: str, detail: str = "", done: int | None = None,
                 total: int | None = None) -> None:  # fmt: skip
        self.on_event(Progress(stage=stage, detail=detail, done=done, total=total))

    def built(self, index: int, build: BuildRecord) -> None:
        self.on_event(EngineBuilt(index=index, build=build))

    def log(self, text: str, level: LogLevel = LogLevel.INFO) -> None:
        self.on_event(Log(source="tensorrt", level=level, text=text))


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """An app with its fake worker and clock."""

    def __init__(self, timing: Timing = Timing.LATE, reports: Iterable[Report] = ()) -> None:
        self.clock = Clock()
        self.workers: list[FakeWorker] = []
        self.app = TrtdbgApp(
            MODEL,
            settings=Settings(),
            policy=TruncationPolicy(timing=timing),
            make_worker=self._make,
            reports=reports,
            clock=self.clock,
        )
        # Most tests are about the graph; those of the first screen go to it.
        graph = State(self.app.state.policy, Settings(), pane=Pane.NODES, main=Pane.NODES)
        self.app.begin_with(graph, self.app.theme, ())

    def _make(self, on_event: Callable[[News], None]) -> FakeWorker:
        self.workers.append(FakeWorker(on_event))
        return self.workers[0]

    @property
    def worker(self) -> FakeWorker:
        return self.workers[0]


def loaded_stage(*timings: Timing) -> Stage:
    """Returns a stage whose reports are known: of the given timings, the first is shown."""
    return Stage(timings[0], [report(timing) for timing in timings])


def saved_app(timing: Timing = Timing.UPSTREAM) -> TrtdbgApp:
    """Returns the app on a saved report."""
    saved = report(timing)
    return TrtdbgApp(
        "report.json", settings=saved.settings, policy=saved.policy, reports=[saved]
    )


async def settle(pilot: Pilot[int]) -> None:
    """Waits until a change is laid out: a pane that appears is resized after a refresh."""
    for _ in range(3):
        await pilot.pause()


async def press(pilot: Pilot[int], *keys: str) -> None:
    """Presses keys, each once the one before it is shown."""
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


def notes(app: TrtdbgApp) -> list[str]:
    """Returns the toasts that are shown."""
    return [note.message for note in app._notifications]


def settings_bar(app: TrtdbgApp) -> str:
    """Returns the line of policy and settings."""
    return text_of(app.query_one("#settings", TextView))


def text_of(view: LineView) -> str:
    """Returns the text that a view shows at the moment."""
    rows = range(view.scrollable_content_region.height)
    return "\n".join(view.render_line(y).text.rstrip() for y in rows)


def screen_text(app: TrtdbgApp) -> str:
    """Returns the text of all views of the main screen that are displayed."""
    board = app.screen_stack[0].query_one(Board)
    views = (view for view in board.query(LineView) if view.region and view.display)
    return "\n".join(text_of(view) for view in views)
