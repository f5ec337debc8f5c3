"""Columns, the node table, snapshots of passes and the list of passes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from trtdbg_ui.model.loaded import Loaded, ResultRows, Showing, SnapshotRows
from trtdbg_ui.model.pass_rows import Mark, history, snapshot
from trtdbg_ui.model.pass_steps import Entry, Heading, entries, neighbour
from trtdbg_ui.render import nodes, snapshots
from trtdbg_ui.render.columns import Column, Extent, lay_out, title_line
from trtdbg_ui.render.passes import pass_line, result_line
from trtdbg_ui.text import Line, Tone, plain, width

from tests.ui.canned import report
from trtdbg.policy import Timing
from trtdbg.records import PassRecord, Phase, Report, Verdict


def result_rows(timing: Timing) -> ResultRows:
    rows = Loaded(report(timing)).rows(Showing())
    assert isinstance(rows, ResultRows)
    return rows


def row_of(rows: ResultRows, name: str, size: int = 100) -> Line:
    return nodes.row(rows, rows.position[name], nodes.layout(rows, size))


def failed_report() -> Report:
    good = report(Timing.LATE)
    passes = good.passes[:8]
    broken = PassRecord(
        index=8,
        phase=Phase.POST_LOWERING,
        name="constant_fold",
        changed=False,
        nodes=passes[-1].nodes,
        graph=passes[-1].graph,
        error="RuntimeError: no such folding",
    )
    return replace(good, passes=(*passes, broken), engines=(), torch_ops=(), findings=())


# Columns.


def widths(**cells: int) -> dict[str, Extent]:
    return {key: Extent(size, size) for key, size in cells.items()}


def test_columns_get_what_they_need_when_there_is_room() -> None:
    columns = [Column("a", ("alpha",), 3, 20), Column("b", ("beta",), 3, 20)]
    layout = lay_out(columns, widths(a=8, b=12), 40)
    assert [size for _, size in layout] == [8, 12]


def test_the_widest_column_shrinks_first_and_no_further_than_its_least() -> None:
    columns = [Column("a", ("alpha",), 5, 20), Column("b", ("beta",), 5, 20)]
    assert [s for _, s in lay_out(columns, widths(a=8, b=20), 20)] == [8, 11]
    assert [s for _, s in lay_out(columns, widths(a=8, b=20), 4)] == [5, 5]


def test_optional_columns_go_before_others_get_less_than_their_least() -> None:
    columns = [
        Column("a", ("a",), 10, 20),
        Column("b", ("b",), 5, 20, goes=1),
        Column("c", ("c",), 5, 20, goes=2),
    ]
    natural = widths(a=10, b=5, c=5)
    assert [c.key for c, _ in lay_out(columns, natural, 17)] == ["a", "b"]
    assert [c.key for c, _ in lay_out(columns, natural, 12)] == ["a"]


def test_an_extra_column_goes_before_any_other_shrinks() -> None:
    columns = [Column("a", ("a",), 4, 20), Column("x", ("x",), 4, 20, goes=10)]
    assert [c.key for c, _ in lay_out(columns, widths(a=12, x=8), 20)] == ["a"]


def test_a_title_is_spelled_out_where_there_is_room() -> None:
    columns = [Column("a", ("truncated", "trunc."), 3, 20)]
    assert plain(title_line(lay_out(columns, widths(a=7), 20))) == "truncated "
    assert plain(title_line(lay_out(columns, widths(a=7), 8))) == "trunc.  "


def test_a_stretching_column_takes_what_is_left_over() -> None:
    columns = [Column("a", ("a",), 4, 20), Column("s", ("s",), 4, 4, stretch=True)]
    assert [s for _, s in lay_out(columns, widths(a=6, s=30), 20)] == [6, 13]
    assert [s for _, s in lay_out(columns, widths(a=6, s=9), 40)] == [6, 9]


def test_a_few_long_contents_do_not_decide_unless_there_is_room() -> None:
    extent = Extent.of([8] * 39 + [30])
    assert extent == Extent(usual=8, longest=30)
    column = [Column("a", ("a",), 4, 24)]
    assert [size for _, size in lay_out(column, {"a": extent}, 12)] == [12]
    assert [size for _, size in lay_out(column, {"a": extent}, 80)] == [24]
    assert Extent.of([]) == Extent.whole([]) == Extent()


# The node table.


@pytest.mark.parametrize("size", [60, 79, 100, 160, 220])
@pytest.mark.parametrize("timing", [Timing.LATE, Timing.UPSTREAM])
def test_every_row_is_as_wide_as_the_titles(timing: Timing, size: int) -> None:
    rows = result_rows(timing)
    layout = nodes.layout(rows, size)
    for index in range(len(rows.names)):
        assert width(nodes.row(rows, index, layout)) == width(title_line(layout)) <= size + 1


def test_a_refused_node_says_that_late_would_take_it_and_where_it_runs() -> None:
    text = plain(row_of(result_rows(Timing.UPSTREAM), "_to_copy"))
    assert text.split() == [
        "▲", "_to_copy", "_to_copy", "float64", "float64", "float32", "-", "✗", "no",
        "✓", "yes", "PyTorch", "attention.py:34",
    ]  # fmt: skip


def test_under_late_the_same_node_says_that_its_original_dtypes_are_refused() -> None:
    text = plain(row_of(result_rows(Timing.LATE), "_to_copy"))
    assert text.split()[-4:] == ["✓", "yes", "E0", "attention.py:34"]
    assert "✗ no" in text
    narrow = nodes.layout(result_rows(Timing.LATE), 78)
    rows = result_rows(Timing.LATE)
    assert "✓ was ✗" in plain(nodes.row(rows, rows.position["_to_copy"], narrow))


def test_a_dtype_that_repeats_its_left_neighbour_is_dim_and_a_narrowed_one_is_not() -> None:
    spans = [
        (text.strip(), tone)
        for text, tone in row_of(result_rows(Timing.LATE), "div")
        if text.strip().startswith("float")
    ]
    assert spans == [
        ("float64", Tone.WIDE_FLOAT),
        ("float64", Tone.DIM),
        ("float32", Tone.FLOAT),
    ]


def test_a_node_without_a_verdict_of_its_own_shows_none() -> None:
    text = plain(row_of(result_rows(Timing.LATE), "layers_0_qkv_weight"))
    assert "accept" not in text
    assert "asked" not in text


def test_what_was_not_asked_is_never_shown_as_an_accept() -> None:
    base = report(Timing.LATE)
    unasked = tuple(
        replace(node, verdict=Verdict.NOT_CHECKED, verdicts=()) for node in base.nodes
    )
    rows = Loaded(replace(base, nodes=unasked)).rows(Showing())
    assert isinstance(rows, ResultRows)
    assert "? not a" in plain(row_of(rows, "div"))


def test_at_eighty_cells_all_eight_facts_are_shown() -> None:
    titles = plain(title_line(nodes.layout(result_rows(Timing.UPSTREAM), 78))).split()
    assert [title[:4] for title in titles] == [
        "node", "oper", "orig", "infe", "trun", "TRT", "verd", "engi",
    ]  # fmt: skip


# Snapshots.


def test_the_first_snapshot_marks_nothing() -> None:
    assert {row.mark for row in snapshot(report(), 0)} == {Mark.SAME}


def test_a_removed_node_stands_where_it_used_to_be() -> None:
    rows = snapshot(report(), 2)
    gone = [i for i, row in enumerate(rows) if row.mark is Mark.REMOVED]
    assert len(gone) == 8
    assert rows[gone[0]].node.name == "_assert_tensor_metadata_default"
    assert rows[gone[0] - 1].node.name == "matmul"
    assert rows[gone[0] + 1].node.name == "to"


def test_added_retyped_and_changed_nodes_are_told_apart() -> None:
    decomposed = {row.node.name: row.mark for row in snapshot(report(), 4)}
    assert decomposed["_to_copy"] is Mark.ADDED
    assert decomposed["to"] is Mark.REMOVED
    assert decomposed["div"] is Mark.CHANGED
    assert decomposed["linear"] is Mark.SAME
    retyped = next(row for row in snapshot(report(), 14) if row.mark is Mark.RETYPED)
    assert (retyped.node.name, retyped.before, retyped.after) == (
        "matmul_1",
        "float32",
        "float64",
    )


def test_a_snapshot_has_all_nodes_of_its_pass_and_those_it_removed() -> None:
    base = report()
    for place, record in enumerate(base.passes):
        rows = snapshot(base, place)
        present = [row.node.name for row in rows if row.mark is not Mark.REMOVED]
        pool = base.graph_nodes
        assert present == [pool[i].name for i in record.graph]
        removed = [row.node.name for row in rows if row.mark is Mark.REMOVED]
        assert sorted(removed) == sorted(record.removed)


def test_a_node_that_another_replaced_is_named_on_both_sides() -> None:
    base = report()
    place = next(i for i, record in enumerate(base.passes) if "to" in record.removed)
    rows = {row.node.name: row for row in snapshot(base, place)}
    taken = rows["to"].place
    assert rows["to"].mark is Mark.REMOVED
    assert (rows[taken].mark, rows[taken].place) == (Mark.ADDED, "to")


def test_hidden_unchanged_nodes_leave_what_the_pass_touched() -> None:
    loaded = Loaded(report())
    assert loaded.rows(Showing(14, True)).names == ("matmul_1",)
    assert len(loaded.rows(Showing(14)).names) == 70


def test_the_history_of_a_node_names_the_passes_that_touched_it() -> None:
    marks = [(step.place, step.mark) for step in history(report(), "matmul_1")]
    assert marks == [(14, Mark.RETYPED), (20, Mark.RETYPED)]
    assert [step.mark for step in history(report(), "to")] == [Mark.REMOVED]


def test_the_caption_says_what_a_pass_did_or_that_it_raised() -> None:
    rows = Loaded(report()).rows(Showing(4))
    assert isinstance(rows, SnapshotRows)
    text = plain(snapshots.caption(rows, False, 120))
    assert text == "after pass 4 run_decompositions  decomposition  +8 -8  70 nodes  495.2 ms"
    broken = Loaded(failed_report()).rows(Showing(8))
    assert isinstance(broken, SnapshotRows)
    assert "✖ raised: RuntimeError: no such folding" in plain(
        snapshots.caption(broken, False, 120)
    )


# The list of passes.


def test_passes_stand_under_the_headings_of_their_phases_and_the_result_is_last() -> None:
    listed = entries(report(), False, None)
    headings = [entry.phase for entry in listed if isinstance(entry, Heading)]
    assert headings == [
        Phase.LOAD,
        Phase.PRE_EXPORT,
        Phase.DECOMPOSITION,
        Phase.POST_LOWERING,
    ]
    assert listed[-1] == Entry(None)
    assert len([entry for entry in listed if isinstance(entry, Entry)]) == 22


def test_hidden_passes_are_those_without_change_but_the_selected_one_stays() -> None:
    listed = [e.place for e in entries(report(), True, 8) if isinstance(e, Entry)]
    assert listed == [0, 2, 4, 5, 8, 13, 14, 20, None]


def test_a_failed_pass_is_never_hidden() -> None:
    listed = [e.place for e in entries(failed_report(), True, None) if isinstance(e, Entry)]
    assert 8 in listed


@pytest.mark.parametrize(
    ("place", "step", "telling", "hide", "expected"),
    [
        (None, -1, False, False, 20),
        (None, 1, False, False, None),
        (20, 1, False, False, None),
        (20, -1, False, False, 19),
        (20, -1, True, False, 14),
        (20, -1, False, True, 14),
        (0, -1, False, False, 0),
        (0, 1, True, False, 2),
    ],
)
def test_stepping_goes_over_passes_and_stops_at_both_ends(
    place: int | None, step: int, telling: bool, hide: bool, expected: int | None
) -> None:
    found = neighbour(report(), place, step, telling=telling, hide_unchanged=hide)
    assert found == expected


def test_a_pass_line_has_number_name_counts_and_time() -> None:
    text = plain(pass_line(report(), 4, 60))
    assert text.split() == ["4", "run_decompositions", "+8", "-8", "495", "ms"]
    assert len(text) == 60


def test_long_names_are_cropped_so_that_counts_and_times_stay_in_their_columns() -> None:
    lines = [plain(pass_line(report(), place, 33)) for place in range(1, 21)]
    assert all(len(each) == 33 and each.endswith(" ms") for each in lines)
    assert lines[3].split() == ["4", "run_decompositi…", "+8", "-8", "495", "ms"]
    assert lines[12].index("-1") == lines[13].index("~1") == 24


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.00004, "0.0 ms"), (0.0099, "9.9 ms"), (0.00999, "10 ms"), (0.9994, "999 ms"),
     (0.9996, "1.0 s"), (99.94, "99.9 s"), (1234.0, "1234 s")],
)  # fmt: skip
def test_a_time_takes_six_cells_at_most(seconds: float, shown: str) -> None:
    base = report()
    slow = replace(base.passes[4], seconds=seconds)
    told = replace(base, passes=(*base.passes[:4], slow, *base.passes[5:]))
    line = plain(pass_line(told, 4, 40))
    assert line.endswith(f" {shown}")
    assert line.index("+8") == plain(pass_line(base, 4, 40)).index("+8")


def test_a_list_that_is_too_narrow_for_names_has_no_times() -> None:
    lines = [plain(pass_line(report(), place, 28)) for place in range(1, 21)]
    assert not any(" ms" in each for each in lines)
    assert lines[3].split() == ["4", "run_decompositions", "+8", "-8"]


def test_a_failed_pass_says_that_it_raised_and_the_result_is_none() -> None:
    assert "✖ raised" in plain(pass_line(failed_report(), 8, 40))
    assert "✖ none" in plain(result_line(failed_report(), 40))
