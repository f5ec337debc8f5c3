"""What the keys of the node table do: columns, order, filters, folding, comparing, jumping."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.model.view import Quick
from trtdbg_ui.widgets.chooser import Chooser, OptionList
from trtdbg_ui.widgets.column_dialog import ColumnDialog, ColumnList
from trtdbg_ui.widgets.dialog import Dialog, Page
from trtdbg_ui.widgets.node_table import NodeTable

from tests.ui.canned import report
from tests.ui.fakes import Stage, loaded_stage, notes, press, settle, text_of
from trtdbg.policy import Timing
from trtdbg.records import Report

WIDE = (160, 50)


def table(app: TrtdbgApp) -> str:
    return text_of(app.screen_stack[0].query_one(NodeTable))


def names(app: TrtdbgApp) -> tuple[str, ...]:
    rows = app.state.rows
    assert rows is not None
    return rows.names


def with_odd_block() -> Report:
    """Returns the report with one node of layer 2 that stays float64 under truncation."""
    base = report(Timing.LATE)
    nodes = tuple(
        replace(node, truncated="float64") if node.name == "_softmax_2" else node
        for node in base.nodes
    )
    return replace(base, nodes=nodes)


# Filters.


@pytest.mark.parametrize(
    ("key", "number"),
    [("c", 12), ("r", 4), ("w", 12), ("b", 17), ("2", 13), ("a", 70)],
)
async def test_a_filter_shows_as_many_nodes_as_it_says(key: str, number: int) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "p")
        assert isinstance(stage.app.screen, Chooser)
        offered = stage.app.screen.query_one(OptionList).options
        said = next(option for option in offered if option.key == key)
        assert f"{number:,}" in "".join(text for text, _ in said.line)
        await press(pilot, key)
        assert len(names(stage.app)) == number
        if key != "a":
            assert f"{number} of 70 nodes" in table(stage.app)


async def test_disagreeing_dtypes_are_those_of_lowering_and_of_tensorrt() -> None:
    base = report(Timing.LATE)
    nodes = tuple(
        replace(node, recorded="float16")
        if node.name == "div"
        else replace(node, tensorrt="HALF")
        if node.name == "matmul_1"
        else node
        for node in base.nodes
    )
    stage = Stage(Timing.LATE, [replace(base, nodes=nodes)])
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "p", "d")
        assert names(stage.app) == ("div", "matmul_1")


async def test_a_filter_begins_at_a_node_it_shows_and_ends_where_it_was() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "g", "p", "r")
        assert stage.app.state.view.quick is Quick.REJECTED
        assert stage.app.state.node == "_to_copy"
        await press(pilot, "p", "a")
        assert stage.app.state.node == "_to_copy"
        await press(pilot, "p", "p")
        assert not isinstance(stage.app.screen, Chooser)


async def test_a_finding_opens_a_filter_that_hides_its_node() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "p", "0", "6", "G", "enter")
        assert stage.app.state.view.whole
        assert stage.app.state.node == "_to_copy_2"


async def test_in_a_pass_changed_means_touched_by_the_pass() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "{", "{", "p", "c")
        rows = stage.app.state.rows
        assert rows is not None
        assert rows.names == ("matmul_1",)


# Folding.


async def test_blocks_with_the_same_dtypes_fold_into_the_first() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "H")
        assert len(names(stage.app)) == 70 - 3 * 17
        shown = table(stage.app)
        assert "layers.0 ×4 (0-3)" in shown
        assert "×4" in shown.splitlines()[3]
        await press(pilot, "H")
        assert len(names(stage.app)) == 70


async def test_a_block_with_another_dtype_is_listed_as_an_exception() -> None:
    stage = Stage(Timing.LATE, [with_odd_block()])
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "H")
        shown = table(stage.app)
        assert "layers.0 ×3 (0-1, 3), unlike: 2" in shown
        assert "_softmax_2" in names(stage.app)
        assert "div_2" not in names(stage.app)
        line = next(each for each in shown.splitlines() if "_softmax_2" in each)
        assert "≠ 2" in line


async def test_without_repeating_blocks_folding_says_so() -> None:
    base = report(Timing.LATE)
    nodes = tuple(replace(n, source=None) for n in base.nodes if n.op != "get_attr")
    stage = Stage(Timing.LATE, [replace(base, nodes=nodes)])
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "H")
        assert notes(stage.app) == [
            "No numbered block of the model repeats with the same dtypes."
        ]
        assert stage.app.state.view.whole


# Columns and order.


async def test_columns_are_shown_and_hidden_and_a_table_remembers_nothing_else() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert "module" not in table(stage.app)
        await press(pilot, "s")
        assert isinstance(stage.app.screen, ColumnDialog)
        keys = [c.key for c in stage.app.screen.query_one(ColumnList).columns]
        assert {"on_original", "on_truncated"} < set(
            stage.app.screen.query_one(ColumnList).shown
        )
        for key in ("module", "on_original"):
            stage.app.screen.query_one(ColumnList).put_cursor(keys.index(key))
            await press(pilot, "space")
        await press(pilot, "escape")
        head = table(stage.app).splitlines()[0]
        assert "module" in head
        assert "on orig" not in head
        assert "on trunc" in head
        assert "node" in head
        await press(pilot, "s", "r", "s")
        assert "on orig" in table(stage.app).splitlines()[0]
        assert "module" not in table(stage.app).splitlines()[0]


async def test_the_name_of_a_node_cannot_be_hidden() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "s", "j", "space", "escape")
        assert "node" in table(stage.app).splitlines()[0]


async def test_rows_are_sorted_by_a_column_both_ways_and_then_not() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        graph_order = names(stage.app)
        await press(pilot, "s", "j", "enter", "escape")
        assert names(stage.app)[:3] == ("_softmax", "_softmax_1", "_softmax_2")
        assert "node▲" in table(stage.app)
        await press(pilot, "s", "j", "enter", "escape")
        assert names(stage.app)[0] == "x"
        await press(pilot, "s", "j", "enter", "escape")
        assert names(stage.app) == graph_order


async def test_a_pass_has_columns_and_an_order_of_its_own() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "[", "s")
        keys = [c.key for c in stage.app.screen.query_one(ColumnList).columns]
        stage.app.screen.query_one(ColumnList).put_cursor(keys.index("args"))
        await press(pilot, "space", "escape")
        assert "arguments" not in table(stage.app)
        await press(pilot, "=")
        assert stage.app.state.view.columns == ()


# Comparing passes.


async def test_any_two_passes_are_compared() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "3", "g", "K")
        await press(pilot, "2", "=", "[")
        shown = table(stage.app)
        assert "against pass 0 exported program" in shown
        assert "+8" in shown
        assert "-16" in shown
        await press(pilot, "K")
        assert stage.app.state.against is None
        assert "against" not in table(stage.app)


async def test_the_result_is_no_pass_to_compare_with() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "K")
        assert stage.app.state.against is None
        assert "[ goes to a pass" in notes(stage.app)[0]


async def test_d_shows_the_graph_before_and_after_a_pass() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "{", "{", "d")
        assert isinstance(stage.app.screen, Dialog)
        shown = text_of(stage.app.screen.query_one(Page))
        changed = [each for each in shown.splitlines() if each.strip().startswith("~")]
        assert len(changed) == 1
        before, after = changed[0].split("│")
        assert before.split()[-1] == "float32"
        assert after.split()[-1] == "float64"
        assert "… 22 nodes unchanged" in shown
        await press(pilot, "d")
        assert not isinstance(stage.app.screen, Dialog)


async def test_in_the_result_d_shows_what_all_passes_did() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "d")
        assert isinstance(stage.app.screen, Dialog)
        shown = " ".join(text_of(stage.app.screen.query_one(Page)).split())
        added = "+ │ _to_copy = _to_copy(matmul, dtype=float64) float64"
        assert added in shown
        assert shown.index("- to = to.dtype(matmul, dtype=float64)") < shown.index(added)
        await press(pilot, "escape", "3", "g", "d")
        assert "Nothing changed: 78 nodes." in text_of(stage.app.screen.query_one(Page))


# Jumping.


async def test_a_single_user_is_jumped_to_and_back() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        assert stage.app.state.node == "_to_copy"
        await press(pilot, ">")
        assert stage.app.state.node == "div"
        await press(pilot, ">")
        assert stage.app.state.node == "_softmax"
        await press(pilot, "backspace", "backspace")
        assert stage.app.state.node == "_to_copy"
        await press(pilot, "backspace")
        assert "no jump" in notes(stage.app)[-1]


async def test_of_several_operands_one_is_chosen() -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "<", "<")
        assert isinstance(stage.app.screen, Chooser)
        shown = text_of(stage.app.screen.query_one(OptionList))
        assert "getitem_1" in shown
        await press(pilot, "j", "enter")
        assert stage.app.state.node == "getitem_1"
        await press(pilot, "backspace", "<", "escape")
        assert stage.app.state.node == "matmul"
        await press(pilot, "<", "<")
        assert stage.app.state.node == "matmul"


async def test_neighbours_in_a_pass_are_those_of_its_graph() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "3", "g", "2")
        await press(pilot, "slash", *"^to\\b", "enter", ">")
        assert stage.app.state.place == 0
        assert stage.app.state.node == "div"
        await press(pilot, "<")
        assert stage.app.state.node == "to"


async def test_a_node_without_users_says_so() -> None:
    stage = loaded_stage(Timing.LATE)
    async with stage.app.run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "G", ">")
        assert notes(stage.app) == ["output has no users."]
