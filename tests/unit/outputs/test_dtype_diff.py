"""What a dtype diff says: matching, changes, casts, regions, and the DOT text of it all."""

from __future__ import annotations

import graphviz
import msgspec
import pytest
from graphviz.quoting import quote

from tests import canned
from trtdbg.errors import StageError, UsageError
from trtdbg.outputs.picture import layout, sides
from trtdbg.outputs.picture.dot import dot, word
from trtdbg.outputs.picture.pairs import DtypeDiff, PictureChange, compare, dtype_change
from trtdbg.outputs.picture.picture import draw, picture
from trtdbg.outputs.picture.regions import (
    Detail,
    Kinds,
    Nodes,
    absorbed_constants,
    module_groups,
)
from trtdbg.outputs.picture.sides import Side, SideNode
from trtdbg.records import Source, Verdict


def node(name: str, *operands: str, dtype: str = "float32", **more: object) -> SideNode:
    fields: dict[str, object] = {"op": "call_function", "target": "aten.sin.default"} | more
    return SideNode(name=name, dtype=dtype, operands=operands, **fields)  # type: ignore[arg-type]


def side(*nodes: SideNode) -> Side:
    return Side(label="side", nodes=nodes)


def blocks(number: int, dtype: str) -> Side:
    """A chain of blocks, each a widening cast left to PyTorch between plain operators."""
    nodes = [node("x", op="placeholder", target="x")]
    for block in range(number):
        module = Source(module=f"layers.{block}.attention")
        for name in ("first", "cast", "second", "last"):
            wide = name == "cast"
            nodes.append(
                node(
                    f"{name}_{block}",
                    nodes[-1].name,
                    dtype=dtype if wide else "float32",
                    source=module,
                    engine=None if wide and dtype == "float64" else 0,
                    left="rejects" if wide and dtype == "float64" else None,
                    verdict=Verdict.REJECT if wide and dtype == "float64" else Verdict.ACCEPT,
                )
            )
    return side(*nodes)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("float64", "float32", PictureChange.NARROWED),
        ("int32", "int64", PictureChange.WIDENED),
        ("float16", "bfloat16", PictureChange.RETYPED),
        ("float32", "bool", PictureChange.NARROWED),
        ("int64", "float32", PictureChange.NARROWED),
        (("float32", "int64"), ("float32", "int32"), PictureChange.NARROWED),
        ("float32", "float32", PictureChange.SAME),
        (None, "float32", PictureChange.SAME),
    ],
)
def test_change_of_a_dtype(before: object, after: object, change: PictureChange) -> None:
    assert dtype_change(before, after) is change  # type: ignore[arg-type]


def test_a_refused_operator_that_gets_into_an_engine_is_narrowed_and_turned() -> None:
    diff = compare(
        sides.of_report(canned.UPSTREAM, "upstream"), sides.of_report(canned.LATE, "late")
    )
    pair = next(pair for pair in diff.pairs if pair.name == "_to_copy")
    assert pair.change is PictureChange.NARROWED
    assert pair.turned == (Verdict.REJECT, Verdict.ACCEPT)
    assert pair.breaks
    assert diff.engines == (2, 1)


def test_a_renamed_node_is_found_by_where_it_comes_from() -> None:
    diff = compare(side(node("sin", from_node="y")), side(node("sin_1", from_node="y")))
    assert [(p.name, p.change) for p in diff.pairs] == [("sin_1", PictureChange.SAME)]


def test_what_a_pass_put_in_the_place_of_a_node_is_that_node() -> None:
    before = side(node("p_w", op="placeholder", target="p_w"), node("to", "p_w"))
    copy = {"target": "aten._to_copy.default", "from_node": "to", "dtype": "float64"}
    after = side(node("w", op="get_attr", target="w"), node("_to_copy", "w", **copy))  # type: ignore[arg-type]
    diff = compare(before, after)
    assert [(p.name, p.change) for p in diff.pairs] == [
        ("w", PictureChange.SAME),
        ("_to_copy", PictureChange.WIDENED),
    ]
    lines = [box.lines for box in picture(diff, "m").boxes]
    assert lines[-1][1] == "aten._to_copy.default, was aten.sin.default"


def test_another_operator_of_the_same_name_is_another_node() -> None:
    diff = compare(
        side(node("x"), node("y", "x")),
        side(node("x"), node("y", "x", target="aten.cos.default")),
    )
    assert {p.name: p.change for p in diff.pairs} == {
        "x": PictureChange.SAME,
        "y": PictureChange.ADDED,
        "y (removed)": PictureChange.REMOVED,
    }
    assert set(diff.edges) == {("x", "y"), ("x", "y (removed)")}


def test_a_region_never_stands_in_a_circle_with_another() -> None:
    """x -> wide -> y and x -> y: x and y must not be one box around `wide`."""
    before = side(node("x"), node("wide", "x", dtype="float64"), node("y", "x", "wide"))
    after = side(node("x"), node("wide", "x"), node("y", "x", "wide"))
    diff = compare(before, after)
    numbers = Nodes(diff, module_groups(diff), absorbed_constants(diff)).boxes(Detail.FOCUS)
    assert len(set(numbers.values())) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"op": "call_module"},
        {"target": "aten.cos.default"},
        {"dtype": "float64"},
        {"engine": 1},
        {"verdict": Verdict.REJECT},
        {"left": "rejects"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_nodes_are_of_one_kind_if_they_differ_in_name_and_place_alone(other: dict) -> None:
    like = {"engine": 0, "verdict": Verdict.ACCEPT, "source": Source(module="layers.0")}
    nodes = [node("x", **like), node("y", "x", **like), node("z", "y", **(like | other))]
    diff = compare(side(*nodes), side(*nodes))
    kinds = Kinds(diff.pairs)
    assert kinds.of == [0, 0, 1]
    assert [(pair.name, times) for pair, times in kinds.counted((2, 0, 1))] == [
        ("z", 1),
        ("x", 2),
    ]


def test_a_region_tells_of_its_first_members_and_how_many_are_left() -> None:
    nodes = [node("n0")]
    for number in range(1, 300):
        nodes.append(node(f"n{number}", nodes[-1].name))
    diff = compare(side(*nodes), side(*nodes))
    (box,) = picture(diff, "m").boxes
    assert len(box.members) == 300
    assert box.details[:2] == ("n0: float32", "n1: float32")
    assert box.details[199:] == ("n199: float32", "and 100 more")


@pytest.mark.parametrize("detail", list(Detail))
@pytest.mark.parametrize("pairing", [("off", "late"), ("late", "late")])
def test_boxes_hold_every_node_once_and_links_make_no_circle(
    detail: Detail, pairing: tuple[str, str]
) -> None:
    dtypes = {"off": "float64", "late": "float32"}
    diff = compare(*(blocks(7, dtypes[name]) for name in pairing))
    made = draw(diff, "m", detail)
    members = [name for box in made.boxes for name in box.members]
    assert sorted(members) == sorted(pair.name for pair in diff.pairs)
    after: dict[int, set[int]] = {}
    for link in made.links:
        after.setdefault(link.source, set()).add(link.target)
    waiting, order = {box.number for box in made.boxes}, []
    while waiting:
        free = {n for n in waiting if not any(n in after.get(o, ()) for o in waiting)}
        assert free, "a circle"
        waiting -= free
        order += free


def test_blocks_alike_are_drawn_once_with_their_number() -> None:
    diff = compare(blocks(48, "float64"), blocks(48, "float32"))
    made = picture(diff, "m")
    assert made.detail is Detail.FOCUS
    assert len(made.boxes) < 16
    folded = [box.lines for box in made.boxes if "more blocks alike" in box.lines[0]]
    assert folded == [
        (
            "46 more blocks alike, 184 nodes",
            "layers.1 … layers.46",
            "46 narrowed float64 → float32",
            "46 aten.sin.default were left to PyTorch",
        )
    ]


def test_many_different_changes_are_grouped_and_the_picture_says_so() -> None:
    def wide(dtype: str) -> Side:
        ops = ("sin", "cos", "tan")
        chain = [node("x", op="placeholder", target="x")]
        for number in range(300):
            target = f"aten.{ops[number % 3]}.default"
            source = Source(module=f"part{number // 100}")
            chain.append(
                node(f"n{number}", chain[-1].name, dtype=dtype, target=target, source=source)
            )
        return side(*chain)

    made = picture(compare(wide("float64"), wide("float32")), "m")
    assert made.detail is Detail.GROUPED
    assert [box.lines[0] for box in made.boxes] == ["x", "100 nodes", "100 nodes", "100 nodes"]
    assert made.summary[-1] == "many changes: equal ones are drawn as one"


def test_unchanged_nodes_are_one_box_that_tells_their_number() -> None:
    diff = compare(blocks(3, "float32"), blocks(3, "float32"))
    made = picture(diff, "m")
    assert [box.lines[0] for box in made.boxes] == ["x", "12 unchanged nodes"]
    assert len(picture(diff, "m", full=True).boxes) == 13


def test_around_shows_the_neighbourhood_alone_and_says_what_is_hidden() -> None:
    diff = compare(blocks(3, "float64"), blocks(3, "float32"))
    made = picture(diff, "m", around="cast_1", depth=1)
    assert [box.lines[0] for box in made.boxes] == ["first_1", "cast_1", "second_1"]
    assert made.summary[-1] == "10 nodes further than 1 from cast_1 not shown"
    with pytest.raises(UsageError, match="did you mean cast_2"):
        picture(diff, "m", around="cast_22")


def test_dot_says_dtypes_verdicts_engines_casts_and_the_legend() -> None:
    diff = compare(
        sides.of_report(canned.UPSTREAM, "upstream"), sides.of_report(canned.LATE, "late")
    )
    text = dot(picture(diff, "island.pt2"))
    for words in (
        "narrowed float64 → float32",
        "reject → accept",
        "was left to PyTorch",
        "island.pt2: upstream → late",
        "engines 2 → 1, operators left to PyTorch 1 → 0",
    ):
        assert words in text


def test_names_of_a_model_are_text_and_never_markup_or_code() -> None:
    hostile = '<B>"\\N} evil</B>\n\x1b[31m'
    diff = compare(side(node(hostile, dtype="float64")), side(node(hostile)))
    text = dot(picture(diff, hostile))
    assert '"\\N' not in text.replace("\\\\N", "")
    assert "\x1b" not in text
    layout.check_graphviz()
    assert layout.lay_out(diff, picture(diff, hostile), "svg", 60).data


def test_boundary_cast_stands_between_its_value_and_the_engine_that_asked() -> None:
    diff = compare(
        sides.of_report(
            msgspec.structs.replace(canned.UPSTREAM, nodes=_read(canned.UPSTREAM.nodes)), "up"
        ),
        sides.of_report(
            msgspec.structs.replace(canned.LATE, nodes=_read(canned.LATE.nodes)), "l"
        ),
    )
    assert [(c.value, c.reader, c.change) for c in diff.casts] == [
        ("_to_copy", "sin", PictureChange.REMOVED)
    ]


def _read(nodes: tuple[object, ...]) -> tuple[object, ...]:
    """The canned nodes, `sin` reading `_to_copy`."""
    return tuple(
        msgspec.structs.replace(n, operands=("_to_copy",)) if n.name == "sin" else n  # type: ignore[attr-defined,type-var]
        for n in nodes
    )


def test_a_layout_that_takes_too_long_is_drawn_coarser(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    diff: DtypeDiff = compare(blocks(3, "float32"), blocks(3, "float32"))
    asked: list[int] = []

    def slow(text: str, kind: str, seconds: float) -> bytes | None:
        asked.append(text.count("shape="))
        return None if len(asked) == 1 else b"<svg/>"

    monkeypatch.setattr(layout, "_run", slow)
    monkeypatch.setattr(layout, "check_graphviz", lambda: None)
    drawn = layout.lay_out(diff, picture(diff, "m", full=True), "svg", 3)
    assert drawn.picture.detail is Detail.FOCUS
    assert asked[1] < asked[0]
    assert drawn.picture.summary[-1].startswith(
        "coarser than asked for: the layout of 13 boxes"
    )
    monkeypatch.setattr(layout, "_run", lambda *_: None)
    with pytest.raises(StageError, match="did not lay out the picture in 3 s"):
        layout.lay_out(diff, picture(diff, "m", full=True), "svg", 3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x_1",
        "1x",
        "-4.2",
        "node",
        "Strict",
        "float64 → float32",
        'say "x"',
        "back\\slash",
        'both \\"',
        "ends in \\",
        "two\nlines",
        "<b>not HTML</b>",
        "naïve",
    ],
)
def test_a_text_is_quoted_as_the_graphviz_package_would(text: str) -> None:
    assert word(text) == quote(graphviz.nohtml(text.replace("\\", "\\\\")))


def test_what_the_model_computes_wide_and_no_side_runs_wide_is_a_box_of_its_own() -> None:
    cast = node("cast", "x", dtype="float64")
    inside = [
        node(name, above, declared="float64")
        for name, above in (("a", "cast"), ("b", "a"), ("c", "b"))
    ]
    rest = [node("d", "c"), node("e", "d")]
    before = side(node("x"), cast, *inside, *rest)
    after = side(node("x"), msgspec.structs.replace(cast, dtype="float32"), *inside, *rest)
    drawn = picture(compare(before, after), "m")
    island = next(box for box in drawn.boxes if "a" in box.members)
    assert island.members == ("a", "b", "c")
    assert island.lines[0] == "3 nodes: float64 in the model"
    assert "run in float32" in island.lines
    assert next(box for box in drawn.boxes if "d" in box.members).members == ("d", "e")
