"""Pictures of the node table in its views, and of the dialogs that choose them."""

from __future__ import annotations

import pytest

from tests.ui.fakes import Stage, loaded_stage
from tests.ui.test_snapshots import SIZES, Compare, pressing
from tests.ui.test_tables_keys import with_odd_block
from trtdbg.policy import Timing


@SIZES
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(("p",), id="filters"),
        pytest.param(("p", "r"), id="rejected"),
        pytest.param(("s",), id="columns"),
        pytest.param(("s", "j", "j", "enter", "escape"), id="sorted"),
        pytest.param(("<", "<"), id="operands"),
        pytest.param(("slash", *"^split", "enter", ">"), id="users"),
        pytest.param(("d",), id="before_after"),
        pytest.param(("[", "K"), id="comparing"),
        pytest.param(("3", "g", "K", "2", "=", "[", "u"), id="two_passes"),
    ],
)
def test_table(snap_compare: Compare, size: tuple[int, int], keys: tuple[str, ...]) -> None:
    stage = loaded_stage(Timing.UPSTREAM)
    assert snap_compare(stage.app, terminal_size=size, run_before=pressing(*keys))


@SIZES
def test_folded(snap_compare: Compare, size: tuple[int, int]) -> None:
    stage = Stage(Timing.LATE, [with_odd_block()])
    assert snap_compare(stage.app, terminal_size=size, run_before=pressing("H"))
