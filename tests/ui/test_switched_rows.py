"""What a switch of policy changed is marked in the graph, and a key goes through it."""

from __future__ import annotations

from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.model.switched import changed_nodes
from trtdbg_ui.widgets.node_table import NodeTable

from tests.ui.canned import report
from tests.ui.fakes import loaded_stage, press, settle, text_of
from trtdbg.policy import Timing

REFUSED = {"_to_copy", "_to_copy_2", "_to_copy_4", "_to_copy_6"}


def test_nodes_that_moved_are_changed_and_other_numbers_of_engines_are_not() -> None:
    upstream, late = Loaded(report(Timing.UPSTREAM)), Loaded(report(Timing.LATE))
    assert changed_nodes(upstream, late) == REFUSED
    assert changed_nodes(late, upstream) == REFUSED
    assert not changed_nodes(late, late)


def test_nodes_with_another_truncated_dtype_are_changed() -> None:
    off, late = Loaded(report(Timing.OFF)), Loaded(report(Timing.LATE))
    wide = {node.name for node in off.report.nodes if node.inferred == "float64"}
    assert wide <= changed_nodes(off, late)


async def test_they_are_marked_and_the_key_of_the_next_change_goes_around_them() -> None:
    stage = loaded_stage(Timing.UPSTREAM, Timing.LATE)
    async with stage.app.run_test(size=(120, 35)) as pilot:
        await settle(pilot)
        await press(pilot, "g", "}")
        assert stage.app.state.row == 0, "nothing was switched yet"
        await press(pilot, "t", "g")
        seen = []
        for _ in range(5):
            await press(pilot, "}")
            seen.append(stage.app.state.node)
        assert seen == [*sorted(REFUSED), "_to_copy"]
        table = text_of(stage.app.query_one(NodeTable))
        assert "❯~ _to_copy " in table
        assert " ~ _to_copy_2" in table
        assert "~ div" not in table
