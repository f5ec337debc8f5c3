from __future__ import annotations

import pytest

from trtdbg.analysis.catalogue import CATALOGUE, explain
from trtdbg.analysis.codes import Code
from trtdbg.errors import UsageError
from trtdbg.records import Level

CODES = list(Code)


def test_every_code_is_explained_in_order() -> None:
    assert list(CATALOGUE) == sorted(CODES)


@pytest.mark.parametrize("code", CODES)
def test_an_explanation_is_whole_sentences(code: str) -> None:
    entry = CATALOGUE[code]
    assert entry.level in Level
    for text in (entry.what, entry.cause, entry.cure):
        assert len(text.split()) > 5
        assert text.endswith(".")
        assert "  " not in text


def test_codes_and_names_are_found_in_any_case() -> None:
    assert explain(" td503 ") is explain("Build-Failed") is CATALOGUE["TD503"]


def test_an_unknown_code_says_where_all_are_listed() -> None:
    with pytest.raises(UsageError, match="`trtdbg explain` lists all of them"):
        explain("TD1")
