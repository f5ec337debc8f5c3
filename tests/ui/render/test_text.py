"""Toned text: cutting, packing and wrapping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trtdbg_ui.text import (
    Tone,
    broken_words,
    crop,
    fit,
    fit_middle,
    line,
    link_at,
    pack,
    plain,
    spread,
    width,
    wrap,
)

GAP = (" | ", Tone.DIM)


def test_fit_pads_and_cuts_to_the_exact_size() -> None:
    assert fit("abc", 5) == "abc  "
    assert fit("abc", 5, align="right") == "  abc"
    assert fit("abcdef", 5) == "abcd…"
    assert fit("abc", 0) == ""


def test_a_name_is_cut_in_its_middle_so_that_its_number_stays() -> None:
    assert fit_middle("scaled_dot_product_attention_12", 12) == "scaled…on_12"
    assert fit_middle("short", 12) == "short       "


def test_wide_characters_count_as_two_cells() -> None:
    assert width(line("模型")) == 4
    assert fit("模型x", 4) == "模 …"


def test_crop_marks_that_something_was_cut() -> None:
    assert plain(crop(line("abc", ("def", Tone.BAD)), 5)) == "abcd…"
    assert plain(crop(line("abc", ("def", Tone.BAD)), 6)) == "abcdef"
    assert plain(crop(line("abc", ("def", Tone.BAD)), 4)) == "abc…"


def test_pack_keeps_what_is_important_and_the_order() -> None:
    parts = [(2, line("least")), (0, line("most")), (1, line("some"))]
    assert plain(pack(parts, 40, GAP)) == "least | most | some"
    assert plain(pack(parts, 12, GAP)) == "most | some"
    assert plain(pack(parts, 4, GAP)) == "most"


def test_pack_fills_the_room_that_a_long_part_leaves() -> None:
    parts = [(0, line("most")), (1, line("much too long for it")), (2, line("ok"))]
    assert plain(pack(parts, 12, GAP)) == "most | ok"


def test_spread_gives_up_the_right_end_when_both_do_not_fit() -> None:
    assert plain(spread(line("left"), line("right"), 12)) == "left   right"
    assert plain(spread(line("left"), line("right"), 9)) == "left"


def test_wrap_indents_what_follows_the_first_line() -> None:
    lines = wrap(line("one two ", ("three four", Tone.GOOD)), 9, indent=2)
    assert [plain(each) for each in lines] == ["one two", "  three", "  four"]
    assert lines[1][-1] == ("three", Tone.GOOD)


@pytest.mark.parametrize("size", [6, 10, 17])
def test_wrap_breaks_a_word_that_is_longer_than_a_line(size: int) -> None:
    word = "aten_ops_converters.to_copy_dtype_validator"
    lines = wrap(line(word), size, indent=2)
    assert all(width(each) <= size for each in lines)
    assert "".join(plain(each).strip() for each in lines) == word


@given(st.text(alphabet="ab 模é-", max_size=80), st.integers(8, 30), st.integers(0, 4))
def test_wrapped_lines_fit_and_lose_nothing_but_spaces(
    text: str, size: int, indent: int
) -> None:
    lines = wrap(line(text), size, indent=indent)
    assert all(width(each) <= size for each in lines)
    joined = "".join(plain(each) for each in lines)
    assert joined.replace(" ", "") == text.replace(" ", "")


def test_a_word_that_was_broken_is_found_from_each_of_its_parts() -> None:
    name = "layers_0_attention_output_dense_weight"
    lines = wrap(line(f"it reads {name}, a b c"), 24, indent=2)
    assert [plain(each) for each in lines] == [
        "it reads",
        "  " + name[:22],
        "  " + name[22:] + ", a b",
        "  c",
    ]
    assert name in broken_words(lines, 1, name[:22])
    assert name in broken_words(lines, 2, name[22:])
    assert broken_words(lines, 2, "a") == ()
    assert broken_words(lines, 0, "it") == ()


def test_a_link_is_found_inside_a_word() -> None:
    spans = line("f(", ("bc", Tone.LINK), ", d)")
    assert [link_at(spans, x) for x in (1, 2, 3, 4, 9)] == ["", "bc", "bc", "", ""]
