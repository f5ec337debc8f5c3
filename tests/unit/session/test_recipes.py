"""A reproducer of a sample, made by the real session and run in a fresh process."""

from __future__ import annotations

from pathlib import Path

import pytest

from trtdbg.errors import UsageError
from trtdbg.outputs.repro import reproducer
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import RecipeKind, Verdict
from trtdbg.worker import trial
from trtdbg.worker.messages import Job

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.mark.usefixtures("torch_tensorrt_ready")
def test_needless_rejection_of_a_sample_reproduces_in_a_fresh_process() -> None:
    from trtdbg.session.session import Session

    model = str(SAMPLES / "attention_float64.pt2")
    session = Session(
        Job(model=model, settings=Settings(), probe_seconds=0.0), lambda event: None
    )
    report = session.reproduce(TruncationPolicy(), (), ("TD101",))
    assert report.recipes is not None
    (recipe,) = report.recipes
    assert recipe.kind is RecipeKind.REJECTED
    assert (recipe.before.expected, recipe.after.expected) == (Verdict.REJECT, Verdict.ACCEPT)
    # Four layers with the same cast are one file.
    assert recipe.nodes == ("_to_copy", "_to_copy_2", "_to_copy_4", "_to_copy_6")
    text = reproducer.script(report, recipe, "x.py")
    assert "trtdbg" not in text.replace("# Written by trtdbg", "")
    ended = trial.run("x.py", text)
    assert ended.reproduced, ended.why_not
    assert "original dtypes: reject" in ended.printed
    assert "truncated dtypes: accept" in ended.printed
    wrong = text.replace('assert seen == "accept"', 'assert seen == "crashed"')
    assert not trial.run("wrong.py", wrong).reproduced
    with pytest.raises(UsageError, match="there is no node 'nothing'"):
        session.reproduce(TruncationPolicy(), ("nothing",), ())
