"""The columns of the node table: the same words in the terminal, on pages and in the UI."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as changed

from tests.canned import LATE
from trtdbg.analysis import node_columns
from trtdbg.analysis.node_columns import (
    IN_TERMINAL,
    NODE_COLUMN,
    NODE_COLUMNS,
    ON_PAGES,
    shown_columns,
    used_dtypes,
)
from trtdbg.outputs.sections import node_table
from trtdbg.records import LowDecision, LowRule

NODES = LATE.nodes


def test_a_key_stands_for_one_column_and_every_output_names_known_ones() -> None:
    assert len(NODE_COLUMN) == len(NODE_COLUMNS)
    assert {*IN_TERMINAL, *ON_PAGES} <= set(NODE_COLUMN)


@pytest.mark.parametrize("key", NODE_COLUMN)
def test_every_column_says_something_of_every_node_and_orders_all(key: str) -> None:
    column = NODE_COLUMN[key]
    assert all(isinstance(column.text(node), str) for node in NODES)
    assert len(sorted(NODES, key=column.order)) == len(NODES)


def test_a_column_that_is_added_in_one_place_shows_on_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readers = replace(
        NODE_COLUMN["name"],
        key="readers",
        title="readers",
        text=lambda node: str(len(node.users)),
    )
    monkeypatch.setitem(node_columns.NODE_COLUMN, "readers", readers)
    monkeypatch.setattr("trtdbg.outputs.sections.ON_PAGES", ("name", "readers"))
    table = node_table(NODES)
    assert table.columns == ("node", "readers")
    assert table.rows == tuple((node.name, str(len(node.users))) for node in NODES)


def test_columns_of_a_low_precision_are_left_out_where_there_is_none() -> None:
    assert "low" not in [column.key for column in shown_columns(IN_TERMINAL, NODES)]
    low = changed(NODES[0], low=LowDecision(rule=LowRule.LOW, dtype="float16", reason="r"))
    assert [column.key for column in shown_columns(ON_PAGES, [low])] == list(ON_PAGES)


def test_outputs_that_nothing_uses_have_no_tensorrt_dtype() -> None:
    assert used_dtypes(("INT32", None)) == ("INT32",)
    assert used_dtypes((None, None)) is None
    assert used_dtypes("FLOAT") == "FLOAT"
