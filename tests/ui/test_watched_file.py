"""A model that is edited while it is shown: cursor, filter and policy stay."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace
from trtdbg_ui.model.edits import edited
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.model.state import Pane
from trtdbg_ui.widgets.dialog import Dialog, Page

from tests import canned
from tests.ui.canned import report
from tests.ui.fakes import (
    Stage,
    loaded_stage,
    notes,
    press,
    screen_text,
    settings_bar,
    settle,
    text_of,
)
from trtdbg.errors import ModelError
from trtdbg.policy import Settings, Timing
from trtdbg.records import NodeRecord, Report
from trtdbg.viewing import WatchedFile
from trtdbg.worker.messages import Analyze

WIDE = (120, 35)
OUTDATED = "last good analysis, the file changed since"


def watched(stage: Stage, settings: Settings | None = None) -> WatchedFile:
    """Lets a stage believe each time that it looks at the file that this has changed."""
    found = WatchedFile(changed=lambda: True, settings=lambda: settings or Settings())
    stage.app._watched = found
    # Looked at by hand.
    stage.app.set_interval = lambda *_, **__: Timer()  # type: ignore[assignment]
    return found


class Timer:
    """Never ticks."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


def after_edit(timing: Timing = Timing.UPSTREAM) -> Report:
    """Returns the report of the same model with a line and an operator in front of it all."""

    def moved(node: NodeRecord) -> NodeRecord:
        source = node.source
        if source is not None and source.line is not None:
            source = replace(source, line=source.line + 1)
        operands = tuple(f"{name}_1" for name in node.operands)
        users = tuple(f"{name}_1" for name in node.users)
        name = f"{node.name}_1"
        return replace(node, name=name, source=source, operands=operands, users=users)

    before = report(timing)
    new = next(node for node in before.nodes if node.op == "call_function")
    new = replace(new, name="tanh", target="aten.tanh.default", operands=(), users=())
    nodes = tuple(map(moved, before.nodes))
    at = next(i for i, node in enumerate(nodes) if node.op == "call_function")
    engines = tuple(
        replace(engine, nodes=tuple(f"{name}_1" for name in engine.nodes))
        for engine in before.engines
    )
    causes = tuple(
        replace(cause, nodes=tuple(f"{name}_1" for name in cause.nodes))
        for cause in before.causes
    )
    return replace(
        before,
        model=replace(before.model, sha256="0" * 64),
        nodes=(*nodes[:at], new, *nodes[at:]),
        engines=engines,
        causes=causes,
    )


async def test_after_an_edit_policy_filter_and_cursor_stay_and_what_changed_is_told() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    watched(stage)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "8", "g", "enter")
        before = stage.app.state
        assert before.rows is not None
        assert len(before.rows.names) == 12
        stage.app.look_at_file()
        await settle(pilot)
        (request,) = stage.worker.requests
        assert isinstance(request, Analyze)
        assert (request.policy, request.anew) == (before.policy, False)
        assert OUTDATED in screen_text(stage.app)
        assert stage.app.state.loaded is before.loaded
        stage.worker.answer(after_edit())
        await settle(pilot)
        state = stage.app.state
        assert state.node == f"{before.node}_1"
        assert state.rows is not None
        assert state.rows.names == tuple(f"{name}_1" for name in before.rows.names)
        assert (state.pane, state.main) == (before.pane, before.main)
        assert OUTDATED not in screen_text(stage.app)
        assert "edited: added aten.tanh.default: tanh" in settings_bar(stage.app)
        await press(pilot, "D")
        page = stage.app.screen
        assert isinstance(page, Dialog)
        assert "added aten.tanh.default: tanh" in text_of(page.query_one(Page))
        assert "cause" not in text_of(page.query_one(Page))


async def test_a_model_that_fails_after_an_edit_keeps_the_last_good_analysis_marked() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    watched(stage)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        good = stage.app.state.loaded
        for error in ("it has no program", "it is damaged"):
            stage.app.look_at_file()
            await settle(pilot)
            stage.worker.fail(ModelError(error))
            await settle(pilot)
            assert stage.app.state.loaded is good
            shown = screen_text(stage.app)
            assert error in shown
            assert OUTDATED in shown
        await press(pilot, "escape")
        assert OUTDATED in screen_text(stage.app)
        await press(pilot, "j", "v")
        assert OUTDATED in screen_text(stage.app)
        await press(pilot, "escape")
        stage.app.look_at_file()
        await settle(pilot)
        stage.worker.answer(after_edit())
        await settle(pilot)
        assert OUTDATED not in screen_text(stage.app)
        assert stage.app.state.failure is None


async def test_an_analysis_that_ends_early_keeps_the_last_good_one_until_it_is_asked_for() -> (
    None
):
    stage = loaded_stage(Timing.UPSTREAM)
    watched(stage)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        good = stage.app.state.loaded
        stage.app.look_at_file()
        await settle(pilot)
        policy = stage.app.state.policy
        broken = replace(canned.LOWERING_FAILED, policy=policy, settings=Settings())
        stage.worker.answer(broken)
        await settle(pilot)
        assert stage.app.state.loaded is good
        assert "after the edit pass 'fuse_prims_broadcast' failed" in screen_text(stage.app)
        assert OUTDATED in screen_text(stage.app)
        await press(pilot, "R")
        stage.worker.answer(broken)
        await settle(pilot)
        assert stage.app.state.loaded is not good
        assert OUTDATED not in screen_text(stage.app)


async def test_what_runs_when_the_file_changes_ends_first() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    watched(stage)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "b")
        stage.app.look_at_file()
        stage.app.look_at_file()
        await settle(pilot)
        assert len(stage.worker.requests) == 1
        stage.worker.answer(report(Timing.UPSTREAM))
        await settle(pilot)
        assert OUTDATED in screen_text(stage.app)
        assert [type(each) for each in stage.worker.requests[1:]] == [Analyze]
        stage.worker.answer(after_edit())
        await settle(pilot)
        assert OUTDATED not in screen_text(stage.app)
        assert len(stage.worker.requests) == 2


async def test_settings_of_a_recording_follow_it_unless_somebody_switched_them() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    watched(stage, Settings(min_block_size=3))
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        stage.app.look_at_file()
        await settle(pilot)
        assert stage.worker.requests[-1].job.settings.min_block_size == 3
        stage.worker.answer(replace(after_edit(), settings=Settings(min_block_size=3)))
        await settle(pilot)
        stage.app.policy.choose(stage.app.state.policy, Settings(min_block_size=2))
        await settle(pilot)
        stage.worker.answer(replace(after_edit(), settings=Settings(min_block_size=2)))
        await settle(pilot)
        watched(stage, Settings(min_block_size=7))
        stage.app.look_at_file()
        await settle(pilot)
        assert stage.worker.requests[-1].job.settings.min_block_size == 2


async def test_settings_that_cannot_be_read_are_told_and_nothing_is_asked() -> None:
    stage = loaded_stage(Timing.UPSTREAM)

    def damaged() -> Settings:
        raise ModelError("recording.toml is refused")

    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        stage.app._watched = WatchedFile(changed=lambda: True, settings=damaged)
        stage.app.look_at_file()
        await settle(pilot)
        assert "recording.toml is refused" in screen_text(stage.app)
        assert OUTDATED in screen_text(stage.app)
        assert not stage.worker.requests


async def test_a_policy_that_is_gone_to_meanwhile_is_shown_of_the_new_file() -> None:
    stage = loaded_stage(Timing.UPSTREAM, Timing.LATE)
    watched(stage)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        stage.app.look_at_file()
        await settle(pilot)
        stage.app.policy.choose(report(Timing.LATE).policy)
        await settle(pilot)
        stage.worker.answer(after_edit())
        await settle(pilot)
        assert len(stage.worker.requests) == 2
        stage.worker.answer(after_edit(Timing.LATE))
        await settle(pilot)
        assert stage.app.state.policy.timing is Timing.LATE
        assert OUTDATED not in screen_text(stage.app)
        assert not notes(stage.app)


def test_a_filter_by_engine_or_module_follows_its_nodes() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    old = Loaded(report(Timing.UPSTREAM))
    state = stage.app.state.changed(loaded=old, pane=Pane.NODES, main=Pane.NODES)

    def renamed() -> Iterator[NodeRecord]:
        for node in after_edit().nodes:
            source = node.source
            if source is not None and source.module is not None:
                source = replace(source, module=source.module.replace("layers", "blocks"))
            engine = None if node.engine is None else node.engine + 1
            yield replace(node, source=source, engine=engine)

    new = Loaded(replace(after_edit(), nodes=tuple(renamed())))
    view = state.view
    from dataclasses import replace as with_fields

    chosen = with_fields(view, engine=2, modules=("layers.0", "layers.1.norm"))
    after = edited(with_fields(state, view=chosen), new, None)
    assert after.view.engine == 3
    assert after.view.modules == ("blocks.0", "blocks.1.norm")
