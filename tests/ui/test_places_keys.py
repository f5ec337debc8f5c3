"""The tree of modules and the list of source lines."""

from __future__ import annotations

from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.model.state import Pane
from trtdbg_ui.model.switching import tallies
from trtdbg_ui.render.policy import policy_line
from trtdbg_ui.text import plain
from trtdbg_ui.widgets.place_list import PlaceList

from tests.ui.canned import built, report
from tests.ui.fakes import loaded_stage, press, screen_text, settle, text_of
from trtdbg.analysis.by_place import costs
from trtdbg.analysis.summary import left_to_pytorch
from trtdbg.policy import Timing

MIDDLE = (120, 35)


async def test_the_tree_of_modules_counts_what_became_of_each_and_folds() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        await press(pilot, "7")
        tree = stage.app.board.pane(Pane.MODULES)
        blocks = next(row for row in text_of(tree).splitlines() if "4x [0-3]" in row)
        assert blocks.split()[-9:-4] == ["44", "E0-4", "4", "4", "4"]
        assert "4x qkv" in text_of(tree)
        await press(pilot, "g", "j", "j", "space")
        assert "4x qkv" not in text_of(tree)
        await press(pilot, "H")
        assert "4x qkv" in text_of(tree)


async def test_enter_on_a_module_shows_its_nodes_and_no_others() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        await press(pilot, "7", "G", "enter")
        state = stage.app.state
        assert state.main is Pane.NODES
        assert state.rows is not None
        modules = {node.source.module for node in state.rows.nodes if node.source}
        assert modules == {f"layers.{layer}.norm" for layer in range(4)}
        assert "module layers.0.norm and 3 alike only" in screen_text(stage.app)


async def test_the_line_that_costs_the_most_is_first_and_enter_shows_its_nodes() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    left = {node.name for node in left_to_pytorch(report(Timing.UPSTREAM))}
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        await press(pilot, "8")
        lines = text_of(stage.app.board.pane(Pane.LINES)).splitlines()
        assert "attention.py:34" in lines[2]
        await press(pilot, "g", "enter")
        assert stage.app.state.node in left
        rows = stage.app.state.rows
        assert rows is not None
        assert len(rows.names) == 12
        assert left <= set(rows.names)
        await press(pilot, "f")
        assert stage.app.state.node in left


async def test_keys_step_from_one_costly_line_to_the_next_and_a_node_leads_to_its_line() -> (
    None
):
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        await press(pilot, "8", "G", "f")
        lines = stage.app.board.pane(Pane.LINES)
        assert isinstance(lines, PlaceList)
        seen = [lines.cursor]
        for _ in range(3):
            await press(pilot, "f")
            seen.append(lines.cursor)
        assert all(costs(lines.row_at(row)) for row in seen)
        await press(pilot, "F")
        assert lines.cursor == seen[-2]
        assert "attention.py is not on this machine" in text_of(lines).splitlines()[0]
        node = next(n for n in report(Timing.UPSTREAM).nodes if n.name == "linear")
        assert node.source is not None
        stage.app.tables.jump("linear")
        await settle(pilot)
        await press(pilot, "8")
        row = lines.row_at(lines.cursor)
        assert (row.file, row.line) == (node.source.file, node.source.line)
        await press(pilot, "7")
        modules = stage.app.board.pane(Pane.MODULES)
        assert "linear" in modules.row_at(modules.cursor).own


def test_what_is_worth_a_look_first_is_an_operator_of_a_cause() -> None:
    loaded = Loaded(report(Timing.UPSTREAM))
    assert loaded.telling(loaded.nodes) in loaded.left
    assert loaded.telling(("x", "linear")) == "linear"
    assert loaded.telling(("gone",)) is None


async def test_the_next_telling_pass_shows_the_first_node_it_touched() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=MIDDLE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "G", "{")
        rows, state = stage.app.state.rows, stage.app.state
        assert rows is not None
        assert state.place is not None
        assert state.row == rows.start()
        assert rows.rows[state.row].mark.value.strip()


def test_a_timing_whose_engine_fails_has_no_tick() -> None:
    failing = built(report(Timing.LATE), failing=0)
    policy = failing.policy
    line = plain(policy_line(policy, tallies(policy, [failing]), 100))
    assert "[late] 1 ✖" in line
    assert "✓" not in line
