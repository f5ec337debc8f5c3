"""The list of programs before the UI opens."""

from __future__ import annotations

import pytest
from trtdbg_ui.host.choosing import Choosing

OPTIONS = ["1-Net  [b]a.py:3[/b]", "2-Head  b.py:9", "3-graph  c.py:1"]


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [(["enter"], 0), (["down", "j", "k", "enter"], 1), (["q"], None), (["escape"], None)],
)
async def test_a_line_is_chosen_by_keys(keys: list[str], chosen: int | None) -> None:
    app = Choosing("run has 3 programs", OPTIONS)
    async with app.run_test() as pilot:
        await pilot.press(*keys)
    assert app.return_value == chosen


async def test_names_are_shown_as_they_are() -> None:
    app = Choosing("run [red]has[/red]", OPTIONS)
    async with app.run_test() as pilot:
        await pilot.pause()
        shown = app.export_screenshot()
    assert "[b]a.py:3[/b]" in shown.replace("&#160;", " ")
