"""Folding, filters, orders, the highlighted source and other pure parts of the new views."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from trtdbg_ui.model.folding import FoldedNode, folded
from trtdbg_ui.model.loaded import Loaded, ResultRows, Showing
from trtdbg_ui.model.ordering import result_key
from trtdbg_ui.model.view import Quick, View
from trtdbg_ui.render import nodes
from trtdbg_ui.render.before_after import before_after
from trtdbg_ui.render.engines import engine_lines
from trtdbg_ui.render.python_source import highlighted
from trtdbg_ui.render.view import group_text, ranges
from trtdbg_ui.text import plain, width

from tests.ui.canned import report
from tests.ui.test_choices_keys import layered, measured
from trtdbg.analysis.node_columns import NODE_COLUMN, natural
from trtdbg.policy import Timing
from trtdbg.records import NodeRecord


def part(block: str, name: str, pattern: str, *, constant: bool = False) -> FoldedNode:
    return FoldedNode(f"{block}:{name}", block or None, constant, pattern)


def blocks(*patterns: str, path: str = "layers") -> list[FoldedNode]:
    """Returns one block per word, a node per letter."""
    return [
        part(f"{path}.{number}.inner", str(place), letter)
        for number, word in enumerate(patterns)
        for place, letter in enumerate(word)
    ]


def test_equal_blocks_fold_into_the_first() -> None:
    folding = folded(blocks("abc", "abc", "abc"))
    assert len(folding.hidden) == 6
    assert set(folding.times.values()) == {3}
    assert [group_text(group) for group in folding.groups] == ["layers.0 ×3 (0-2)"]


def test_of_an_unlike_block_only_what_differs_is_kept() -> None:
    folding = folded(blocks("abc", "abc", "axc", "abc"))
    assert folding.exception == {"layers.2.inner:1": 2}
    assert group_text(folding.groups[0]) == "layers.0 ×3 (0-1, 3), unlike: 2"


def test_a_block_of_another_length_is_kept_whole() -> None:
    folding = folded(blocks("abc", "abc", "ab"))
    assert sorted(folding.exception) == ["layers.2.inner:0", "layers.2.inner:1"]


def test_blocks_that_are_all_different_do_not_fold() -> None:
    assert folded(blocks("a", "b", "c")).groups == ()


def test_two_paths_fold_apart_and_the_outermost_number_counts() -> None:
    parts = blocks("ab", "ab", path="encoder") + blocks("cd", "cd", path="decoder.layers")
    inner = [part(f"mlp.{n}.experts.{e}", "x", "y") for n in (0, 1) for e in (0, 1)]
    folding = folded(parts + inner)
    paths = [group.path for group in folding.groups]
    assert paths == ["encoder", "decoder.layers", "mlp"]


@given(st.lists(st.text("abc", max_size=4), max_size=8))
def test_what_is_shown_and_what_it_stands_for_is_every_node(words: list[str]) -> None:
    parts = blocks(*words)
    folding = folded(parts)
    shown = [each for each in parts if each.name not in folding.hidden]
    stands_for = sum(folding.times.get(each.name, 1) for each in shown)
    same = sum(1 for each in parts if each.name in folding.hidden) - sum(
        times - 1 for times in folding.times.values()
    )
    # Like nodes of unlike blocks are hidden and counted nowhere.
    assert stands_for + same == len(parts)
    assert same >= 0


def test_ranges_join_neighbours() -> None:
    assert ranges((0, 1, 2, 5, 7, 8)) == "0-2, 5, 7-8"


def test_names_with_numbers_are_in_the_order_of_the_numbers() -> None:
    names = ["add_10", "add_2", "add", "_to", "add_2b"]
    assert sorted(names, key=natural) == ["_to", "add", "add_2", "add_2b", "add_10"]


@given(st.lists(st.text(max_size=6), max_size=6))
def test_any_names_can_be_ordered(names: list[str]) -> None:
    assert sorted(sorted(names, key=natural)) == sorted(names)


def test_every_column_of_the_result_orders_it_or_says_that_it_does_not() -> None:
    base = measured(report(Timing.UPSTREAM))
    loaded = Loaded(base)
    for column in nodes.COLUMNS:
        key = result_key(column.key, loaded.findings_of, loaded.damage_of)
        assert (key is None) == (column.key == "fold")
        rows = loaded.rows(Showing(view=View(sort=column.key)))
        assert sorted(rows.names) == sorted(node.name for node in base.nodes)


def test_the_largest_error_comes_first_in_descending_order() -> None:
    loaded = Loaded(measured(report(Timing.LATE)))
    rows = loaded.rows(Showing(view=View(sort="error", descending=True)))
    assert rows.names[0] == "_softmax"


def test_filters_and_folding_work_together() -> None:
    loaded = Loaded(report(Timing.UPSTREAM))
    rows = loaded.rows(Showing(view=View(quick=Quick.REJECTED, fold=True)))
    assert isinstance(rows, ResultRows)
    assert rows.names == ("_to_copy",)
    assert rows.folding.times == {"_to_copy": 4}
    assert plain(nodes.caption(rows, 120)) == (
        "1 of 70 nodes  rejected only (p)  layers.0 ×4 (0-3) (H)"
    )


def test_a_view_that_shows_nothing_is_no_mistake() -> None:
    loaded = Loaded(report(Timing.LATE))
    rows = loaded.rows(Showing(view=View(quick=Quick.REJECTED)))
    assert isinstance(rows, ResultRows)
    assert rows.names == ()
    assert nodes.layout(rows, 80)


def test_the_latest_rows_are_kept_and_the_oldest_go() -> None:
    loaded = Loaded(report(Timing.LATE))
    first = loaded.rows(Showing(0))
    assert loaded.rows(Showing(0)) is first
    for place in range(1, 14):
        loaded.rows(Showing(place))
    assert loaded.rows(Showing(0)) is not first


def test_chosen_columns_stay_where_usual_ones_would_go() -> None:
    base = report(Timing.LATE)
    usual = Loaded(base).rows(Showing())
    chosen = Loaded(base).rows(Showing(view=View(columns=("name", "shape", "source"))))
    assert isinstance(usual, ResultRows)
    assert isinstance(chosen, ResultRows)
    assert "shape" not in [column.key for column, _ in nodes.layout(usual, 70)]
    assert [c.key for c, _ in nodes.layout(chosen, 70)] == ["name", "shape", "source"]


@settings(deadline=None)
@given(st.text())
def test_highlighting_loses_no_character(text: str) -> None:
    # Lines end as they do for Python, whose lexer makes one of \r\n.
    text = text.replace("\r", "")
    assert "\n".join(plain(spans) for spans in highlighted(text)) == text


def test_layers_fit_any_width() -> None:
    loaded = Loaded(layered(report(Timing.UPSTREAM)))
    for size in (60, 78, 158):
        told = engine_lines(loaded, None, 0.0, size, frozenset({0}))
        layers = [each for each in told if "CAST" in plain(each.text)]
        assert len(layers) == 2
        assert [each.node for each in layers] == ["matmul", None]
        assert all(each.engine == 0 for each in layers)


def test_before_and_after_fit_their_width_and_mark_every_change() -> None:
    base = report(Timing.LATE)
    for size in (76, 150):
        lines = before_after(base, 4, None, size)
        assert all(width(each) <= size for each in lines)
        signs = [plain(each)[0] for each in lines if plain(each)]
        record = base.passes[4]
        assert signs.count("+") == len(record.added)
        assert signs.count("-") == len(record.removed)


def test_a_retold_dtype_disagrees_and_an_unknown_one_does_not() -> None:
    base = report(Timing.LATE)

    def told(tensorrt: str) -> tuple[str, ...]:
        changed: tuple[NodeRecord, ...] = tuple(
            replace(node, tensorrt=tensorrt) if node.name == "add" else node
            for node in base.nodes
        )
        loaded = Loaded(replace(base, nodes=changed))
        return loaded.rows(Showing(view=View(quick=Quick.DISAGREEING))).names

    assert told("DataType.FLOAT") == ()
    assert told("DataType.HALF") == ("add",)


def test_every_column_is_one_of_the_ui_under_the_same_title() -> None:
    titles = {column.key: column.titles[0] for column in nodes.COLUMNS}
    assert {key: titles.get(key) for key in NODE_COLUMN} == {
        key: column.title for key, column in NODE_COLUMN.items()
    }
