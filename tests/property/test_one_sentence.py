"""Each operator outside an engine has one cause and one sentence, in every output."""

from __future__ import annotations

import pytest

pytest.importorskip("hypothesis")
pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st
from programs import Recipe, recipes

from tests.curing import session_of
from tests.examples import unshrunk
from tests.sentences import check_sentences
from trtdbg.policy import Partitioner, Settings, Timing, TruncationPolicy

SETTINGS = st.sampled_from(
    [
        Settings(),
        Settings(truncate_double=False),
        Settings.as_compiled(),
        Settings(min_block_size=3),
        Settings(partitioner=Partitioner.FAST),
        Settings(torch_executed_ops=("torch.ops.aten.add.Tensor",)),
    ]
)


def check(recipe: Recipe, settings: Settings) -> None:
    """Analyses a program under every timing."""
    session = session_of(recipe.export(), None, settings, probe_seconds=0)
    for timing in Timing:
        check_sentences(session.analyze(TruncationPolicy(timing=timing)))


@unshrunk(10)
@given(recipe=recipes(lines=5, outputs=2), settings=SETTINGS)
def test_each_operator_outside_has_one_cause_in_one_sentence(
    recipe: Recipe, settings: Settings
) -> None:
    check(recipe, settings)


@pytest.mark.deep
@unshrunk(200)
@given(recipe=recipes(), settings=SETTINGS)
def test_each_operator_outside_has_one_cause_in_one_sentence_at_length(
    recipe: Recipe, settings: Settings
) -> None:
    check(recipe, settings)
