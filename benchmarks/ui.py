"""The rows about the terminal UI, with canned reports and no worker."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.children import call
from benchmarks.measure import Side, Sides

SIZE = (160, 50)
FEW, MANY = 10, 10_000

KEYS = ("down", "page down", "last and first", "filter", "along the strip", "modules")
_PRESSES = {
    "down": ("j",),
    "page down": ("pagedown",),
    "last and first": ("G", "g"),
    "filter": ("p", "r", "p", "a"),
    "along the strip": (")", "("),
    "modules": ("7", "j", "8", "j", "2"),
}


def first_frame(subject: str) -> Sides:
    """The first frame with a worker that has not answered, against a bare Textual app.

    In `process`, from the start of the interpreter; in `app`, with all modules imported.
    """
    if subject == "process":
        return Sides(
            lambda: call("benchmarks.ui", "show_ours").seconds,
            lambda: call("benchmarks.ui", "show_bare").seconds,
        )
    return Sides(_frame_of(_ours), _frame_of(_bare))


def show_ours() -> None:
    """Shows the first frame of trtdbg."""
    asyncio.run(_first_frame(_ours()))


def show_bare() -> None:
    """Shows the first frame of a Textual app with an empty table."""
    asyncio.run(_first_frame(_bare()))


def table_first_frame(subject: str) -> Sides:
    """The first frame with a report of 10,000 nodes, against one of 10."""
    del subject
    return Sides(_frame_of(_large(MANY)), _frame_of(_large(FEW)))


def key_to_repaint(subject: str) -> Sides:
    """From a key to the screen that shows it, with 10,000 nodes against 10."""
    return Sides(_keys_of(MANY, _PRESSES[subject]), _keys_of(FEW, _PRESSES[subject]))


def _ours() -> Any:
    from trtdbg_ui.app import TrtdbgApp

    from trtdbg.policy import Settings, TruncationPolicy

    return TrtdbgApp(
        "model.pt2",
        settings=Settings(),
        policy=TruncationPolicy(),
        make_worker=lambda _: _SilentWorker(),
    )


class _SilentWorker:
    """Stands where the client stands and never answers."""

    def start(self) -> None: ...

    def submit(self, request: object) -> Any:
        from concurrent.futures import Future

        return Future[Any]()

    def cancel(self) -> None: ...

    def close(self) -> None: ...


def _bare() -> Any:
    from textual.app import App, ComposeResult
    from textual.widgets import DataTable, Static

    class Bare(App[int]):
        def compose(self) -> ComposeResult:
            yield Static("model.pt2")
            yield DataTable()

    return Bare()


def _large(nodes: int) -> Callable[[], Any]:
    from tests.ui.canned import large
    from tests.ui.fakes import Stage
    from trtdbg.policy import Timing

    report = large(nodes)
    return lambda: Stage(Timing.UPSTREAM, [report]).app


def _frame_of(make: Callable[[], Any]) -> Side:
    return lambda: asyncio.run(_first_frame(make()))


async def _first_frame(app: Any) -> float:
    start = time.perf_counter()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        return time.perf_counter() - start


def _keys_of(nodes: int, keys: tuple[str, ...]) -> Side:
    make = _large(nodes)
    return lambda: asyncio.run(_pressed(make(), keys))


async def _pressed(app: Any, keys: tuple[str, ...]) -> float:
    """Returns the median of some presses, each once the one before it is shown."""
    spent = []
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(3):
            await pilot.pause()
        for _ in range(5):
            start = time.perf_counter()
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
            spent.append(time.perf_counter() - start)
    return statistics.median(spent)
