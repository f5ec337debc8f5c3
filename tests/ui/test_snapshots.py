"""Pictures of the screen, compared with those that were looked at and found good.

After a deliberate change: `pytest tests/ui/test_snapshots.py --snapshot-update`, and look at
the difference of the SVG files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot

from tests.ui.canned import built, caused, report
from tests.ui.fakes import Stage, loaded_stage, saved_app, settle
from trtdbg.errors import ModelError, WorkerError
from trtdbg.policy import Timing
from trtdbg.worker.messages import LogLevel

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])
Compare = Callable[..., bool]
Before = Callable[[Pilot[int]], Awaitable[None]]


def pressing(*keys: str) -> Before:
    async def before(pilot: Pilot[int]) -> None:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)

    return before


@SIZES
@pytest.mark.parametrize(
    ("timing", "keys"),
    [
        pytest.param(Timing.LATE, (), id="late"),
        pytest.param(Timing.UPSTREAM, (), id="upstream"),
        pytest.param(Timing.LATE, ("T",), id="switched"),
        pytest.param(Timing.LATE, ("{", "{"), id="pass"),
        pytest.param(Timing.LATE, ("u", "3"), id="passes"),
        pytest.param(Timing.UPSTREAM, ("l",), id="node"),
        pytest.param(Timing.UPSTREAM, ("4",), id="engines"),
        pytest.param(Timing.UPSTREAM, ("6",), id="findings"),
        pytest.param(Timing.UPSTREAM, ("6", "space", "j"), id="findings_opened"),
        pytest.param(Timing.UPSTREAM, ("slash", *"matmul", "enter", "n"), id="find"),
        pytest.param(Timing.UPSTREAM, ("e",), id="explain"),
        pytest.param(Timing.UPSTREAM, ("v",), id="validators"),
        pytest.param(Timing.LATE, ("question_mark",), id="help"),
        pytest.param(Timing.UPSTREAM, ("L",), id="light"),
        pytest.param(Timing.UPSTREAM, ("L", "L"), id="mono"),
        pytest.param(Timing.UPSTREAM, ("x", "tab"), id="export"),
        pytest.param(Timing.UPSTREAM, ("w",), id="origin"),
        pytest.param(Timing.LATE, ("ctrl+p",), id="palette"),
        pytest.param(Timing.LATE, ("T", "D"), id="what_changed"),
    ],
)
def test_screen(
    snap_compare: Compare, size: tuple[int, int], timing: Timing, keys: tuple[str, ...]
) -> None:
    others = {Timing.LATE: Timing.UPSTREAM, Timing.UPSTREAM: Timing.LATE}
    stage = loaded_stage(timing, others[timing])
    assert snap_compare(stage.app, terminal_size=size, run_before=pressing(*keys))


@SIZES
def test_loading(snap_compare: Compare, size: tuple[int, int]) -> None:
    stage = Stage()

    async def before(pilot: Pilot[int]) -> None:
        await settle(pilot)
        stage.clock.now += 1.2
        stage.worker.progress("prepare", "importing torch and torch_tensorrt")
        await settle(pilot)
        stage.clock.now += 2.4
        stage.worker.progress("capture", "constant_fold", 8)
        await settle(pilot)
        stage.clock.now += 0.3
        stage.app._tick()
        await settle(pilot)

    assert snap_compare(stage.app, terminal_size=size, run_before=before)


@SIZES
def test_log(snap_compare: Compare, size: tuple[int, int]) -> None:
    stage = loaded_stage(Timing.UPSTREAM)

    async def before(pilot: Pilot[int]) -> None:
        await pressing("5")(pilot)
        stage.worker.log("[network] 12 layers, 1 input, 2 outputs")
        stage.worker.log(
            "no optimisation profile is set, using the shapes given", LogLevel.WARNING
        )
        stage.worker.log(
            "Error Code 4: Internal Error (float64 is not supported)", LogLevel.ERROR
        )
        await settle(pilot)

    assert snap_compare(stage.app, terminal_size=size, run_before=before)


@SIZES
def test_failed(snap_compare: Compare, size: tuple[int, int]) -> None:
    stage = Stage()

    async def before(pilot: Pilot[int]) -> None:
        await settle(pilot)
        stage.worker.fail(
            ModelError("model.pt2 is a TorchScript file", remedy="export it with torch.export")
        )
        await settle(pilot)
        stage.app.clear_notifications()
        await settle(pilot)

    assert snap_compare(stage.app, terminal_size=size, run_before=before)


@SIZES
def test_building(snap_compare: Compare, size: tuple[int, int]) -> None:
    stage = loaded_stage(Timing.UPSTREAM)

    async def before(pilot: Pilot[int]) -> None:
        await pressing("b", "4")(pilot)
        stage.worker.progress("build", "engine 1", 1, 5)
        await settle(pilot)
        stage.clock.now += 3.5
        stage.app._tick()
        await settle(pilot)

    assert snap_compare(stage.app, terminal_size=size, run_before=before)


@SIZES
def test_built_with_a_failure(snap_compare: Compare, size: tuple[int, int]) -> None:
    stage = Stage(Timing.UPSTREAM, [built(report(Timing.UPSTREAM), failing=1)])
    assert snap_compare(stage.app, terminal_size=size, run_before=pressing("4"))


@SIZES
def test_worker_died(snap_compare: Compare, size: tuple[int, int]) -> None:
    stage = loaded_stage(Timing.UPSTREAM)

    async def before(pilot: Pilot[int]) -> None:
        await pressing("b")(pilot)
        stage.worker.fail(
            WorkerError(
                "the worker process died of SIGSEGV while building attention.pt2 "
                "(build engine 0, 0 of 5)",
                remedy="the next request starts a fresh worker",
            )
        )
        await settle(pilot)
        stage.app.clear_notifications()
        await settle(pilot)

    assert snap_compare(stage.app, terminal_size=size, run_before=before)


@SIZES
def test_saved_report(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(saved_app(), terminal_size=size, run_before=pressing())


@SIZES
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param((), id="first"),
        pytest.param(("enter",), id="opened"),
        pytest.param(("A",), id="cures"),
    ],
)
def test_causes(snap_compare: Compare, size: tuple[int, int], keys: tuple[str, ...]) -> None:
    stage = Stage(Timing.UPSTREAM, [caused(Timing.UPSTREAM), report(Timing.LATE)])
    assert snap_compare(stage.app, terminal_size=size, run_before=pressing("1", *keys))
